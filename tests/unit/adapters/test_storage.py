"""Where imagekit keeps its own container storage."""

from pathlib import Path

from imagekit.adapters.storage import Folders, container_store


def test_storages_never_share_where_mounts_are_counted(tmp_path: Path) -> None:
    """Builds under two homes run at the same time, and neither unmounts the other's tree."""
    env = {"XDG_RUNTIME_DIR": str(tmp_path)}
    homes = [Folders.of({"HOME": str(tmp_path / name)}) for name in ("one", "two")]

    first, second = (container_store(folders, env) for folders in homes)

    assert first.graph != second.graph
    assert first.run != second.run
    assert container_store(homes[0], env).run == first.run
