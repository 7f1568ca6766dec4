"""What prune removes, and what it never touches."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.build.image import BuiltImage, BuiltLayer
from imagekit.build.job import CachedLayer
from imagekit.build.local_store import (
    blobs_of,
    local_images,
    open_store,
    record_built,
    store_in_use,
)
from imagekit.build.logs import find_logs, logs_folder
from imagekit.build.prune import Pruned, PruneOptions, prune
from imagekit.build.tools.journal import journal
from imagekit.build.tools.layer_cache import LayerCache
from imagekit.build.tools.storage import Folders
from imagekit.errors import DocumentError
from imagekit.oci.codec import index_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutRegistry, LayoutStore, entries
from imagekit.oci.reference import Repository, TaggedReference
from imagekit.oci.types import INDEX, MANIFEST, Index
from imagekit.progress import silent
from tests.support.local_store import put

DAY = 86400.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of its own, as tests of processes need it too."""
    return tmp_path / "home"


@pytest.fixture
def folders(home: Path) -> Folders:
    """The folders of that home."""
    return Folders.of({"HOME": str(home)})


def pruned(
    home: Path,
    *,
    keep: int | None = None,
    older_than: float | None = None,
    dry_run: bool = False,
) -> Pruned:
    """Prune a home."""
    env = {"HOME": str(home)}
    return prune(PruneOptions(keep=keep, older_than=older_than, dry_run=dry_run, env=env))


def build(folders: Folders, name: str, version: str, *, days: float = 0) -> BuiltImage:
    """Put an image into the store, built so many days ago."""
    image = put(folders, name, version, mark=f"{name}{version}")
    now = time.time() - days * DAY
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: now)
        record_built(open_store(folders), image, recipes=Digest.of(b"recipes"))
    return image


def blobs(folders: Folders) -> set[str]:
    """Return the names of the blobs in the store."""
    return {path.name for path in (folders.images / "blobs/sha256").iterdir()}


def names(folders: Folders) -> list[str]:
    """Return the names of the images."""
    return [f"{image.name}:{image.version}" for image in local_images(folders)]


def counts(result: Pruned) -> dict[str, int]:
    """Return how many of each kind went."""
    found: dict[str, int] = {}
    for freed in result.freed:
        found[freed.kind] = found.get(freed.kind, 0) + freed.count
    return found


def orphan(folders: Folders, text: bytes = b"orphan", *, days: float = 0) -> Path:
    """Put a blob into the store that nothing needs."""
    digest = Digest.of(text)
    store = LayoutStore.create(folders.images)
    store.add(digest, iter((text,)))
    return aged(store.path(digest), days)


def aged(path: Path, days: float) -> Path:
    """Let a file be so many days old."""
    when = time.time() - days * DAY
    os.utime(path, (when, when))
    return path


def test_named_images_stay(folders: Folders, home: Path) -> None:
    """Without options nothing goes that has a name; what nobody needs does."""
    image = build(folders, "app", "1", days=400)
    lost = orphan(folders)
    part = folders.images / "blobs/sha256/.part-xyz"
    part.write_bytes(b"x" * 5000)

    result = pruned(home)

    assert names(folders) == ["app:1"]
    assert not lost.exists()
    assert not part.exists()
    assert blobs(folders) == {
        blob.digest.hex for blob in blobs_of(open_store(folders), image.manifest)
    }
    assert counts(result)["layers"] == 2
    assert result.size > 5000


@pytest.mark.parametrize(
    ("keep", "older_than", "left"),
    [
        (None, None, ["app:3", "app:2", "app:1", "lib:1"]),
        (2, None, ["app:3", "app:2", "lib:1"]),
        (0, None, []),
        (None, 15 * DAY, ["app:3", "app:2", "lib:1"]),
        (None, 5 * DAY, ["app:3", "lib:1"]),
        (2, 5 * DAY, ["app:3", "app:2", "lib:1"]),
        (0, 15 * DAY, ["app:3", "app:2"]),
    ],
)
def test_which_images_go(
    folders: Folders, home: Path, *, keep: int | None, older_than: float | None, left: list[str]
) -> None:
    """All but the newest of each recipe, and nothing that is too young."""
    for version, days in (("1", 20.0), ("2", 10.0), ("3", 1.0)):
        build(folders, "app", version, days=days)
    build(folders, "lib", "1", days=20.0)

    result = pruned(home, keep=keep, older_than=older_than)

    assert names(folders) == left
    assert len(result.images) == 4 - len(left)


