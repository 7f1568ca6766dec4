"""Attacks on signatures and claims, in a real registry; each breaks only one thing."""

from datetime import timedelta

import pytest

from imagekit.oci.codec import index_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.types import INDEX, Index
from imagekit.policy.ruleset import SignedIdentity
from imagekit.signatures.intoto import CYCLONEDX, SLSA_PROVENANCE
from tests.support.attacks_kit import RealStage, errors
from tests.support.fakes import MemorySigner, push_image
from tests.support.signed import NOW, PROVENANCE, SBOM

pytestmark = pytest.mark.real

_NO_SUBJECT = (
    b'{"_type":"https://in-toto.io/Statement/v1","subject":[],'
    b'"predicateType":"https://sigstore.dev/cosign/sign/v1"}'
)


def test_00_what_is_right_is_allowed(real: RealStage) -> None:
    """Without an attack the image is allowed: the refusals below have their own reasons."""
    world = real.signed

    assert real.judge(world, world.policy("cyclonedx", "slsaprovenance1")).allowed


def test_01_unsigned_image(real: RealStage) -> None:
    """Attack 1: an unsigned image."""
    world = real.unsigned

    assert errors(real.judge(world, world.policy())) == {"signature": "NO_SIGNATURE"}


@pytest.mark.parametrize("form", ["bundle", "sig"])
def test_02_key_that_the_policy_does_not_list(real: RealStage, form: str) -> None:
    """Attack 2: signed by a key that the policy does not list."""
    world, stranger = real.unsigned, MemorySigner()
    if form == "bundle":
        world.sign(signer=stranger)
    else:
        world.sign_legacy(stranger)

    assert errors(real.judge(world, world.policy())) == {"signature": "UNTRUSTED_KEY"}


@pytest.mark.parametrize("form", ["bundle", "sig"])
def test_07_signature_copied_from_another_image(real: RealStage, form: str) -> None:
    """Attack 7: the signature of image A copied to image B, under A's name."""
    world = real.unsigned
    other = push_image(world.registry, world.repository, content=b"image A")
    if form == "bundle":
        world.sign(digest=other.digest)
    else:
        world.sign_legacy(digest=other.digest)

    assert errors(real.judge(world, world.policy())) == {"signature": "DIGEST_MISMATCH"}


@pytest.mark.parametrize("form", ["bundle", "sig"])
def test_08_signature_for_another_reference(real: RealStage, form: str) -> None:
    """Attack 8: the same digest, signed for apps/old:1, presented as another reference."""
    world = real.unsigned
    old = f"{world.repository.host}/apps/old:1"
    if form == "bundle":
        world.sign(name=old)
    else:
        world.sign_legacy(identity=old)
    by_name = world.policy()
    by_digest = world.policy(signed_identity=SignedIdentity.DIGEST_ONLY)

    assert errors(real.judge(world, by_name)) == {"signature": "REFERENCE_MISMATCH"}
    assert errors(real.verify(world, by_name, reference=world.image)) == {
        "signature": "REFERENCE_MISMATCH"
    }
    assert real.verify(world, by_digest).allowed


@pytest.mark.parametrize("kind", [CYCLONEDX, SLSA_PROVENANCE])
def test_09_attestation_offered_as_signature(real: RealStage, kind: str) -> None:
    """Attack 9: an attestation by the right key offered as the image's signature."""
    world = real.unsigned
    world.attach(kind, SBOM if kind == CYCLONEDX else PROVENANCE)

    assert errors(real.judge(world, world.policy())) == {"signature": "WRONG_PREDICATE_TYPE"}


def test_10_required_attestation_missing(real: RealStage) -> None:
    """Attack 10: an SBOM is required, only a provenance is present."""
    world = real.unsigned
    world.sign()
    world.attach(SLSA_PROVENANCE, PROVENANCE)

    verdict = real.judge(world, world.policy("cyclonedx"))

    assert errors(verdict) == {"sbom": "MISSING_ATTESTATION"}


