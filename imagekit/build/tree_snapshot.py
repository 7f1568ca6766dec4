"""The state of a tree at one moment, and what changed between two moments.

A change shows in mode, owner, size, mtime, inode or ctime, the last of which no program can set: so
none is missed, whatever the storage driver and whatever a program did to the times. In two trees
that never were one, two entries are equal only where all that a layer holds of them is: also their
extended attributes, the exact target of a link, and which names are one file.
"""

import filecmp
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from imagekit.build import attributes
from imagekit.build.attributes import Attributes
from imagekit.build.exclude import NOTHING, Exclude
from imagekit.errors import ToolError
from imagekit.rooted import link_text

MAX_ENTRIES = 5_000_000
"""Most files and folders that a tree may have."""


class PathState(Struct, frozen=True):
    """The state of a path, as far as a change shows in it."""

    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    links: int
    device: int
    attributes: Attributes = ()
    """Of a folder only: of anything else a change shows in its ctime."""


class Snapshot(Struct, frozen=True):
    """All paths below a root, relative and without a leading slash, and their states."""

    entries: Mapping[str, PathState]


EMPTY = Snapshot({})


class Changes(Struct, frozen=True, kw_only=True):
    """What changed in a tree: the paths of a layer, and what it removes."""

    present: tuple[str, ...]
    """New and altered paths with the folders above them, sorted so that folders come first."""
    removed: tuple[str, ...]
    """Paths that are gone; of a folder that is gone, only the folder."""
    left_out: tuple[str, ...] = ()
    """New paths with content that is in no layer, sorted; they are reported."""


def take(root: Path) -> Snapshot:
    """Return the state of everything below the root that is on the root's own file system.

    Links are not followed and mount points are not entered.

    Raises:
        ToolError: the tree is too large or cannot be read.
    """
    entries: dict[str, PathState] = {}
    try:
        device = root.stat().st_dev
        for path, status in _walk(os.fspath(root), "", device):
            entries[path] = _entry(status, f"{root}/{path}")
            if len(entries) > MAX_ENTRIES:
                raise ToolError(f"the image has over {MAX_ENTRIES} files")
    except OSError as error:
        raise ToolError(f"cannot read the image's tree: {error}") from error
    return Snapshot(entries)


def changes(before: Snapshot, after: Snapshot, exclude: Exclude = NOTHING) -> Changes:
    """Return what has to be written, and what removed, to get from ``before`` to ``after``.

    What is excluded changes nothing, not even the folders above it. A folder that something else
    has replaced needs no whiteouts: whoever applies the layer removes the old one first
    (image-spec layer.md, Changeset over existing files).
    """
    old, _ = _without(before, exclude)
    new, left_out = _without(after, exclude)
    changed = {path for path, entry in new.items() if not _same(old.get(path), entry)}
    gone = {path for path in old if path not in new}
    replaced = {path for path in gone if _replaced(path, new)}
    top = {path for path in gone - replaced if not gone.intersection(_parents(path))}
    present = changed | _folders_of(changed | top)
    lost = (
        path
        for path, entry in left_out.items()
        if exclude.loses(path, entry.mode, entry.size)
        and not _same(before.entries.get(path), entry)
    )
    return Changes(
        present=tuple(sorted(present, key=_order)),
        removed=tuple(sorted(top)),
        left_out=tuple(sorted(lost)),
    )


def all_of(root: Path, exclude: Exclude = NOTHING) -> Changes:
    """Return everything below the root, as the changes that a first layer holds."""
    return changes(EMPTY, take(root), exclude)


def compare(old: Path, new: Path, exclude: Exclude = NOTHING) -> Changes:
    """Return what differs between two trees, which never were the same folder, by content.

    Raises:
        ToolError: a tree is too large or cannot be read.
    """
    before, after = take(old).entries, take(new).entries
    numbers: dict[tuple[str, ...], int] = {}
    names_before, names_after = _names(before, numbers), _names(after, numbers)
    # NOTE: filecmp caches by size and time, which show no change between two calls.
    filecmp.clear_cache()
    # What is true of one name of a file is true of all, and is compared once.
    equal: dict[int | None, bool] = {}
    same = set()
    for path, entry in after.items():
        names = names_after.get(entry.inode)
        if path not in before or names_before.get(before[path].inode) != names:
            continue
        if names is None or names not in equal:
            equal[names] = _alike(before[path], entry) and _equal(f"{old}/{path}", f"{new}/{path}")
        if equal[names]:
            same.add(path)
    # What is the same in both counts as one entry in both.
    known = {path: after[path] if path in same else entry for path, entry in before.items()}
    return changes(Snapshot(known), Snapshot(after), exclude)


