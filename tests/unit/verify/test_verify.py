"""One verifier for many images: what it asks for, how often, and in which order it answers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagekit.errors import NotFoundError
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.reference import TaggedReference
from imagekit.verify.collect import gather
from imagekit.verify.rollback import NoRollbackStore
from imagekit.verify.verify import Verifier
from tests.support.fakes import FixedClock, MemorySigner
from tests.support.hostile import Answer
from tests.support.replay import OPTIONS, Stage
from tests.support.signed import NOW, World, signed_world


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A registry with the referrers API that has one signed image."""
    made = Stage()
    with made.server:
        yield made


def _verifier(stage: Stage) -> Verifier:
    return Verifier(stage.policy, options=OPTIONS, clock=FixedClock(NOW), memory=NoRollbackStore())


def _asked(stage: Stage) -> list[str]:
    """Return what was asked for since this was called last."""
    found = [asked.path for asked in stage.server.asked]
    stage.server.asked.clear()
    return found


def test_the_second_look_asks_for_what_can_change(stage: Stage) -> None:
    """The tag and the lists; what was read by digest cannot have changed."""
    verifier = _verifier(stage)
    assert verifier.verify(stage.world.reference).allowed
    first = _asked(stage)

    assert verifier.verify(stage.world.reference).allowed

    fallback = f"/v2/apps/demo/manifests/sha256-{stage.world.image.digest.hex}"
    assert len(first) == len(set(first)) == 11
    assert sorted(_asked(stage)) == sorted(
        [stage.manifest, stage.referrers, fallback, f"{fallback}.sig"]
    )


def test_what_appears_between_two_looks_is_seen(stage: Stage) -> None:
    """Lists are asked for anew: what was attached meanwhile may be a withdrawal."""
    verifier = _verifier(stage)
    verifier.verify(stage.world.reference)
    stage.world.sign(signer=MemorySigner())
    _asked(stage)

    verifier.verify(stage.world.reference)

    assert len(_asked(stage)) == 6


def test_a_tag_that_moved_is_judged_anew(stage: Stage) -> None:
    """The verdict of the first look is not kept."""
    verifier = _verifier(stage)
    assert verifier.verify(stage.world.reference).allowed
    registry, repository = stage.world.registry, stage.world.repository
    config = registry.put_bytes(repository, "application/vnd.oci.image.config.v1+json", b"{}")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": config.media_type, "digest": str(config.digest), "size": 2},
        "layers": [],
    }
    moved = registry.put_manifest(
        repository, str(manifest["mediaType"]), json.dumps(manifest).encode()
    )
    stage.world.tag("1", moved)

    verdict = verifier.verify(stage.world.reference)

    assert (verdict.allowed, verdict.digest) == (False, moved.digest)


def test_that_there_is_no_api_is_never_remembered(stage: Stage) -> None:
    """A fault may look the same, and what is listed a moment later may be a withdrawal."""
    verifier = _verifier(stage)
    stage._lie = lambda _, asked, __: Answer(404) if asked.path == stage.referrers else None
    for _ in range(2):
        verifier.verify(stage.world.reference)

        assert stage.referrers in _asked(stage)


@pytest.mark.parametrize("at_once", [2, 8])
def test_how_many_are_asked_at_once_changes_nothing(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Candidates and refusals have the order of the lists, junk among them."""
    world = signed_world()
    for number in range(20):
        world.sign(signer=MemorySigner())
        world.attach_raw(b"junk %d" % number)
    world.sign_legacy(*(MemorySigner() for _ in range(5)))
    gone = world.registry.referrers(world.image)[7]
    del world.registry.manifests[world.repository.name, gone.digest]
    listed = world.registry.referrers(world.image)
    monkeypatch.setattr(world.registry, "referrers", lambda _: (*listed[:7], gone, *listed[7:]))

    one_by_one = gather(world.registry, world.image)

    assert gather(world.registry, world.image, at_once=at_once) == one_by_one
    assert len(one_by_one.candidates) == 3 + 20 + 20 + 5 - 1
    assert [each.code for each in one_by_one.refusals] == ["REFERRERS_LOST"]


def test_many_are_answered_in_their_order(stage: Stage) -> None:
    """A reference that is none, and one that is not there, keep no other from its verdict."""
    good = str(stage.world.reference)
    missing = str(TaggedReference(stage.world.repository, "no"))
    references = [good, "Not A Reference", missing, *[good] * 30]

    judged = list(_verifier(stage).verify_many(references))

    assert [one.reference for one in judged] == references
    assert isinstance(judged[2].error, NotFoundError)
    assert judged[1].error is not None
    assert all(one.verdict is not None and one.verdict.allowed for one in judged[3:])


def _in_layout(folder: Path) -> World:
    registry = LayoutRegistry(LayoutStore(folder))
    return World.in_layout(registry)


def test_one_name_in_several_places(tmp_path: Path) -> None:
    """What speaks for the image is read where it is asked for, and told with that place."""
    signed, _ = (_in_layout(tmp_path / name) for name in ("signed", "bare"))
    signed.sign()
    verifier = Verifier(signed.policy(), clock=FixedClock(NOW), memory=NoRollbackStore())
    texts = [f"oci:{tmp_path}/{name}:r.site/apps/demo:1" for name in ("signed", "bare", "signed")]

    verdicts = [verifier.verify(text) for text in texts]

    assert [verdict.allowed for verdict in verdicts] == [True, False, True]
    assert [str(verdict.located) for verdict in verdicts] == texts
    assert len({verdict.reference for verdict in verdicts}) == 1


def test_the_command_of_a_hint_leads_to_the_same_place(tmp_path: Path) -> None:
    """Signed by name alone, an image of a layout would be looked for in a registry."""
    world = _in_layout(tmp_path)
    verifier = Verifier(world.policy(), clock=FixedClock(NOW), memory=NoRollbackStore())

    verdict = verifier.verify(f"oci:{tmp_path}:r.site/apps/demo:1")

    (hint,) = (each.hint for each in verdict.findings if each.code == "NO_SIGNATURE")
    assert f"imagekit sign oci:{tmp_path}:r.site/apps/demo:1@{world.image.digest} --key" in hint


def test_a_moved_tag_of_a_layout_is_told_with_its_place(tmp_path: Path) -> None:
    """The name alone could be a registry's."""
    world = _in_layout(tmp_path)
    world.sign()
    verifier = Verifier(world.policy(), clock=FixedClock(NOW), memory=NoRollbackStore())

    verdict = verifier.verify(f"oci:{tmp_path}:r.site/apps/demo:2@{world.image.digest}")

    (moved,) = (each.message for each in verdict.findings if each.code == "TAG_MOVED")
    assert moved == f"the tag oci:{tmp_path}:r.site/apps/demo:2 does not exist any more"