@pytest.mark.parametrize(
    ("payload", "payload_type"),
    [
        (None, "application/vnd.in-toto+jsonx"),
        (b"no json", "application/vnd.in-toto+json"),
        (_NO_SUBJECT, "application/vnd.in-toto+json"),
    ],
    ids=["type", "json", "subject"],
)
def test_11_bad_statement(real: RealStage, payload: bytes | None, payload_type: str) -> None:
    """Attack 11: payload type not in-toto, payload not JSON, no subject; all well signed."""
    world = real.unsigned
    world.sign(payload=payload, payload_type=payload_type)

    assert errors(real.judge(world, world.policy())) == {"signature": "BAD_STATEMENT"}


def test_21_expired_policy(real: RealStage) -> None:
    """Attack 21, expiry: an expired policy allows nothing."""
    from msgspec.structs import replace

    world = real.signed
    policy = replace(world.policy(), expires=NOW - timedelta(seconds=1))

    assert errors(real.judge(world, policy)) == {"policy": "POLICY_EXPIRED"}


def test_32_fallback_tag_emptied(real: RealStage) -> None:
    """Attack 32: the fallback tag overwritten so that our signature is gone."""
    world = real.signed
    policy = world.policy()
    assert real.judge(world, policy).allowed
    tag = f"sha256-{world.image.digest.hex}"
    real.put(f"manifests/{tag}", index_bytes(Index(media_type=INDEX, manifests=())), INDEX)

    verdict = real.verify(world, policy)

    assert errors(verdict) == {"signature": "REFERRERS_LOST"}
    assert "referrers were lost" in verdict.findings[-1].message


def test_32_fallback_tag_replaced_by_something_else(real: RealStage) -> None:
    """Attack 32: the fallback tag points to the image itself."""
    world = real.signed
    world.sign_legacy()
    real.push(world.registry)
    manifest = world.registry.manifest(world.image)
    tag = f"sha256-{world.image.digest.hex}"
    real.put(f"manifests/{tag}", manifest.raw, manifest.media_type)

    assert errors(real.verify(world, world.policy())) == {"referrers": "REFERRERS_LOST"}


def test_32_fallback_tag_emptied_beside_a_sig_tag(real: RealStage) -> None:
    """Attack 32: the .sig tag is left, the SBOM is gone."""
    world = real.signed
    world.sign_legacy()
    real.push(world.registry)
    tag = f"sha256-{world.image.digest.hex}"
    real.put(f"manifests/{tag}", index_bytes(Index(media_type=INDEX, manifests=())), INDEX)

    verdict = real.verify(world, world.policy("cyclonedx"))

    assert errors(verdict) == {"sbom": "REFERRERS_LOST"}


@pytest.mark.parametrize("where", ["manifest", "config"])
def test_25_ambiguous_json(real: RealStage, where: str) -> None:
    """Attack 25: keys that differ only in case; the registry takes it, Go runs the evil one."""
    world = real.unsigned
    raw = world.registry.manifest(world.image).raw
    if where == "manifest":
        raw = raw.replace(b'"config":', b'"Config": {}, "config":', 1)
    else:
        evil = b'{"os":"linux","OS":"evil","architecture":"amd64"}'
        descriptor = world.registry.put_bytes(world.repository, "x", evil)
        import json

        document = json.loads(raw)
        document["config"] |= {"digest": str(descriptor.digest), "size": descriptor.size}
        raw = json.dumps(document).encode()
    media_type = world.registry.manifest(world.image).media_type
    world.image = world.registry.put_manifest(world.repository, media_type, raw)
    world.tag("1", world.image)
    world.sign()

    assert errors(real.judge(world, world.policy())) == {"image": "AMBIGUOUS_JSON"}


def test_25_ambiguous_payload(real: RealStage) -> None:
    """Attack 25: an ambiguous statement under a good signature."""
    world = real.unsigned
    digest = world.image.digest.hex
    other = Digest.of(b"evil").hex
    payload = (
        '{"_type":"https://in-toto.io/Statement/v1",'
        f'"subject":[{{"name":"{world.reference.identity}","digest":{{"sha256":"{digest}"}}}}],'
        f'"Subject":[{{"digest":{{"sha256":"{other}"}}}}],'
        '"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}'
    )
    world.sign(payload=payload.encode())

    assert errors(real.judge(world, world.policy())) == {"signature": "AMBIGUOUS_JSON"}
