"""Expressions of a rule in whole verdicts."""

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.oci.codec import index_bytes
from imagekit.oci.reference import PinnedReference
from imagekit.oci.types import CONFIG, EMPTY, EMPTY_JSON, INDEX, MANIFEST, Descriptor, Index
from imagekit.oci.types import Platform as OciPlatform
from imagekit.policy.ruleset import Expression, Level, Platforms
from imagekit.verify.verdict import Verdict
from tests.support.fakes import MemorySigner
from tests.support.signed import NOW, World, finding

_TYPE = "https://x.org/t"


@pytest.fixture
def world() -> World:
    """A registry with one image that is signed."""
    made = World()
    made.sign()
    return made


def _judge(world: World, *texts: str, **rule: Any) -> Verdict:
    expressions = tuple(Expression(cel=text) for text in texts)
    return world.judge(world.policy(expressions=expressions, **rule))


def _code(verdict: Verdict) -> str:
    found = [each for each in verdict.findings if each.check == "expressions"]
    assert len(found) == 1, verdict.findings
    return found[0].code


def test_true_allows(world: World) -> None:
    """All of them are true, and the verdict says so."""
    verdict = _judge(world, "config.os == 'linux'", "reference == 'r.site/apps/demo:1'")

    assert verdict.allowed
    assert finding(verdict, "expressions").message == "2 of 2 are true"


def test_false_denies(world: World) -> None:
    """With what the policy says of it, and with the expression."""
    expression = Expression(cel="tag != '1'", message="nothing is called 1 here")
    verdict = world.judge(world.policy(expressions=(expression,)))

    assert not verdict.allowed
    assert _code(verdict) == "EXPRESSION_FAILED"
    message = finding(verdict, "expressions").message
    assert "nothing is called 1 here" in message
    assert "tag != '1'" in message


def test_an_error_denies(world: World) -> None:
    """A key that is not there is no answer."""
    assert _code(_judge(world, "config.config.Nope == ''")) == "EXPRESSION_ERROR"


def test_each_that_fails_is_told(world: World) -> None:
    """One that is true does not make up for the others."""
    verdict = _judge(world, "false", "true", "config.x == 1")

    codes = [each.code for each in verdict.findings if each.severity == "error"]
    assert codes == ["EXPRESSION_FAILED", "EXPRESSION_ERROR"]


def test_a_warning_only_until_its_day(world: World) -> None:
    """As the other checks of an image that is otherwise what it should be."""
    until = NOW + timedelta(days=1)

    verdict = _judge(world, "false", warn_until=until)

    assert verdict.allowed
    assert finding(verdict, "mode").code == "WOULD_DENY"
    assert finding(verdict, "expressions").severity == "warning"
    assert not _judge(world, "false", warn_until=NOW).allowed


class TestAttestations:
    """Only what counts can be spoken of."""

    _TEXT = f"attestations['{_TYPE}'].exists(p, p.level == 2)"

    def test_counted(self, world: World) -> None:
        """By the rule's authorities."""
        world.attach(_TYPE, {"level": 1})
        assert _code(_judge(world, self._TEXT)) == "EXPRESSION_FAILED"
        world.attach(_TYPE, {"level": 2})
        assert _judge(world, self._TEXT).allowed

    def test_by_an_attestor_of_its_own(self, world: World) -> None:
        """By those whom the rule requires it of."""
        attestor = MemorySigner()
        world.attach(_TYPE, {"level": 2}, signer=attestor)
        policy = world.policy(
            _TYPE, attestors=(attestor,), expressions=(Expression(cel=self._TEXT),)
        )

        assert world.judge(policy).allowed

    def test_by_a_stranger_or_of_another_image(self, world: World) -> None:
        """Neither says anything."""
        world.attach(_TYPE, {"level": 2}, signer=MemorySigner())
        world.attach(_TYPE, {"level": 2}, digest=world.image.digest.of(b"other"))

        assert _code(_judge(world, self._TEXT)) == "EXPRESSION_ERROR"

    def test_by_the_attestor_of_something_else(self, world: World) -> None:
        """Whoever may attest one type says nothing by another."""
        attestor = MemorySigner()
        world.attach(_TYPE, {"level": 2}, signer=attestor)
        world.attach("https://x.org/other", {"a": 1}, signer=attestor)
        policy = world.policy(
            "https://x.org/other", attestors=(attestor,), expressions=(Expression(cel=self._TEXT),)
        )

        assert _code(world.judge(policy)) == "EXPRESSION_ERROR"


def _platform(world: World, architecture: str, user: str) -> Descriptor:
    config = {"os": "linux", "architecture": architecture, "config": {"User": user}}
    blob = world.registry.put_bytes(world.repository, CONFIG, json.dumps(config).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": str(blob.digest), "size": blob.size},
        "layers": [],
        "annotations": {"arch": architecture},
    }
    pinned = world.registry.put_manifest(world.repository, MANIFEST, json.dumps(manifest).encode())
    descriptor = world.registry.manifest(pinned).descriptor
    return replace(descriptor, platform=OciPlatform(os="linux", architecture=architecture))


def _index(world: World, *entries: Descriptor) -> PinnedReference:
    raw = index_bytes(Index(media_type=INDEX, manifests=entries))
    world.image = world.registry.put_manifest(world.repository, INDEX, raw)
    world.tag("1", world.image)
    world.sign()
    return world.image


class TestIndex:
    """Every platform's own configuration is judged."""

    def test_each_part(self) -> None:
        """One that fails denies the index, and the message names it."""
        world = World()
        _index(world, _platform(world, "amd64", "1000"), _platform(world, "arm64", "0"))

        verdict = _judge(world, "config.config.User != '0'")

        (failed,) = (each for each in verdict.findings if each.severity == "error")
        assert failed.code == "EXPRESSION_FAILED"
        assert failed.message.startswith("linux/arm64: ")
        assert _judge(world, "config.config.User in ['0', '1000']").allowed

    def test_manifest_and_annotations_are_the_parts(self) -> None:
        """Nothing of the index is mixed in."""
        world = World()
        _index(world, _platform(world, "amd64", "1"))

        assert _judge(world, "annotations.arch == 'amd64' && platform == 'linux/amd64'").allowed

    @pytest.mark.parametrize(
        ("level", "asked"),
        [(Level.TOP, ("true",)), (Level.MANIFESTS, ()), (Level.ALL, ())],
    )
    def test_an_index_of_nothing_to_run(self, level: Level, asked: tuple[str, ...]) -> None:
        """Where there is no platform nothing was judged, and that is no pass."""
        world = World()
        entry = _platform(world, "amd64", "1")
        unknown = replace(entry, platform=OciPlatform(os="unknown", architecture="unknown"))
        empty = world.registry.put_bytes(world.repository, EMPTY, EMPTY_JSON)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": EMPTY, "digest": str(empty.digest), "size": empty.size},
            "layers": [],
        }
        pinned = world.registry.put_manifest(
            world.repository, MANIFEST, json.dumps(manifest).encode()
        )
        attached = world.registry.manifest(pinned).descriptor
        _index(world, replace(attached, platform=unknown.platform))

        verdict = _judge(world, *asked, platforms=Platforms(verify=level))

        errors = [each.code for each in verdict.findings if each.severity == "error"]
        assert "MISSING_MANIFEST" in errors
        assert not verdict.allowed
