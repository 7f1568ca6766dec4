"""What is done while an image's tests run: it goes on, or is given up with them."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.build.image import BuiltImage
from imagekit.errors import BuildError, DocumentError, RegistryError
from imagekit.oci.destination import Destination
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.progress import Advanced, Done, Event
from imagekit.publish.publish_platforms import publish_recipe
from imagekit.recipe.recipe import ImageBase, Recipe
from tests.support.built import built_recipe
from tests.support.fakes import MemoryRegistry, MemorySigner

Tests = Callable[[BuiltImage], None]


class _Watched(MemoryRegistry):
    """Notices when a layer has come."""

    def __init__(self) -> None:
        super().__init__()
        self.came = threading.Event()
        self.fault: Exception | None = None

    def put_blob(self, *arguments: Any, **words: Any) -> bool:
        """Store a file as a blob."""
        if self.fault is not None:
            raise self.fault
        sent = super().put_blob(*arguments, **words)
        self.came.set()
        return sent


class Publisher:
    """Publishes an image that is built already, whose tests a test says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.registry = _Watched()
        self.events: list[Event] = []
        self.recipe, self.image = built_recipe(folder, "1.0")
        self._monkeypatch = monkeypatch

    def run(self, tests: Tests) -> None:
        """Publish it."""

        def build(_recipe: Recipe, *, built: Tests, **_: object) -> BuiltImage:
            built(self.image)
            tests(self.image)
            return self.image

        self._monkeypatch.setattr("imagekit.publish.publish.build_tested", build)
        publish_recipe(
            self.recipe,
            to=Destination("registry.example", "apps"),
            signer=MemorySigner(),
            writer=self.registry,
            progress=self.events.append,
        )


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    """Publishes to a registry in memory, with a home of its own."""
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return Publisher(tmp_path, monkeypatch)


def test_blobs_go_up_while_the_tests_run(publisher: Publisher) -> None:
    """And nothing else: what names them comes when the tests have passed."""
    seen: list[bool] = []

    def tests(_image: BuiltImage) -> None:
        seen.append(publisher.registry.came.wait(10))
        seen.append(not publisher.registry.manifests and not publisher.registry.tagged)

    publisher.run(tests)

    assert seen == [True, True]
    assert publisher.registry.tagged


def test_what_is_told_keeps_its_order(publisher: Publisher) -> None:
    """A line of the push before one of the tests would say that it was pushed without them."""

    def tests(_image: BuiltImage) -> None:
        publisher.registry.came.wait(10)
        publisher.events.append(Done(stage="tests", summary="", seconds=0))

    publisher.run(tests)

    stages = [event.stage for event in publisher.events if isinstance(event, Done | Advanced)]
    assert list(dict.fromkeys(stages))[:4] == ["tests", "sbom", "check", "push"]


def test_where_a_test_fails_nothing_names_what_was_sent(publisher: Publisher) -> None:
    """The error is that of the test, and no thread goes on."""

    def tests(_image: BuiltImage) -> None:
        publisher.registry.came.wait(10)
        raise BuildError("test 1 of 1")

    with pytest.raises(BuildError, match="test 1 of 1"):
        publisher.run(tests)

    assert not publisher.registry.manifests
    assert not publisher.registry.tagged
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("upload")]


def test_layers_of_the_base_are_mounted(publisher: Publisher) -> None:
    """From the repository of the same registry that the base is in: no byte of them is sent."""
    base = Repository("registry.example", "base/debian")
    (layer,) = publisher.image.layers
    blob = layer.descriptor.digest
    raw = (publisher.image.layout / "blobs/sha256" / blob.hex).read_bytes()
    publisher.registry.blobs[base.name, blob] = raw
    publisher.recipe = replace(
        publisher.recipe,
        base=ImageBase(reference=PinnedReference(base, blob), place=publisher.recipe.place),
    )
    publisher.run(lambda _: None)

    (pushed,) = [e for e in publisher.events if isinstance(e, Done) and e.stage == "push"]
    assert pushed.summary.startswith("1 layer, 0 new")
    assert publisher.registry.blobs["registry.example/apps/hello", blob] == raw


def test_a_registry_that_refuses_a_blob_gets_no_manifest(publisher: Publisher) -> None:
    """It is told when the tests have passed."""
    publisher.registry.fault = RegistryError("no room")
    with pytest.raises(RegistryError, match="no room"):
        publisher.run(lambda _: None)

    assert not publisher.registry.manifests


def test_an_image_that_cannot_be_catalogued_is_not_pushed(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its blobs may be there; no manifest is."""

    def refuse(*_: object, **__: object) -> None:
        raise DocumentError("no layer")

    monkeypatch.setattr("imagekit.sbom.sbom.catalogue_image", refuse)
    with pytest.raises(DocumentError, match="no layer"):
        publisher.run(lambda _: None)

    assert not publisher.registry.manifests
