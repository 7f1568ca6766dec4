"""Removing what nobody needs of all that builds keep on a host.

What must hold:

1. What a build or a publish reads or makes meanwhile stays: they hold the store's lock together,
   and images, layers, cache, steps and downloads are touched only by whoever has it alone. Logs
   that are still written, and container storage that a job holds, stay by themselves.
2. Wherever it is killed, nothing points to what is gone: first names go, then records of the cache,
   then blobs, each at once or not at all. The next run finds the rest.
3. Nothing outside of imagekit's own folders is removed: see ``own_files``.
4. Nothing younger than the user said goes, whatever it is.
"""

import os
import re
import time
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Literal

from msgspec import Struct, field

from imagekit.build.build import CACHE_SECONDS
from imagekit.build.job import StoragePrune
from imagekit.build.local_store import ListedImage, is_named, local_images, open_store, store_lock
from imagekit.build.logs import find_logs, logs_folder
from imagekit.build.own_files import NotOwnFolderError, OwnFile, OwnFolder, own_folder
from imagekit.build.tools.layer_cache import LayerCache
from imagekit.build.tools.package_cache import DOWNLOADS
from imagekit.build.tools.run_worker import prune_storage
from imagekit.build.tools.storage import Folders, container_store, job_folder
from imagekit.errors import NotFoundError, ToolError
from imagekit.locks import claimed
from imagekit.oci.codec import parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutReader, LayoutStore, change_index, entries
from imagekit.oci.reference import LAYOUT_HOST, PinnedReference, Repository
from imagekit.oci.types import INDEX_TYPES, MANIFEST_TYPES, REF_NAME, Descriptor, Index
from imagekit.progress import Progress, silent

Kind = Literal["images", "layers", "cache", "steps", "downloads", "logs", "storage"]
KINDS: tuple[Kind, ...] = typing.get_args(Kind)
"""In the order in which they are shown."""
_HEX = re.compile(r"[0-9a-f]{64}")
_BLOB = re.compile(r"[0-9a-f]{64}|\.part-.*")
_ANY = re.compile(r".*", re.DOTALL)
_RECORD = ".json"
_STEP_FILE = re.compile(r"[0-9a-f]{64}\.(?:json|tar\.gz)|\.part-.*")
_UNUSED_SECONDS = 30 * 86400.0
"""How long a download stays that no build uses, and the record of a layer of a lock."""
_MOST_DOWNLOADS = 20 << 30
"""Bytes of downloads that stay."""
_STILL_WRITTEN = 3600.0
"""Seconds in which a log that got no line may be that of a build which goes on."""
_ANYTHING = Repository(LAYOUT_HOST, "image")
"""Content of a layout is read by its digest alone."""
_DEEPEST = 4
_BUILD_GOES_ON = (
    "a build goes on: images, layers, cache, steps, downloads and what it uses of the container "
    "storage were left; prune again when it has ended"
)


class PruneOptions(Struct, frozen=True, kw_only=True):
    """What is to go besides what nobody needs."""

    keep: int | None = None
    """How many images of each recipe stay, the newest; None for all."""
    older_than: float | None = None
    """Seconds; nothing younger goes. Images that old go with it, but not a recipe's newest."""
    dry_run: bool = False
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)


class Freed(Struct, frozen=True, kw_only=True):
    """What was removed of one kind."""

    kind: Kind
    count: int = 0
    size: int = 0
    """Bytes of the disk; of container storage at most so many where nothing was removed yet."""


class Pruned(Struct, frozen=True, kw_only=True):
    """What was removed, and what could not be."""

    freed: tuple[Freed, ...]
    images: tuple[str, ...] = ()
    """The names of images that went."""
    left: tuple[str, ...] = ()
    """Why something was left: a build goes on, or a folder is not this user's."""

    @property
    def size(self) -> int:
        """All bytes together."""
        return sum(freed.size for freed in self.freed)


