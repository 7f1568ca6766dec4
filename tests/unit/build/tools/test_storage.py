"""Where imagekit keeps its own container storage."""

import os
import pwd
from pathlib import Path

import pytest

from imagekit.build.tools import storage
from imagekit.build.tools.storage import Folders, container_store, job_folder
from imagekit.errors import ToolError
from imagekit.paths import home_of, is_plain


def test_storages_never_share_where_mounts_are_counted(tmp_path: Path) -> None:
    """Builds under two homes run at the same time, and neither unmounts the other's tree."""
    env = {"XDG_RUNTIME_DIR": str(tmp_path)}
    homes = [Folders.of({"HOME": str(tmp_path / name)}) for name in ("one", "two")]

    first, second = (container_store(folders, env) for folders in homes)

    assert first.graph != second.graph
    assert first.run != second.run
    assert container_store(homes[0], env).run == first.run


@pytest.mark.parametrize(
    "name", ["a b", "a,b", "a:b", "a[1]", "a*", "a?", 'a"b', "a\\b", "Ä", "$a"]
)
def test_tools_are_told_a_plain_path_whatever_home_is_called(tmp_path: Path, name: str) -> None:
    """Commas part lists, colons part volumes, brackets and stars are patterns."""
    folders = Folders.of({"HOME": str(tmp_path / name)})
    store = container_store(folders, {})
    job = job_folder(folders, store)

    assert store.folder.real == tmp_path / name / ".local/share/imagekit/containers"
    assert job.real.is_relative_to(tmp_path / name)
    assert is_plain(store.graph)
    assert is_plain(store.run)
    assert is_plain(job.path)


def test_a_plain_home_is_told_as_it_is(tmp_path: Path) -> None:
    """Nothing has to be mounted then."""
    store = container_store(Folders.of({"HOME": str(tmp_path)}), {})

    assert store.graph == store.folder.real


def test_an_empty_home_is_none() -> None:
    """HOME="" counts as unset: the system's own word for this user counts."""
    expected = Path(pwd.getpwuid(os.getuid()).pw_dir)

    assert home_of({"HOME": ""}) == home_of({}) == expected


def test_no_home_and_an_unknown_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clear error, with what to do."""

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)

    with pytest.raises(ToolError, match="knows no user") as caught:
        Folders.of({})
    assert "set HOME" in caught.value.hint
    env = {"XDG_DATA_HOME": "/d", "XDG_CACHE_HOME": "/c", "XDG_STATE_HOME": "/s"}
    assert Folders.of(env).data == Path("/d/imagekit")


@pytest.mark.parametrize("name", ["Upper", "dot.ted", "b lank", "com,ma", "[a]"])
def test_a_runtime_folder_that_is_no_name_is_not_used(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Buildah makes a repository's name of the path of a layout below it."""
    (tmp_path / name).mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 48212)
    monkeypatch.setattr(storage, "_own_folder", lambda _: None)
    env = {"HOME": "/h", "XDG_RUNTIME_DIR": str(tmp_path / name)}

    assert container_store(Folders.of(env), env).run.parent == Path("/tmp/imagekit-run-48212")
