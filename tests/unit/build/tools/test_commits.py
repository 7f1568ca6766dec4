"""Buildah waits at its policy until the working containers were looked at."""

import json
from pathlib import Path

import pytest

from imagekit.build.tools.commits import CommitGuard
from imagekit.build.types import ContainerStore, Folder
from imagekit.errors import BuildError, ToolError

POLICY = b'{"default": []}'


@pytest.fixture
def store(tmp_path: Path) -> ContainerStore:
    """A storage without containers."""
    folder = tmp_path / "storage"
    (folder / "vfs-containers").mkdir(parents=True)
    place = Folder(path=folder, real=folder)
    return ContainerStore(folder=place, run=tmp_path, driver="vfs", runtime="runc")


def _container(store: ContainerStore, *names: str) -> None:
    graph = store.folder.real
    layers = [f"layer{number}" for number, _ in enumerate(names)]
    for layer, name in zip(layers, names, strict=True):
        (graph / "vfs/dir" / layer).mkdir(parents=True, exist_ok=True)
        (graph / "vfs/dir" / layer / name).touch()
    listed = json.dumps([{"id": layer, "layer": layer} for layer in layers])
    (graph / "vfs-containers/containers.json").write_text(listed)


def test_every_reader_gets_the_policy(store: ContainerStore, tmp_path: Path) -> None:
    """Whole, and once each; afterwards nothing is left."""
    with CommitGuard(store, tmp_path / "policy", POLICY) as guard:
        _container(store, "good")
        read = [(tmp_path / "policy").read_bytes() for _ in range(3)]

    guard.check()
    assert read == [POLICY] * 3
    assert not [*tmp_path.glob("policy*")]


def test_each_commit_is_looked_at(store: ContainerStore, tmp_path: Path) -> None:
    """The fault of an earlier stage stays one, whatever the last one has."""
    with CommitGuard(store, tmp_path / "policy", POLICY) as guard:
        _container(store, ".wh.x")
        (tmp_path / "policy").read_bytes()
        _container(store, "good")
        (tmp_path / "policy").read_bytes()

    with pytest.raises(BuildError, match=r"\.wh\.x"):
        guard.check()


def test_containers_of_before_are_not_ours(store: ContainerStore, tmp_path: Path) -> None:
    """Another build in the same storage may have what it likes."""
    _container(store, ".wh.x")
    with CommitGuard(store, tmp_path / "policy", POLICY) as guard:
        _container(store, ".wh.x", "good")
        (tmp_path / "policy").read_bytes()

    guard.check()


@pytest.mark.parametrize("listed", ["{", '[{"id": "x"}]', '{"layer": 1}', '[{"layer": "gone"}]'])
def test_what_cannot_be_read_is_no_image(
    store: ContainerStore, tmp_path: Path, listed: str
) -> None:
    """A list that is another one than was expected, or a tree that is not there."""
    with CommitGuard(store, tmp_path / "policy", POLICY) as guard:
        (store.folder.real / "vfs-containers/containers.json").write_text(listed)
        assert (tmp_path / "policy").read_bytes() == POLICY

    with pytest.raises(ToolError):
        guard.check()


def test_a_buildah_that_does_not_wait_makes_no_image(store: ContainerStore, tmp_path: Path) -> None:
    """What it committed was not seen; nor what it read before there was a container."""
    with CommitGuard(store, tmp_path / "policy", POLICY) as guard:
        (tmp_path / "policy").read_bytes()

    with pytest.raises(ToolError, match="nothing of it was seen"):
        guard.check()
