"""Buildah waits at its policy until the working containers were looked at."""

import json
import shutil
from pathlib import Path

import pytest

from imagekit.build.job import ContainerStore, Folder
from imagekit.build.tools.commits import CommitGuard
from imagekit.errors import BuildError, ToolError

POLICY = b'{"default": []}'
MARK = "/jobs/this/containerfile"


@pytest.fixture
def store(tmp_path: Path) -> ContainerStore:
    """A storage without containers."""
    folder = tmp_path / "storage"
    (folder / "vfs-containers").mkdir(parents=True)
    place = Folder(path=folder, real=folder)
    return ContainerStore(folder=place, run=tmp_path, driver="vfs", runtime="runc")


def _guard(store: ContainerStore) -> CommitGuard:
    return CommitGuard(store, store.run / "policy", POLICY, mark=MARK)


def _container(store: ContainerStore, name: str, *, mark: str = MARK) -> None:
    """Add a container whose tree has one file."""
    graph = store.folder.real
    file = graph / "vfs-containers/containers.json"
    listed = json.loads(file.read_text()) if file.exists() else []
    one = f"c{len(listed)}"
    (graph / "vfs/dir" / one).mkdir(parents=True)
    (graph / "vfs/dir" / one / name).touch()
    record = graph / "vfs-containers" / one / "userdata/buildah.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"CommonBuildOpts": {"Secrets": [f"id=x,src={mark}"]}}))
    file.write_text(json.dumps([*listed, {"id": one, "layer": one}]))


def test_every_reader_gets_the_policy(store: ContainerStore, tmp_path: Path) -> None:
    """Whole, and once each; afterwards nothing is left."""
    with _guard(store) as guard:
        _container(store, "good")
        read = [(tmp_path / "policy").read_bytes() for _ in range(3)]

    guard.check()
    assert read == [POLICY] * 3
    assert not [*tmp_path.glob("policy*")]


def test_each_commit_is_looked_at(store: ContainerStore, tmp_path: Path) -> None:
    """The fault of an earlier stage stays one, whatever the last one has."""
    with _guard(store) as guard:
        _container(store, ".wh.x")
        (tmp_path / "policy").read_bytes()
        _container(store, "good")
        (tmp_path / "policy").read_bytes()

    with pytest.raises(BuildError, match=r"\.wh\.x"):
        guard.check()


def test_other_builds_are_not_ours(store: ContainerStore, tmp_path: Path) -> None:
    """In the same storage they may have what they like, from before or from now."""
    _container(store, ".wh.x", mark="/jobs/other/containerfile")
    with _guard(store) as guard:
        _container(store, "good")
        _container(store, ".wh.y", mark="/jobs/another/containerfile")
        (store.folder.real / "vfs-containers/c2/userdata/buildah.json").write_text("{")
        (tmp_path / "policy").read_bytes()

    guard.check()


@pytest.mark.parametrize("listed", ["{", '[{"id": "c0"}]', '{"layer": 1}', "[1]"])
def test_what_cannot_be_read_is_no_image(
    store: ContainerStore, tmp_path: Path, listed: str
) -> None:
    """A list that is another one than was expected."""
    _container(store, "good")
    with _guard(store) as guard:
        (store.folder.real / "vfs-containers/containers.json").write_text(listed)
        assert (tmp_path / "policy").read_bytes() == POLICY

    with pytest.raises(ToolError):
        guard.check()


def test_a_buildah_that_does_not_wait_makes_no_image(store: ContainerStore, tmp_path: Path) -> None:
    """What it committed was not seen; nor what it read before there was a container."""
    with _guard(store) as guard:
        (tmp_path / "policy").read_bytes()

    with pytest.raises(ToolError, match="nothing of it was seen"):
        guard.check()


def test_a_tree_that_is_gone_is_no_image(store: ContainerStore, tmp_path: Path) -> None:
    """It was not seen either."""
    _container(store, "good")
    shutil.rmtree(store.folder.real / "vfs/dir/c0")
    with _guard(store) as guard:
        (tmp_path / "policy").read_bytes()

    with pytest.raises(ToolError, match="cannot read the image's tree"):
        guard.check()
