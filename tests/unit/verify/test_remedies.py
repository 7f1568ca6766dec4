"""Hints are remedies: what is advised makes the image acceptable."""

import json
import re

from msgspec.structs import replace

from imagekit.errors import UsageError
from imagekit.oci.codec import index_bytes
from imagekit.oci.reference import PinnedReference, TaggedReference, parse_reference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import INDEX, Index, Platform
from imagekit.policy.ruleset import Level, Platforms
from imagekit.progress import silent
from imagekit.sign.provenance import Stated
from imagekit.sign.sign import sign_image
from imagekit.signatures.intoto import SLSA_PROVENANCE
from imagekit.verify.verdict import Verdict
from tests.support.fakes import FixedClock, MemorySigner
from tests.support.signed import World, signed_world

AMD64 = Platform(os="linux", architecture="amd64")


def hint(verdict: Verdict, code: str) -> str:
    """Return the hint of the finding with that code."""
    return next(each.hint for each in verdict.findings if each.code == code)


def advised(text: str) -> TaggedReference | PinnedReference:
    """Return the reference that the command in a hint names."""
    found = re.search(r"imagekit sign (\S+) --key FILE", text)
    if found is None:
        raise UsageError(f"no command in {text}")
    return parse_reference(found[1])


def test_an_unsigned_tag_is_to_be_signed_for_that_tag() -> None:
    """Signed by its digest alone it would be refused again, for its name."""
    world = World()
    found = advised(hint(world.judge(), "NO_SIGNATURE"))

    sign_image(world.registry, world.signer, found, clock=FixedClock(), progress=silent)

    assert found == PinnedReference(world.repository, world.image.digest, tag="1")
    assert world.judge().allowed


def test_a_missing_provenance_is_to_be_stated() -> None:
    """The command of the hint makes the attestation that the policy wants."""
    world = World()
    world.sign()
    policy = world.policy("slsaprovenance1")
    text = hint(world.judge(policy), "MISSING_ATTESTATION")

    sign_image(
        world.registry,
        world.signer,
        advised(text),
        clock=FixedClock(),
        progress=silent,
        stated=Stated(builder="https://ci.example.org"),
    )

    assert "--provenance --builder URI" in text
    assert world.judge(policy).allowed


def test_an_attestation_that_imagekit_does_not_make_is_not_promised() -> None:
    """No option of sign makes statements of other types."""
    world = World()
    world.sign()

    text = hint(world.judge(world.policy("spdx")), "MISSING_ATTESTATION")

    assert "imagekit sign" not in text
    assert "spdx" in text


def test_a_strangers_key_is_named() -> None:
    """Of the bundle and the legacy signature of one stranger, the bundle says whose key it is."""
    world, stranger = signed_world(), MemorySigner()

    verdict = world.judge(world.policy(signers=(stranger,)))

    (finding,) = (each for each in verdict.findings if each.code == "UNTRUSTED_KEY")
    assert world.signer.public_key.fingerprint in finding.message
    assert SLSA_PROVENANCE not in finding.message


def test_an_index_is_to_be_looked_into_for_sboms() -> None:
    """Signing it with --sbom makes SBOMs of its images: the rule has to look at these."""
    world = World()
    entry = world.registry.manifest(world.image).descriptor
    raw = index_bytes(Index(media_type=INDEX, manifests=(replace(entry, platform=AMD64),)))
    index = world.registry.put_manifest(world.repository, INDEX, raw)
    world.tag("1", index)
    named = PinnedReference(world.repository, index.digest, tag="1")

    def sbom(_: RegistryReader, image: PinnedReference) -> bytes:
        return json.dumps({"bomFormat": "CycloneDX", "of": str(image.digest)}).encode()

    sign_image(
        world.registry, world.signer, named, clock=FixedClock(), progress=silent, make_sbom=sbom
    )

    text = hint(world.judge(world.policy("cyclonedx")), "MISSING_ATTESTATION")

    assert "platforms: {verify: all}" in text
    inside = world.policy("cyclonedx", platforms=Platforms(verify=Level.ALL))
    assert world.judge(inside).allowed
