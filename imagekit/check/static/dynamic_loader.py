"""Which libraries the loader of an image finds for a program (ld.so(8), "DESCRIPTION").

As glibc looks: DT_RPATH of whoever loads it and of all above, where there is no DT_RUNPATH;
LD_LIBRARY_PATH; DT_RUNPATH; the cache of ldconfig; the folders that the loader trusts. A library
that is loaded already under its name is not looked for again. musl looks in its own folders.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from msgspec import Struct, field

from imagekit.check.static.dynamic_object import DynamicObject
from imagekit.check.static.image_tree import ImageTree

CACHE = "etc/ld.so.cache"
MAX_LOADED = 20_000
"""Most libraries of one program."""
MAX_STEPS = 5_000_000
"""Most names that are looked for in an image."""
_TRIPLETS = {
    3: "i386-linux-gnu",
    21: "powerpc64le-linux-gnu",
    22: "s390x-linux-gnu",
    62: "x86_64-linux-gnu",
    183: "aarch64-linux-gnu",
    243: "riscv64-linux-gnu",
}
_CACHED = re.compile(rb"(?<=\0)/([^\0]{1,4096})(?=\0)")
_MUSL_OWN = ("libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet.")
HWCAPS = "/glibc-hwcaps/"


class Loaded(Struct, kw_only=True):
    """One object in the process of a program."""

    path: str
    known: DynamicObject
    above: "Loaded | None" = None


class NotFound(Struct, frozen=True, kw_only=True):
    """A library that the loader does not find."""

    by: str
    """The path of the object that needs it."""
    name: str


class Process(Struct, kw_only=True):
    """What is loaded for one program or plug-in."""

    loaded: list[Loaded] = field(default_factory=list)
    by_name: dict[str, Loaded] = field(default_factory=dict)
    missing: list[NotFound] = field(default_factory=list)


class DynamicLoader:
    """The loader of one image."""

    def __init__(self, tree: ImageTree) -> None:
        self._tree = tree
        self._found: dict[tuple[tuple[str, ...], tuple[str, ...], str, tuple[int, bool]], str] = {}
        self._library_path = tree.env.get("LD_LIBRARY_PATH", "")
        self.left = MAX_STEPS
        """How many names may still be looked for."""

    def load(self, path: str) -> Process:
        """Return the process of a program, or of a library that something loads by its path."""
        known = self._tree.objects[path]
        process = Process(loaded=[Loaded(path=path, known=known)])
        for name in (known.soname, path.rpartition("/")[2]):
            process.by_name.setdefault(name, process.loaded[0])
        for one in process.loaded:
            for name in one.known.needed:
                self._need(name, one, process)
        return process

    def _need(self, name: str, by: Loaded, process: Process) -> None:
        if name in process.by_name or (self._is_musl and name.startswith(_MUSL_OWN)):
            return
        self.left -= 1
        place = self._search(name, by) if self.left > 0 else ""
        if not place:
            process.missing.append(NotFound(by=by.path, name=name))
            return
        known = self._tree.objects[place]
        there = process.by_name.get(known.soname)
        if there is None and len(process.loaded) < MAX_LOADED:
            there = Loaded(path=place, known=known, above=by)
            process.loaded.append(there)
        if there is not None:
            process.by_name[name] = there
            if known.soname:
                process.by_name[known.soname] = there

    def _search(self, name: str, by: Loaded) -> str:
        if "/" in name:
            return self._fitting(self._expanded(name, by), by.known) or ""
        rpath, runpath = tuple(self._rpath(by)), self._folders(by.known.runpath, by)
        key = (rpath, runpath, name, by.known.kind)
        found = self._found.get(key)
        if found is None:
            places = self.places(name, by.known, rpath=rpath, runpath=runpath)
            fitting = (self._fitting(place, by.known) for place in places)
            found = self._found[key] = next((place for place in fitting if place), "")
        return found

    def places(
        self, name: str, known: DynamicObject, *, rpath: Sequence[str], runpath: Sequence[str]
    ) -> Iterator[str]:
        """Yield where a library is looked for, in order."""
        folders = [*rpath, *self._library_path.replace(";", ":").split(":"), *runpath]
        if self._is_musl:
            folders += self._musl_folders
        yield from (f"{folder}/{name}" for folder in folders if folder)
        if not self._is_musl:
            yield from self._cache.get(name, ())
            yield from (f"{folder}/{name}" for folder in trusted(known))

    def _rpath(self, by: Loaded) -> Iterator[str]:
        # ld.so(8): an object with DT_RUNPATH has no use of any DT_RPATH.
        if by.known.runpath and not self._is_musl:
            return
        one: Loaded | None = by
        while one is not None:
            if not one.known.runpath or self._is_musl:
                yield from self._folders(one.known.rpath or one.known.runpath, one)
            one = one.above

    def _folders(self, folders: Sequence[str], by: Loaded) -> tuple[str, ...]:
        return tuple(self._expanded(folder, by) for folder in folders if folder)

    def _expanded(self, text: str, by: Loaded) -> str:
        if "$" not in text:
            return text
        origin = "/" + by.path.rpartition("/")[0]
        for word, value in (
            ("ORIGIN", origin),
            ("LIB", "lib64" if by.known.wide else "lib"),
            ("PLATFORM", "x86_64"),
        ):
            text = text.replace(f"${{{word}}}", value).replace(f"${word}", value)
        return text

    def _fitting(self, place: str, by: DynamicObject) -> str:
        """Return the path of the library at a place, where it is one for the same machine."""
        real = self._tree.real(place)
        known = self._tree.objects.get(real)
        return real if known is not None and known.kind == by.kind else ""

    @cached_property
    def _cache(self) -> Mapping[str, list[str]]:
        """What ldconfig has found, by the names of files."""
        listed: dict[str, list[str]] = {}
        for found in _CACHED.finditer(self._tree.text(CACHE).encode("utf-8", "replace")):
            path = found[1].decode("utf-8", "replace")
            listed.setdefault(path.rpartition("/")[2], []).append(path)
        # A better one for some processors stands in front of the one for all.
        return {
            name: sorted(paths, key=lambda path: HWCAPS in path) for name, paths in listed.items()
        }

    @cached_property
    def _is_musl(self) -> bool:
        """Whether the image's loader is musl's, and no other is there."""
        names = [n for folder in ("lib", "lib64") for n in self._tree.files.names(folder)]
        musl = any(name.startswith("ld-musl-") for name in names)
        return musl and not any(name.startswith("ld-linux") for name in names)

    @cached_property
    def _musl_folders(self) -> list[str]:
        listed = [text for path, text in self._tree.texts() if path.startswith("etc/ld-musl-")]
        if listed:
            return re.split(r"[:\n]", listed[0])
        return ["/lib", "/usr/local/lib", "/usr/lib"]


def trusted(known: DynamicObject) -> Iterator[str]:
    """Yield the folders that the loader trusts, those of Debian's multiarch among them."""
    names = ("lib64", "lib") if known.wide else ("lib",)
    triplet = _TRIPLETS.get(known.machine)
    for name in (*((f"lib/{triplet}",) if triplet else ()), *names):
        for folder in (f"/{name}", f"/usr/{name}"):
            yield folder
            yield from (f"{folder}{HWCAPS}x86-64-v{level}" for level in (2, 3, 4))