def test_layers_that_another_image_has_stay(folders: Folders, home: Path) -> None:
    """All images of the test share one layer."""
    build(folders, "app", "1", days=2)
    kept = build(folders, "app", "2", days=1)

    pruned(home, keep=1)

    assert kept.layers[0].descriptor.digest.hex in blobs(folders)


def test_nothing_younger_goes(folders: Folders, home: Path) -> None:
    """Whatever it is."""
    build(folders, "app", "1")
    young, old = orphan(folders, b"young"), orphan(folders, b"old", days=3)
    (folders.cache / "downloads").mkdir(parents=True)
    fetched, other = (folders.cache / "downloads" / (digit * 64) for digit in "01")
    fetched.touch()
    other.touch()
    aged(other, 3)

    pruned(home, older_than=2 * DAY)

    assert (young.exists(), old.exists()) == (True, False)
    assert (fetched.exists(), other.exists()) == (True, False)


def test_a_download_stays_while_builds_use_it(folders: Folders, home: Path) -> None:
    """A lock's package may have left its mirror; what a killed download left goes at once."""
    (folders.cache / "downloads").mkdir(parents=True)
    used, unused = (folders.cache / "downloads" / (digit * 64) for digit in "01")
    half = folders.cache / "downloads/.part-x"
    for path, days in ((used, 29), (unused, 31), (half, 0)):
        path.write_bytes(b"deb")
        aged(path, days)

    result = pruned(home)

    assert [path.exists() for path in (used, unused, half)] == [True, False, False]
    assert counts(result)["downloads"] == 2


