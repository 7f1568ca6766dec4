"""Verdicts as text for people and as a document for programs."""

from imagekit.policy.ruleset import Deny
from imagekit.verify.verdict_text import document, text
from tests.support.fakes import MemorySigner
from tests.support.signed import World, signed_world


def test_text_of_a_refusal() -> None:
    """A refusal is for a person: what passed, what did not, and how to mend it."""
    world = World()
    world.sign()

    shown = text(world.judge(world.policy("cyclonedx")))

    name = world.signer.public_key.fingerprint[:19]
    assert shown == (
        "denied  r.site/apps/demo:1\n"
        f"        {world.image.digest.short}…, policy site version 3\n"
        "  ✓ policy      site version 3, rule r.site/apps/**\n"
        f"  ✓ image       a manifest, {len(world.registry.manifest(world.image).raw)} bytes, "
        "as its digest says\n"
        f"  ✓ signature   signer-0 (key {name}...), signed for r.site/apps/demo:1\n"
        "  ✗ sbom        MISSING_ATTESTATION: the policy wants an attestation of type cyclonedx "
        "signed by signer-0; the registry lists none\n"
        "                publish again with imagekit, or: "
        f"imagekit sign {world.image.repository}:1@{world.image.digest} --key FILE --sbom"
    )


def test_text_of_a_warning() -> None:
    """A remark has a mark of its own."""
    world = signed_world()
    world.attach_raw(b"junk")

    shown = text(world.judge())

    assert shown.startswith("allowed  r.site/apps/demo:1\n")
    assert "\n  ! attached    BAD_BUNDLE: " in shown


def test_text_shows_tag_and_digest() -> None:
    """What was asked for is shown whole."""
    world = signed_world()

    shown = text(world.judge(reference=world.reference.pin(world.image.digest)))

    assert shown.splitlines()[0] == f"allowed  r.site/apps/demo:1@{world.image.digest}"


def test_document_of_an_allowed_image() -> None:
    """The shape of `imagekit verify --json`, schema 1, is a contract."""
    world = signed_world()
    verdict = world.judge()

    shown = document(verdict)

    assert shown == {
        "schema": 1,
        "decision": "allow",
        "reference": "r.site/apps/demo:1",
        "digest": str(world.image.digest),
        "policy": {"name": "site", "version": 3, "digest": str(verdict.policy_digest)},
        "findings": [
            {
                "check": each.check,
                "code": "OK",
                "severity": "ok",
                "message": each.message,
                "hint": "",
            }
            for each in verdict.findings
        ],
    }
    assert [each.check for each in verdict.findings] == ["policy", "image", "signature"]


def test_document_of_a_refusal_before_any_request() -> None:
    """Where no digest was reached there is none."""
    world = World()
    deny = Deny(digests=frozenset({world.image.digest}))
    policy = world.policy(deny=deny, glob="r.site/other/**", signers=(MemorySigner(),))

    shown = document(world.judge(policy))

    assert shown["decision"] == "deny"
    assert shown["digest"] is None
