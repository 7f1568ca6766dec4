"""Saving evidence, and reading it as the registry that it was saved from."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.errors import NotFoundError
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.location import REGISTRY, LocatedReference
from imagekit.oci.reference import PinnedReference, Reference, Repository, TaggedReference
from imagekit.oci.types import INDEX, Descriptor
from imagekit.policy.ruleset import SignedIdentity
from imagekit.verify.save import save_evidence
from imagekit.verify.saved import SavedReader
from imagekit.verify.verdict import Verdict
from imagekit.verify.verify import verify
from tests.support.fakes import FixedClock, MemoryRegistry, push_image
from tests.support.signed import NOW, World, signed_world


def _save(world: World, folder: Path, reference: Reference | None = None) -> None:
    wanted = LocatedReference(REGISTRY, reference or world.reference)
    save_evidence(wanted, folder, reader=world.registry)


def _judge(world: World, folder: Path, reference: Reference | None = None) -> Verdict:
    return verify(
        reference or world.reference,
        policy=world.policy("cyclonedx", "slsaprovenance1"),
        reader=SavedReader(folder),
        clock=FixedClock(NOW),
    )


@pytest.fixture
def world() -> World:
    """A signed image, with a legacy signature besides, and a layer that nobody has to read."""
    world = signed_world()
    world.sign_legacy()
    return world


def test_the_verdict_is_that_of_the_registry(world: World, tmp_path: Path) -> None:
    """Finding by finding, by tag and by digest, in both forms of signatures."""
    _save(world, tmp_path)

    for reference in (world.reference, world.image, world.reference.pin(world.image.digest)):
        live = world.judge(world.policy("cyclonedx", "slsaprovenance1"), reference=reference)
        assert live.allowed
        assert _judge(world, tmp_path, reference) == live


def test_a_refusal_is_kept_as_well(tmp_path: Path) -> None:
    """What a stranger attached is evidence, too."""
    world = World()
    world.sign(name="r.site/apps/other:1")
    _save(world, tmp_path)

    verdict = _judge(world, tmp_path)

    assert "REFERENCE_MISMATCH" in [each.code for each in verdict.findings]
    assert verdict == world.judge(world.policy("cyclonedx", "slsaprovenance1"))


def test_no_layer_is_saved(world: World, tmp_path: Path) -> None:
    """Evidence is small: manifests, configurations and signatures."""
    layers = {
        digest for (_, digest), raw in world.registry.blobs.items() if raw.startswith(b"layer")
    }
    _save(world, tmp_path)

    assert layers
    saved = {path.name for path in (tmp_path / "blobs/sha256").iterdir()}
    assert not saved & {digest.hex for digest in layers}


def test_several_images_in_one_folder(world: World, tmp_path: Path) -> None:
    """Each keeps its own signatures; saving again changes nothing."""
    other = signed_world("r.site/apps/other")
    _save(world, tmp_path)
    _save(other, tmp_path)
    index = (tmp_path / "index.json").read_bytes()
    _save(world, tmp_path)

    assert (tmp_path / "index.json").read_bytes() == index
    assert _judge(world, tmp_path).allowed
    assert _judge(other, tmp_path).allowed


def test_tag_and_digest(world: World, tmp_path: Path) -> None:
    """Of NAME:TAG@DIGEST the tag is saved as well, so that it is known where it points."""
    both = world.reference.pin(world.image.digest)
    _save(world, tmp_path, both)

    assert SavedReader(tmp_path).resolve(world.reference) == both


def test_a_layout_that_publish_wrote(tmp_path: Path) -> None:
    """Images under localhost stand for those of any registry with the same path."""
    registry, here = LayoutRegistry(LayoutStore(tmp_path)), Repository("localhost", "apps/demo")
    image = push_image(registry, here)
    registry.tag(TaggedReference(here, "1"), registry.manifest(image))

    asked = TaggedReference(Repository.parse("r.site/apps/demo"), "1")
    assert SavedReader(tmp_path).resolve(asked) == asked.pin(image.digest)


def test_another_image_does_not_stand_for_it(world: World, tmp_path: Path) -> None:
    """Also where the folder has no other; the error says what there is, and how to get more."""
    _save(world, tmp_path)
    asked = replace(world.reference, repository=Repository.parse("r.site/apps/other"))

    with pytest.raises(NotFoundError) as caught:
        SavedReader(tmp_path).manifest(asked)
    assert "r.site/apps/demo:1" in caught.value.hint


def test_an_index_with_its_platforms(tmp_path: Path) -> None:
    """The manifests in an index are saved with their own signatures."""
    world = World()
    child = world.registry.manifest(world.image).descriptor
    world.sign()
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                {
                    "mediaType": child.media_type,
                    "digest": str(child.digest),
                    "size": child.size,
                    "platform": {"os": "linux", "architecture": "amd64"},
                }
            ],
        }
    ).encode()
    top = world.registry.put_manifest(world.repository, INDEX, raw)
    world.tag("1", top)

    saved = save_evidence(world.located, tmp_path, reader=world.registry)

    assert saved.signatures == 1
    reader = SavedReader(tmp_path)
    assert reader.manifest(child_reference := top.with_digest(child.digest)).raw
    assert len(reader.referrers(child_reference)) == 1


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A signature that is listed and not there is a fact of the registry; the rest is saved."""
    world = signed_world()
    gone = next(key for key, raw in world.registry.manifests.items() if b'"subject"' in raw.raw)
    listed = world.registry.referrers(world.image)

    class _Lossy(MemoryRegistry):
        def referrers(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
            return listed if reference.digest == world.image.digest else ()

    lossy = _Lossy(world.registry.manifests.copy(), world.registry.blobs, world.registry.tagged)
    del lossy.manifests[gone]

    saved = save_evidence(world.located, tmp_path, reader=lossy)

    assert len(saved.unread) == 1
    assert saved.signatures == 2


def test_digest_only_rules_do_not_matter(world: World) -> None:
    """The policy of these tests binds names, so that a wrong name would be seen."""
    (rule,) = world.policy().images
    assert rule.signed_identity is SignedIdentity.MATCH_REPO_DIGEST_OR_EXACT