def test_downloads_are_bounded(
    folders: Folders, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not used for longest goes."""
    monkeypatch.setattr("imagekit.build.prune._MOST_DOWNLOADS", 10_000)
    (folders.cache / "downloads").mkdir(parents=True)
    newer, older = (folders.cache / "downloads" / (digit * 64) for digit in "01")
    for path, days in ((newer, 1), (older, 2)):
        path.write_bytes(bytes(8000))
        aged(path, days)

    pruned(home)

    assert (newer.exists(), older.exists()) == (True, False)


def test_a_locked_layer_stays_longer(folders: Folders, home: Path) -> None:
    """No day makes another layer of it; a month without a build lets its record go."""
    base = put(folders, "x", "1").layers[0]
    layer = _layer(base, orphan(folders, b"layer of a lock"))
    cache = LayerCache(folder=folders.cache / "layers", blobs=folders.images, max_age=0)
    for text, days in (("locked", 29.0), ("old", 31.0)):
        made = CachedLayer(layer=layer, materials=(), made=time.time() - days * DAY, locked=True)
        cache.keep(Digest.of(text.encode()), made)

    pruned(home)

    names = [path.name for path in (folders.cache / "layers").iterdir()]
    assert names == [f"{Digest.of(b'locked').hex}.json"]


def test_the_cache_keeps_what_a_build_would_use(folders: Folders, home: Path) -> None:
    """A record of today and its layer; not one of yesterday, nor one without a layer."""
    build(folders, "app", "1")
    base = put(folders, "x", "1").layers[0]
    cache = LayerCache(folder=folders.cache / "layers", blobs=folders.images, max_age=0)
    layer = orphan(folders, b"layer of today")
    today = CachedLayer(layer=_layer(base, layer), materials=(), made=time.time())
    for text, days in (("today", 0.0), ("yesterday", 1.1)):
        made = time.time() - days * DAY
        cache.keep(
            Digest.of(text.encode()), CachedLayer(layer=today.layer, materials=(), made=made)
        )
    (folders.cache / "layers" / "notes.json").write_text("{}")

    result = pruned(home)

    assert [path.name for path in (folders.cache / "layers").iterdir()] == [
        f"{Digest.of(b'today').hex}.json"
    ]
    assert layer.exists()
    assert counts(result)["cache"] == 2


def test_steps_that_a_build_would_use_stay(folders: Folders, home: Path) -> None:
    """Also their records; not those of yesterday, nor what a killed build had begun."""
    (folders.cache / "steps").mkdir(parents=True)
    young, old = Digest.of(b"young").hex, Digest.of(b"old").hex
    files = [f"{young}.json", f"{young}.tar.gz", f"{old}.json", f"{old}.tar.gz", ".part-x", "mine"]
    for name in files:
        (folders.cache / "steps" / name).touch()
        aged(folders.cache / "steps" / name, 0.5 if young in name else 1.1)

    result = pruned(home)

    left = {path.name for path in (folders.cache / "steps").iterdir()}
    assert left == {f"{young}.json", f"{young}.tar.gz", "mine"}
    assert counts(result)["steps"] == 3


def _layer(base: BuiltLayer, path: Path) -> BuiltLayer:
    digest = Digest("sha256", path.name)
    descriptor = replace(base.descriptor, digest=digest, size=path.stat().st_size)
    return replace(base, descriptor=descriptor)


def test_the_newest_log_of_each_recipe_stays(folders: Folders, home: Path) -> None:
    """The others go, also young ones; a file that is no log of ours does not."""
    for name, days in (("a", 3.0), ("a", 2.0), ("b", 9.0)):
        before = {log.path for log in find_logs(folders)}
        with journal(logs_folder(folders), name, silent):
            pass
        (path,) = {log.path for log in find_logs(folders)} - before
        aged(path, days)
    (logs_folder(folders) / "notes.log").touch()

    result = pruned(home)

    assert [log.name for log in find_logs(folders)] == ["a", "b"]
    assert (logs_folder(folders) / "notes.log").exists()
    assert counts(result)["logs"] == 1


def test_a_dry_run_changes_nothing(folders: Folders, home: Path) -> None:
    """And says what would go."""
    build(folders, "app", "1", days=2)
    build(folders, "app", "2", days=1)
    orphan(folders)
    before = _files(home)

    dry = pruned(home, keep=1, dry_run=True)

    assert _files(home) == before
    done = pruned(home, keep=1)
    assert (dry.images, dry.freed) == (done.images, done.freed)


def _files(home: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in home.rglob("*") if path.is_file()}


def test_a_build_that_goes_on_keeps_what_it_needs(folders: Folders, home: Path) -> None:
    """Its layers have no name yet, and its log is still written."""
    build(folders, "app", "1", days=2)
    layer = orphan(folders)
    for _ in range(2):
        with journal(logs_folder(folders), "app", silent):
            pass

    with store_in_use(folders):
        result = pruned(home, keep=0)

    assert layer.exists()
    assert names(folders) == ["app:1"]
    assert len(find_logs(folders)) == 2
    assert "a build goes on" in result.left[0]


def test_what_lies_in_the_store_under_other_names_stays(folders: Folders, home: Path) -> None:
    """An image that somebody published into it, with all that an index has."""
    store = LayoutStore.create(folders.images)
    image = put(folders, "other", "1")
    registry, repository = LayoutRegistry(store), Repository("localhost", "apps/other")
    raw = index_bytes(Index(media_type=INDEX, manifests=(image.manifest,)))
    pinned = registry.put_manifest(repository, INDEX, raw)
    registry.tag(TaggedReference(repository, "1"), registry.manifest(pinned))

    pruned(home, keep=0)

    needed = {blob.digest.hex for blob in blobs_of(store, image.manifest)}
    assert blobs(folders) == needed | {pinned.digest.hex}
    assert len(entries(folders.images)) == 1


def test_a_list_that_cannot_be_read_ends_it(folders: Folders, home: Path) -> None:
    """What is needed is not known then, and nothing goes."""
    build(folders, "app", "1")
    layer = orphan(folders)
    manifest = Digest.of(b"no manifest")
    LayoutStore(folders.images).add(manifest, iter((b"no manifest",)))
    index = json.loads((folders.images / "index.json").read_text())
    index["manifests"].append({"mediaType": MANIFEST, "digest": str(manifest), "size": 11})
    (folders.images / "index.json").write_text(json.dumps(index))

    with pytest.raises(DocumentError):
        pruned(home)

    assert layer.exists()


OWN_FOLDERS: dict[str, Callable[[Folders], Path]] = {
    "images": lambda folders: folders.images,
    "blobs": lambda folders: folders.images / "blobs",
    "downloads": lambda folders: folders.cache / "downloads",
    "logs": lambda folders: folders.state / "logs",
    "layers": lambda folders: folders.cache / "layers",
    "steps": lambda folders: folders.cache / "steps",
}


@pytest.mark.parametrize("name", OWN_FOLDERS)
def test_no_link_leads_out_of_our_folders(
    folders: Folders, home: Path, tmp_path: Path, name: str
) -> None:
    """What a folder's place leads to is left, and that is said."""
    everything(folders)
    (tmp_path / "elsewhere").mkdir()
    own = OWN_FOLDERS[name](folders)
    shutil.move(own, tmp_path / "elsewhere" / name)
    own.symlink_to(tmp_path / "elsewhere" / name)
    before = sorted((tmp_path / "elsewhere").rglob("*"))

    result = pruned(home, keep=0)

    assert sorted((tmp_path / "elsewhere").rglob("*")) == before
    assert any("is not touched" in reason for reason in result.left)


def everything(folders: Folders) -> None:
    """Leave something of each kind that would go."""
    build(folders, "app", "1", days=2)
    build(folders, "app", "2", days=1)
    orphan(folders)
    (folders.cache / "layers").mkdir(parents=True)
    (folders.cache / "layers" / ("0" * 64 + ".json")).write_text("{}")
    (folders.cache / "steps").mkdir()
    (folders.cache / "steps" / ("0" * 64 + ".tar.gz")).touch()
    aged(folders.cache / "steps" / ("0" * 64 + ".tar.gz"), 2)
    (folders.cache / "downloads").mkdir()
    (folders.cache / "downloads" / ("0" * 64)).touch()
    aged(folders.cache / "downloads" / ("0" * 64), 31)
    for days in (2.0, 1.0):
        before = {log.path for log in find_logs(folders)}
        with journal(logs_folder(folders), "app", silent):
            pass
        (path,) = {log.path for log in find_logs(folders)} - before
        aged(path, days)


def test_links_in_our_folders_are_no_files_of_ours(
    folders: Folders, home: Path, tmp_path: Path
) -> None:
    """A link is not followed, and stays."""
    build(folders, "app", "1")
    victim = tmp_path / "victim"
    victim.touch()
    link = folders.images / "blobs/sha256" / ("0" * 64)
    link.symlink_to(victim)

    pruned(home, keep=0)

    assert victim.exists()
    assert link.is_symlink()


@pytest.mark.root
def test_another_users_folders_are_left(folders: Folders, home: Path) -> None:
    """Root with the HOME of a user, as sudo may leave it, tidies nothing of hers."""
    everything(folders)
    for path in (folders.data, folders.cache, folders.state):
        os.chown(path, 12345, 12345)
    before = blobs(folders)

    result = pruned(home, keep=0)

    assert blobs(folders) == before
    assert (folders.cache / "downloads" / ("0" * 64)).exists()
    assert len(result.left) >= 3


def test_without_anything_there_is_nothing_to_do(home: Path) -> None:
    """A host that never built anything."""
    result = pruned(home)

    assert result.size == 0
    assert result.left == ()
    assert not home.joinpath(".local/share/imagekit/images").exists()


def test_a_killed_prune_breaks_nothing(home: Path, folders: Folders, tmp_path: Path) -> None:
    """Wherever it is killed: what has a name is whole, and the next run ends what it began."""
    everything(folders)
    shutil.copytree(home, tmp_path / "before", symlinks=True)
    _prune_in_process(home, 0)
    whole = _content(home)

    for number in range(1, 40):
        shutil.rmtree(home)
        shutil.copytree(tmp_path / "before", home, symlinks=True)
        status = _prune_in_process(home, number)
        for image in local_images(folders):
            for blob in blobs_of(open_store(folders), image.manifest):
                assert open_store(folders).path(blob.digest).is_file(), number
        pruned(home, keep=1)
        assert _content(home) == whole, number
        if status == 0:
            break
    else:
        pytest.fail("it never came to its end")
    assert number > 6


def _prune_in_process(home: Path, number: int) -> int:
    script = Path(__file__).with_name("killed_prune.py")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, str(script), str(home), str(number)]
    return subprocess.run(words, env=env, check=False, timeout=120).returncode


def _content(home: Path) -> list[str]:
    """Return all files by name, those of locks and lists apart."""
    return sorted(
        str(path.relative_to(home))
        for path in home.rglob("*")
        if path.is_file() and "locks" not in path.parts
    )
