"""``proof: attestations``: what is attested and not signed, as GitHub's workflows do it."""

from datetime import timedelta
from typing import Any

import pytest

from imagekit.errors import PolicyError
from imagekit.oci.digest import Digest
from imagekit.policy.export import export_policy
from imagekit.policy.load import parse_policy
from imagekit.policy.ruleset import (
    Freshness,
    Level,
    OpenedPolicy,
    Platforms,
    Policy,
    Proof,
    SignedIdentity,
)
from imagekit.signatures.intoto import CYCLONEDX, SLSA_PROVENANCE
from imagekit.verify.verdict import Verdict
from tests.support.fakes import MemorySigner
from tests.support.signed import NOW, PROVENANCE, SBOM, World

_ANY = SignedIdentity.DIGEST_ONLY


@pytest.fixture
def world() -> World:
    """An image with a provenance, and without a signature."""
    world = World()
    world.attach(SLSA_PROVENANCE, PROVENANCE)
    return world


def _policy(world: World, **rule: Any) -> OpenedPolicy:
    return world.policy("slsaprovenance1", proof=Proof.ATTESTATIONS, **rule)


def _errors(verdict: Verdict) -> dict[str, str]:
    return {each.check: each.code for each in verdict.findings if each.severity == "error"}


def test_a_provenance_is_proof_enough(world: World) -> None:
    """No signature is asked for, and none is claimed."""
    verdict = world.judge(_policy(world))

    assert verdict.allowed
    assert "signature" not in {each.check for each in verdict.findings}


def test_elsewhere_it_is_none(world: World) -> None:
    """An attestation is no signature, unless the rule says that it is proof."""
    assert _errors(world.judge(world.policy("slsaprovenance1"))) == {
        "signature": "WRONG_PREDICATE_TYPE"
    }


def test_every_attestation_of_the_rule_is_asked_for(world: World) -> None:
    """One of two is half a proof."""
    policy = world.policy("slsaprovenance1", "cyclonedx", proof=Proof.ATTESTATIONS)
    assert _errors(world.judge(policy)) == {"sbom": "MISSING_ATTESTATION"}

    world.attach(CYCLONEDX, SBOM)
    assert world.judge(policy).allowed


def test_a_signature_alone_is_not_it() -> None:
    """Whoever asks for provenance gets it."""
    world = World()
    world.sign()

    assert _errors(world.judge(_policy(world))) == {"provenance": "MISSING_ATTESTATION"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"signer": MemorySigner()}, "UNTRUSTED_KEY"),
        ({"digest": Digest.of(b"another image")}, "DIGEST_MISMATCH"),
        ({"name": "r.site/apps/demo:2"}, "REFERENCE_MISMATCH"),
        ({"name": "r.site/apps/other:1"}, "REFERENCE_MISMATCH"),
        ({"name": ""}, "REFERENCE_MISMATCH"),
    ],
)
def test_it_is_held_to_what_a_signature_is_held_to(changes: dict[str, Any], code: str) -> None:
    """Signer, digest and name."""
    world = World()
    world.attach(SLSA_PROVENANCE, PROVENANCE, **changes)

    assert _errors(world.judge(_policy(world))) == {"provenance": code}


def test_a_name_without_a_tag_needs_a_rule_that_takes_it() -> None:
    """GitHub names the repository alone."""
    world = World()
    world.attach(SLSA_PROVENANCE, PROVENANCE, name="r.site/apps/demo")

    assert not world.judge(_policy(world)).allowed
    assert world.judge(_policy(world, signed_identity=SignedIdentity.MATCH_REPOSITORY)).allowed


def test_an_age_wants_a_time_here_too(world: World) -> None:
    """A key's attestation says none."""
    policy = _policy(world, freshness=Freshness(max_age=timedelta(days=1)))

    assert _errors(world.judge(policy)) == {"freshness": "NO_TRUSTED_TIME"}


@pytest.mark.parametrize("level", list(Level))
def test_at_every_level_something_is_asked_for(level: Level) -> None:
    """No level is left without any proof."""
    world = World()

    verdict = world.judge(_policy(world, platforms=Platforms(verify=level)))

    assert _errors(verdict) == {"provenance": "MISSING_ATTESTATION"}


_YAML = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {{name: site, version: 1, expires: 2036-01-01T00:00:00Z}}
images:
  - match: {{glob: "r.site/**"}}
    authorities: [{{name: a, key: {{data: "{pem}"}}}}, {{name: b, key: {{data: "{other}"}}}}]
    proof: attestations
{more}
"""


def _load(more: str) -> Policy:
    from imagekit.signatures.publickey import public_key_pem

    pem, other = (
        public_key_pem(MemorySigner().public_key).decode().replace("\n", "\\n") for _ in range(2)
    )
    return parse_policy(_YAML.format(pem=pem, other=other, more=more).encode(), file="p.yaml")


def test_it_loads_with_an_attestation() -> None:
    """As the schema says."""
    assert _load("    attestations: [{type: cyclonedx}]").images[0].proof is Proof.ATTESTATIONS


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ("", "no-attestation"),
        ("    attestations: [{type: cyclonedx}]\n    threshold: 2", "contradiction"),
    ],
)
def test_it_does_not_load_where_it_proves_nothing(more: str, code: str) -> None:
    """A rule without any proof would allow everything."""
    with pytest.raises(PolicyError) as caught:
        _load(more)
    assert [each.code for each in caught.value.diagnostics] == [f"policy/{code}"]


@pytest.mark.parametrize(
    ("target", "signed", "attested"),
    [
        ("docs", "must have signed the image", "Attestations are proof enough"),
    ],
)
def test_an_export_asks_for_no_signature_either(
    world: World, target: str, signed: str, attested: str
) -> None:
    """Else the target would refuse all images that the rule is made for."""

    def exported(proof: Proof) -> str:
        policy = world.policy("slsaprovenance1", proof=proof, signed_identity=_ANY)
        found = export_policy(policy, target, now=NOW)
        return "".join(document.text for document in found.documents)

    assert signed in exported(Proof.SIGNATURE)
    assert signed not in exported(Proof.ATTESTATIONS)
    assert attested in exported(Proof.ATTESTATIONS)
