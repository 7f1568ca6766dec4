"""The list of proofs that the gate serves, and its page of the documentation."""

from pathlib import Path

from imagekit.gate.decisions import attached
from imagekit.gate.decisions.attached import ClaimedProof, is_genuine, proof_of
from imagekit.oci.digest import Digest
from imagekit.oci.types import (
    COMPATIBILITY,
    CYCLONEDX,
    EMPTY,
    EMPTY_JSON,
    MANIFEST,
    Descriptor,
    RawManifest,
)
from imagekit.sign.attach import attach, needs_artifact
from tests.support.needs import ALL
from tests.support.signed import signed_world

_DOCS = Path(__file__).parents[4] / "docs" / "gate.md"


def test_own_proofs_are_genuine() -> None:
    """What imagekit attaches is on the list, and is what the list says."""
    world = signed_world()
    listed = world.registry.referrers(world.image)
    proofs = [
        proof_of(world.registry.manifest(world.image.with_digest(each.digest))) for each in listed
    ]

    assert len(proofs) == 3
    for proof in proofs:
        assert proof is not None
        assert proof.subject == world.image.digest
        assert is_genuine(
            proof, lambda one: world.registry.blob(world.repository, one, limit=1 << 20)
        )


def test_needs_for_other_programs_are_a_proof() -> None:
    """Node Feature Discovery asks the gate for them as it asks a registry."""
    world = signed_world()
    attach(
        world.registry,
        world.image,
        manifest=world.registry.manifest(world.image).descriptor,
        artifact=needs_artifact(ALL),
    )
    (listed,) = [
        each
        for each in world.registry.referrers(world.image)
        if each.artifact_type == COMPATIBILITY
    ]

    proof = proof_of(world.registry.manifest(world.image.with_digest(listed.digest)))

    assert proof is not None
    assert is_genuine(proof, lambda one: world.registry.blob(world.repository, one, limit=1 << 20))


def test_image_is_no_proof() -> None:
    """It names no subject."""
    world = signed_world()

    assert proof_of(world.registry.manifest(world.image)) is None


def test_junk_is_no_proof() -> None:
    """What cannot be read is none."""
    raw = RawManifest(media_type=MANIFEST, digest=Digest.of(b"{"), raw=b"{")

    assert proof_of(raw) is None


def test_what_is_not_json_is_not_genuine() -> None:
    """The bytes decide, whatever they are called."""
    config = Descriptor(media_type=EMPTY, digest=Digest.of(EMPTY_JSON), size=2)
    layer = Descriptor(media_type=CYCLONEDX, digest=Digest.of(b"x"), size=1)
    proof = ClaimedProof(subject=Digest.of(b""), config=config, layers=(layer,))

    assert not is_genuine(proof, lambda one: EMPTY_JSON if one is config else b"x")
    assert not is_genuine(proof, lambda _: EMPTY_JSON)


def test_list_is_documented() -> None:
    """Each type stands in the table with its key, and nothing else does."""
    page = _DOCS.read_text(encoding="utf-8")
    table = page.partition("## What is attached")[2].partition("The artifact type may")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]

    told = {
        name: row.rpartition("| `")[2].rstrip("` |")
        for row in rows
        for name in attached.PROOFS
        if f"`{name}`" in row
    }
    ranged = {name for name in attached.PROOFS if ";version=0." in name}

    assert {**told, **dict.fromkeys(ranged, "mediaType")} == attached.PROOFS
    assert ";version=0.1` to `0.3`" in table