def _without(
    snapshot: Snapshot, exclude: Exclude
) -> tuple[Mapping[str, PathState], Mapping[str, PathState]]:
    """Return what is not excluded, and what is."""
    left_out = {
        path: entry for path, entry in snapshot.entries.items() if exclude.matches(path, entry.mode)
    }
    if not left_out:
        return snapshot.entries, left_out
    kept = {path: entry for path, entry in snapshot.entries.items() if path not in left_out}
    return kept, left_out


def _names(entries: Mapping[str, PathState], numbers: dict[tuple[str, ...], int]) -> dict[int, int]:
    """Return the number of every inode that has several names: the same for the same names.

    Names are compared once a file and not once a name, of which a file may have 65,000.
    """
    paths_of: dict[int, list[str]] = {}
    for path, entry in entries.items():
        if stat.S_ISREG(entry.mode) and entry.links > 1:
            paths_of.setdefault(entry.inode, []).append(path)
    return {
        inode: numbers.setdefault(tuple(sorted(paths)), len(numbers))
        for inode, paths in paths_of.items()
        if len(paths) > 1
    }


def _alike(old: PathState, new: PathState) -> bool:
    if stat.S_ISDIR(old.mode):
        return _folder_state(old) == _folder_state(new)
    return (old.mode, old.uid, old.gid, old.size, old.mtime_ns // 10**9, old.device) == (
        new.mode,
        new.uid,
        new.gid,
        new.size,
        new.mtime_ns // 10**9,
        new.device,
    )


def _folder_state(entry: PathState) -> tuple[int, int, int, Attributes]:
    return entry.mode, entry.uid, entry.gid, entry.attributes


def _equal(old: str, new: str) -> bool:
    if attributes.read(old) != attributes.read(new):
        return False
    mode = os.lstat(old).st_mode
    if stat.S_ISLNK(mode):
        return link_text(old) == link_text(new)
    return not stat.S_ISREG(mode) or filecmp.cmp(old, new, shallow=False)


def _walk(root: str, prefix: str, device: int) -> Iterator[tuple[str, os.stat_result]]:
    pending = [prefix]
    while pending:
        folder = pending.pop()
        with os.scandir(f"{root}/{folder}" if folder else root) as entries:
            for item in entries:
                status = item.stat(follow_symlinks=False)
                path = f"{folder}/{item.name}" if folder else item.name
                if status.st_dev != device:
                    continue
                yield path, status
                if stat.S_ISDIR(status.st_mode):
                    pending.append(path)


def _entry(status: os.stat_result, path: str) -> PathState:
    return PathState(
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        inode=status.st_ino,
        links=status.st_nlink,
        device=status.st_rdev,
        attributes=attributes.read(path) if stat.S_ISDIR(status.st_mode) else (),
    )


def _same(old: PathState | None, new: PathState) -> bool:
    if old is None:
        return False
    if stat.S_ISDIR(old.mode) and stat.S_ISDIR(new.mode):
        # A folder whose entries came and went is no change by itself; those are changes of their
        # own.
        return _folder_state(old) == _folder_state(new)
    return old == new


def _replaced(path: str, new: Mapping[str, PathState]) -> bool:
    """Return whether a path is gone because a folder above it became something else."""
    for parent in _parents(path):
        entry = new.get(parent)
        if entry is not None and not stat.S_ISDIR(entry.mode):
            return True
    return False


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _folders_of(paths: Iterable[str]) -> set[str]:
    """Return all folders above some paths."""
    folders: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        # Where one is known, those above it are too.
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders


def _order(path: str) -> str:
    """Return what paths are sorted by: their names one after the other, so that folders come first.

    A name holds no NUL, which is before all that it can hold.
    """
    return path.replace("/", "\0")