def prune(options: PruneOptions | None = None, *, progress: Progress = silent) -> Pruned:
    """Remove what nobody needs.

    Args:
        options: what else, and whether it is only looked at.
        progress: told of what is run.

    Raises:
        ToolError: a file cannot be removed.
        RegistryError, DocumentError: the list of images cannot be read.
    """
    options = options or PruneOptions()
    work = _Work(options, Folders.of(options.env), time.time())
    with claimed(store_lock(work.folders)) as alone:
        if alone:
            work.prune_store()
            work.prune_steps()
            work.prune_downloads()
        else:
            work.left.append(_BUILD_GOES_ON)
        work.prune_logs(alone=alone)
    work.prune_storage(progress)
    return Pruned(freed=tuple(work.freed), images=tuple(work.names), left=tuple(work.left))


class _Work:
    """Prunes once."""

    def __init__(self, options: PruneOptions, folders: Folders, now: float) -> None:
        self._options, self.folders, self._now = options, folders, now
        self.freed: list[Freed] = []
        self.names: list[str] = []
        self.left: list[str] = []

    def prune_store(self) -> None:
        """Remove names of images, and then what neither a name nor the cache leads to."""
        with (
            self._own(self.folders.data, "images", "blobs", "sha256") as blobs,
            self._own(self.folders.cache, "layers") as records,
        ):
            used = set() if records is None else self._prune_cache(records)
            if blobs is None:
                return
            store = open_store(self.folders)
            self._prune_names(store)
            used.update(_needed(store, without=self.names))
            self._remove("layers", blobs, lambda file: file.name not in used, names=_BLOB)

    def prune_steps(self) -> None:
        """Remove what steps changed that no build uses any more."""
        with self._own(self.folders.cache, "steps") as folder:
            if folder is not None:
                oldest = self._now - CACHE_SECONDS
                self._remove("steps", folder, lambda file: file.written <= oldest, names=_STEP_FILE)

    def prune_downloads(self) -> None:
        """Remove what no build has used for long, and the oldest of what is too much."""
        with self._own(self.folders.cache, DOWNLOADS) as folder:
            if folder is None:
                return
            kept = set[str]()
            if self._options.older_than is None:
                kept.update(self._recently_used(folder))
            self._remove("downloads", folder, lambda file: file.name not in kept)

    def _recently_used(self, folder: OwnFolder) -> Iterator[str]:
        """Yield the names of what may be used again: a lock's package may have left its mirror."""
        files = folder.files(lambda name: _HEX.fullmatch(name) is not None)
        size = 0
        for file in sorted(files, key=lambda file: file.written, reverse=True):
            size += file.freed
            if self._now - file.written < _UNUSED_SECONDS and size <= _MOST_DOWNLOADS:
                yield file.name

    def prune_logs(self, *, alone: bool) -> None:
        """Remove all logs but each recipe's newest, and those that may still be written."""
        logs = find_logs(self.folders)
        # The last one of a name in a dictionary stays, so the newest are last.
        newest = {log.name: log.path.name for log in reversed(logs)}
        gone = {log.path.name for log in logs} - set(newest.values())
        latest = self._now - (0.0 if alone else _STILL_WRITTEN)
        folder = logs_folder(self.folders)
        with self._own(folder.parent, folder.name) as opened:
            if opened is not None:
                self._remove(
                    "logs", opened, lambda file: file.name in gone and file.written <= latest
                )

    def prune_storage(self, progress: Progress) -> None:
        """Remove working containers of dead jobs, and images that no job starts on now."""
        try:
            store = container_store(self.folders, self._options.env)
            with own_folder(self.folders.data, "containers") as opened:
                if opened is None:
                    return
            request = StoragePrune(
                folder=job_folder(self.folders, store),
                store=store,
                locks=self.folders.locks,
                unused_for=self._options.older_than or 0.0,
                dry_run=self._options.dry_run,
            )
            pruned = prune_storage(request, progress=progress)
        except ToolError as error:
            self.left.append(f"container storage: {error.message}")
            return
        self.freed.append(Freed(kind="storage", count=pruned.images, size=pruned.size))

    def _prune_cache(self, folder: OwnFolder) -> set[str]:
        """Remove records that no build uses any more; return the layers of the others."""
        cache = LayerCache(
            folder=self.folders.cache / "layers",
            blobs=self.folders.images / "blobs/sha256",
            max_age=CACHE_SECONDS,
            max_locked_age=_UNUSED_SECONDS,
        )
        used = dict[str, str]()
        for file in folder.files(lambda name: name.endswith(_RECORD)):
            key = file.name.removesuffix(_RECORD)
            record = cache.find(Digest("sha256", key)) if _HEX.fullmatch(key) else None
            if record is not None:
                used[file.name] = record.layer.descriptor.digest.hex
        self._remove("cache", folder, lambda file: file.name not in used)
        return set(used.values())

    def _prune_names(self, store: LayoutStore) -> None:
        gone = self._doomed(local_images(self.folders))
        self.names += [image.ref for image in gone]
        self.freed.append(Freed(kind="images", count=len(gone)))
        if not self._options.dry_run:
            change_index(
                store,
                lambda listed: tuple(e for e in listed if not _goes(store, e, self.names)),
            )

    def _doomed(self, images: Sequence[ListedImage]) -> list[ListedImage]:
        options = self._options
        if options.keep is None and options.older_than is None:
            return []
        keep = 1 if options.keep is None else options.keep
        gone: list[ListedImage] = []
        # They are sorted by name and platform, and of each the newest is first.
        for _, group in groupby(images, key=lambda image: (image.name, image.platform)):
            gone += [image for image in list(group)[keep:] if self._is_old(image.built)]
        return gone

    def _remove(
        self,
        kind: Kind,
        folder: OwnFolder,
        is_doomed: Callable[[OwnFile], bool],
        *,
        names: re.Pattern[str] = _ANY,
    ) -> None:
        files = folder.files(lambda name: names.fullmatch(name) is not None)
        doomed = [file for file in files if self._is_old(file.written) and is_doomed(file)]
        for file in doomed if not self._options.dry_run else ():
            folder.remove(file)
        self.freed.append(
            Freed(kind=kind, count=len(doomed), size=sum(file.freed for file in doomed))
        )

    def _is_old(self, when: float) -> bool:
        least = self._options.older_than
        return least is None or self._now - when >= least

    @contextmanager
    def _own(self, base: Path, *parts: str) -> Iterator[OwnFolder | None]:
        """Open a folder of ours; one that is not is left, and that is said."""
        with ExitStack() as stack:
            folder = None
            try:
                folder = stack.enter_context(own_folder(base, *parts))
            except NotOwnFolderError as error:
                self.left.append(error.message)
            yield folder


