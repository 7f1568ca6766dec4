"""IK101 to IK108: what the loader does not find, or finds in a version that does not do."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property

from imagekit.check.static.dynamic_loader import HWCAPS, DynamicLoader, Process
from imagekit.check.static.dynamic_object import DynamicObject
from imagekit.check.static.image_tree import ImageTree
from imagekit.check.static.portability_finding import PortabilityFinding, found

NODE_LIBRARIES = ("libcuda.so.", "libcudadebugger.so.", "libnvidia-", "libnvcuvid.so.")
"""Beginnings of names that a node's driver brings, and no image (CDI)."""
LOADED_FIRST = frozenset({"libjvm.so"})
"""What a program loads by its path before all that needs it: ``java`` does."""
_DEBUG = "usr/lib/debug/"
_UNSAFE = tuple(f"/{name}" for name in ("tmp", "var/tmp", "home", "dev/shm", "scratch"))
"""Where everybody may write on a node, or where nothing of the image is."""


def library_findings(tree: ImageTree) -> Iterator[PortabilityFinding]:
    """Yield what is wrong with programs and libraries."""
    yield from _damaged(tree)
    usable = {
        path: known
        for path, known in tree.objects.items()
        if not known.fault and not path.startswith(_DEBUG)
    }
    programs = {path: known for path, known in usable.items() if known.interpreter}
    yield from _other_processor(tree, programs)
    yield from _no_loader(tree, programs)
    yield from _search_paths(tree, usable)
    yield from _Resolved(tree, usable, programs).findings()


def _damaged(tree: ImageTree) -> Iterator[PortabilityFinding]:
    for path, known in tree.objects.items():
        if known.fault and not path.startswith(_DEBUG):
            yield found("IK108", path, f"its ELF file is damaged: {known.fault}", breaks=(path,))


def _other_processor(
    tree: ImageTree, programs: Mapping[str, DynamicObject]
) -> Iterator[PortabilityFinding]:
    folders = {tree.real(folder) for folder in tree.search_path}
    for path, known in programs.items():
        if path.rpartition("/")[0] in folders and known.machine not in tree.machines:
            if not tree.machines:
                return
            platform = tree.config.platform
            message = f"it is for the machine {known.machine} of ELF, the image for {platform}"
            yield found("IK105", path, message, breaks=(path,))


def _no_loader(
    tree: ImageTree, programs: Mapping[str, DynamicObject]
) -> Iterator[PortabilityFinding]:
    for path, known in programs.items():
        if tree.object_at(known.interpreter) is None and _mine(tree, known):
            message = f"its loader {known.interpreter} is not in the image"
            yield found("IK103", path, message, breaks=(path,))


def _mine(tree: ImageTree, known: DynamicObject) -> bool:
    return not tree.machines or known.machine in tree.machines


def _search_paths(
    tree: ImageTree, usable: Mapping[str, DynamicObject]
) -> Iterator[PortabilityFinding]:
    for path, known in usable.items():
        for folder in (*known.rpath, *known.runpath):
            if folder and _is_unsafe(tree, folder):
                yield found("IK106", path, f"libraries are looked for in {folder}", breaks=(path,))


def _is_unsafe(tree: ImageTree, folder: str) -> bool:
    if folder.startswith("$"):
        return False
    below = any(folder == unsafe or folder.startswith(f"{unsafe}/") for unsafe in _UNSAFE)
    return not folder.startswith("/") or (below and not tree.is_folder(folder))


class _Resolved:
    """Every program and plug-in of an image with what the loader finds for it."""

    def __init__(
        self,
        tree: ImageTree,
        usable: Mapping[str, DynamicObject],
        programs: Mapping[str, DynamicObject],
    ) -> None:
        self._tree = tree
        self._usable = {path: known for path, known in usable.items() if _mine(tree, known)}
        self._programs = programs
        self._loader = DynamicLoader(tree)
        self._missing: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._old: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._newer: dict[str, set[str]] = defaultdict(set)

    def findings(self) -> Iterator[PortabilityFinding]:
        """Yield what is missing, what is too old, and what some processors only have."""
        self._load_all()
        if self._loader.left <= 0:
            yield found("IK001", "", "its programs need more libraries than are looked for")
        for (by, name), broken in sorted(self._missing.items()):
            yield self._gone(by, name, broken)
        for (by, library, version), broken in sorted(self._old.items()):
            message = f"{library} does not define {version}"
            yield found("IK104", by, message, breaks=broken)
        for path, broken in sorted(self._newer.items()):
            message = "only processors of a higher level load it"
            yield found("IK107", path, message, breaks=broken)

    def _load_all(self) -> None:
        """Load programs, and then what no program loads: plug-ins, and what is used by them."""
        loaded: set[str] = set()
        for path in self._programs:
            if path in self._usable:
                self._load(path, loaded)
        needed = {name for known in self._usable.values() for name in known.needed}
        rest = [path for path in self._usable if path not in loaded]
        for path in rest:
            name = path.rpartition("/")[2]
            # What others name is loaded by them: alone it may find less.
            if name not in needed and self._usable[path].soname not in needed:
                self._load(path, loaded)

    def _load(self, path: str, loaded: set[str]) -> None:
        process = self._loader.load(path)
        loaded.update(one.path for one in process.loaded)
        plugin = path not in self._programs
        for lost in process.missing:
            if lost.name.startswith(NODE_LIBRARIES) or (plugin and self._loaded_first(lost.name)):
                continue
            self._missing[lost.by, lost.name].add(path)
        self._versions(path, process)
        for one in process.loaded:
            if HWCAPS.strip("/") in one.path:
                self._newer[one.path].add(path)

    def _loaded_first(self, name: str) -> bool:
        return name in LOADED_FIRST and name in self._by_name

    def _versions(self, path: str, process: Process) -> None:
        for one in process.loaded:
            for wanted in one.known.wanted:
                there = process.by_name.get(wanted.library)
                # ld.so warns of a library without a table of versions, and goes on.
                if there is None or not there.known.defined:
                    continue
                for version in wanted.versions:
                    if version not in there.known.defined:
                        self._old[one.path, wanted.library, version].add(path)

    def _gone(self, by: str, name: str, broken: set[str]) -> PortabilityFinding:
        kind = self._usable[by].kind
        places = [p for p in self._by_name.get(name, ()) if self._usable[p].kind == kind]
        if not places or "/" in name:
            return found("IK101", by, f"{name} is not in the image", breaks=broken)
        return found(
            "IK102", by, f"{name} is only in /{places[0].rpartition('/')[0]}", breaks=broken
        )

    @cached_property
    def _by_name(self) -> Mapping[str, list[str]]:
        listed: dict[str, list[str]] = defaultdict(list)
        for path, known in self._usable.items():
            for name in {path.rpartition("/")[2], known.soname}:
                listed[name].append(path)
        return listed
