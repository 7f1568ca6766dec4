"""A tag is written when all consumers have accepted the image, and never before."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.errors import ConsumerRefusedError, InputError, ToolNotFoundError
from imagekit.oci.destination import Destination
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.publish.consumers import Consumer
from imagekit.publish.publish import PublishOptions
from imagekit.publish.publish_platforms import publish_recipe
from imagekit.publish.published import PublishedImage
from tests.support.built import built_recipe
from tests.support.counting import CountingRegistry
from tests.support.fakes import FixedClock, MemorySigner

REPOSITORY = Repository("r.site", "apps/hello")
Publish = Callable[..., PublishedImage]


class _Asked:
    """A consumer that notes which tags there were when it was asked."""

    def __init__(
        self,
        registry: CountingRegistry,
        *,
        refuses: bool = False,
        missing: bool = False,
    ) -> None:
        self.registry = registry
        self.refuses = refuses
        self.missing = missing
        self.asked: list[tuple[PinnedReference, frozenset[str]]] = []

    def __str__(self) -> str:
        return "the node"

    def check(self) -> None:
        """Say whether it is there."""
        if self.missing:
            raise ToolNotFoundError("it is not installed")

    def ask(self, image: PinnedReference) -> None:
        """Accept it, or not."""
        tags = {tag for tag in self.registry.tags(REPOSITORY) if not tag.startswith("sha256-")}
        self.asked.append((image, frozenset(tags)))
        if self.refuses:
            raise ConsumerRefusedError("the node does not accept it")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Publishes a recipe, asking consumers."""
    signer = MemorySigner()

    def publish_it(
        registry: CountingRegistry, *consumers: Consumer, version: str = "1.0", to: str = ""
    ) -> PublishedImage:
        recipe, built = built_recipe(tmp_path, version)
        monkeypatch.setattr("imagekit.publish.publish.build_tested", lambda *_, **__: built)
        return publish_recipe(
            recipe,
            to=to or Destination("r.site", "apps"),
            signer=signer,
            writer=registry,
            clock=FixedClock(),
            options=PublishOptions(consumers=consumers),
        )

    return publish_it


def _latest(registry: CountingRegistry) -> Digest:
    return registry.resolve(TaggedReference(REPOSITORY, "latest")).digest


def test_all_are_asked_by_digest_before_any_tag(run: Publish) -> None:
    """What they accept is tagged then."""
    registry = CountingRegistry()
    first, second = _Asked(registry), _Asked(registry)

    image = run(registry, first, second)

    by_digest = PinnedReference(REPOSITORY, image.reference.digest)
    assert first.asked == second.asked == [(by_digest, frozenset())]
    assert {"1.0", "latest"} <= set(registry.tags(REPOSITORY))


def test_one_that_refuses_leaves_all_tags_where_they_are(run: Publish) -> None:
    """Also those that move; the next run asks again and completes it."""
    registry = CountingRegistry()
    first = run(registry)
    refusing = _Asked(registry, refuses=True)

    with pytest.raises(ConsumerRefusedError) as caught:
        run(registry, _Asked(registry), refusing, version="1.1")

    assert caught.value.exit_code == 4
    assert "1.1" not in registry.tags(REPOSITORY)
    assert _latest(registry) == first.reference.digest
    accepting = _Asked(registry)
    image = run(registry, accepting, version="1.1")
    assert [tags for _, tags in accepting.asked] == [frozenset({"1.0", "latest"})]
    assert _latest(registry) == image.reference.digest


def test_an_unchanged_release_is_not_asked_about(run: Publish) -> None:
    """No tag moves."""
    registry = CountingRegistry()
    run(registry)
    consumer = _Asked(registry, refuses=True)

    assert run(registry, consumer).status == "unchanged"
    assert consumer.asked == []


def test_a_program_that_is_missing_is_named_before_anything_is_done(run: Publish) -> None:
    """An hour's build would be lost."""
    registry = CountingRegistry()

    with pytest.raises(ToolNotFoundError):
        run(registry, _Asked(registry, missing=True))

    assert registry.writes == []


def test_a_layout_has_no_consumers(run: Publish, tmp_path: Path) -> None:
    """None of them could find the image there."""
    registry = CountingRegistry()

    with pytest.raises(InputError, match="consumers") as caught:
        run(registry, _Asked(registry), to=f"oci:{tmp_path}/images")

    assert caught.value.code == "publish/consumers-of-layout"