def _goes(store: LayoutStore, entry: Descriptor, names: Sequence[str]) -> bool:
    """Return whether a name is to go, or leads to an image that somebody removed by hand."""
    gone = not store.path(entry.digest).is_file()
    return is_named(entry) and (gone or entry.annotations[REF_NAME] in names)


def _needed(store: LayoutStore, *, without: Sequence[str]) -> Iterator[str]:
    """Yield the names of the blobs that the list of images leads to.

    Raises:
        DocumentError, IntegrityError: something in it cannot be read, so that it is not known.
    """
    for entry in entries(store.folder):
        if not _goes(store, entry, without):
            yield from _below(LayoutReader(store), entry, depth=0)


def _below(reader: LayoutReader, entry: Descriptor, *, depth: int) -> Iterator[str]:
    yield entry.digest.hex
    if entry.media_type not in MANIFEST_TYPES | INDEX_TYPES or depth > _DEEPEST:
        return
    try:
        raw = reader.manifest(PinnedReference(_ANYTHING, entry.digest))
    except NotFoundError:
        # image-layout.md, "Content": a layout need not have all of an index.
        return
    parsed = parse_manifest(raw.raw, raw.media_type)
    below = parsed.manifests if isinstance(parsed, Index) else (parsed.config, *parsed.layers)
    for descriptor in below:
        yield from _below(reader, descriptor, depth=depth + 1)
