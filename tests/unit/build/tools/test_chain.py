"""Chains of layers: one folder a content, made whole and never touched again."""

from pathlib import Path

import pytest

from imagekit.build.job import ContainerStore, Folder
from imagekit.build.tools.chain import FOLDER, Chain
from imagekit.oci.layout import LayoutStore


@pytest.fixture
def storage(tmp_path: Path) -> ContainerStore:
    """A storage whose layouts lie in a folder of their own."""
    place = Folder(path=tmp_path / "graph", real=tmp_path / "graph")
    return ContainerStore(folder=place, run=tmp_path / "run", driver="overlay", runtime="runc")


def _chain(tmp_path: Path, config: bytes = b"{}", name: str = "images") -> Chain:
    return Chain.of(config, (), LayoutStore.create(tmp_path / name))


def test_a_chain_that_is_there_is_used_as_it_is(tmp_path: Path, storage: ContainerStore) -> None:
    """Another build may be reading it: nothing in it is removed or written again."""
    chain = _chain(tmp_path)
    source = chain.place(storage)
    folder = storage.run / FOLDER / chain.name
    before = {path.name: path.lstat() for path in (folder, *folder.iterdir())}

    again = _chain(tmp_path).place(storage)

    assert again == source == f"oci:{folder}:localhost/chain:1"
    assert {path.name: path.lstat() for path in (folder, *folder.iterdir())} == before


def test_who_comes_second_leaves_the_first_ones_folder(
    tmp_path: Path, storage: ContainerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two builds make the same chain at once."""
    chain = _chain(tmp_path)
    folder = storage.run / FOLDER / chain.name
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if not folder.exists():
            folder.mkdir()
            (folder / "of-the-first").touch()
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    chain.place(storage)

    assert [path.name for path in folder.iterdir()] == ["of-the-first"]
    assert [path.name for path in folder.parent.iterdir()] == [chain.name]


def test_another_content_has_another_name(tmp_path: Path) -> None:
    """The configuration counts, and where the blobs lie."""
    chains = [_chain(tmp_path), _chain(tmp_path, b"[]"), _chain(tmp_path, name="others")]

    assert len({chain.name for chain in chains}) == 3


def test_buildah_can_make_a_name_of_the_folder(tmp_path: Path) -> None:
    """Lower-case letters and digits."""
    assert set(_chain(tmp_path).name) <= set("0123456789abcdef")
