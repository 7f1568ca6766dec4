"""The layers of an image laid over each other (OCI image-spec, layer.md "Applying Changesets")."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct, field

from imagekit.build.catalogued import Notes
from imagekit.needs.elf import ElfNotes
from imagekit.sbom.bounds import Bounds
from imagekit.sbom.contents import LayerFiles, RegularFile

_MAX_LINKS_FOLLOWED = 40
_Made = TypeVar("_Made")
_STEP = 64
"""What a step of resolving a path costs beside the bytes of the path."""


class Root(Struct, frozen=True):
    """What is left when all layers lie over each other; numbers are those of the layers."""

    layers: tuple[LayerFiles, ...]
    documents: dict[str, tuple[bytes, int]]
    links: dict[str, str]
    files: dict[str, tuple[RegularFile, int]]
    elf: dict[str, ElfNotes] = field(default_factory=dict)
    sections: dict[str, tuple[Mapping[str, bytes], int]] = field(default_factory=dict)
    bounds: Bounds = field(default_factory=Bounds)
    notes: Notes = field(default_factory=Notes)
    _made: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def read(self, path: str) -> bytes | None:
        """Return the document at the path, links followed within the root."""
        place = self.place(path)
        return None if place is None else self.documents[place][0]

    def place(self, path: str) -> str | None:
        """Return where the document lies that a path leads to; None where there is none.

        Links can make many paths lead to one document: what is read of it again is counted too.
        """
        place = path if path in self.documents else self.resolve(path)
        document = self.documents.get(place)
        return place if document and self.bounds.read.take(len(document[0])) else None

    def once(self, key: tuple[str, ...], make: Callable[[], _Made]) -> _Made:
        """Return what is made of the root, which many may ask for: made once for a key."""
        if key not in self._made:
            self._made[key] = make()
        made: _Made = self._made[key]
        return made

    def resolve(self, path: str) -> str:
        """Follow symbolic links as text, never out of the root; a loop leads nowhere."""
        todo = path.split("/")[::-1]
        current = ""
        followed = 0
        while todo:
            part = todo.pop()
            if part == "..":
                current = current.rpartition("/")[0]
            elif part not in {"", "."}:
                place = f"{current}/{part}" if current else part
                target = self.links.get(place)
                if target is None:
                    current = place
                followed += target is not None
                if followed > _MAX_LINKS_FOLLOWED or not self.bounds.steps.take(_STEP + len(place)):
                    return path
                if target is not None:
                    current = "" if target.startswith("/") else current
                    todo.extend(target.split("/")[::-1])
        return current


class Resolver:
    """Resolves many paths: each folder once."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._folders: dict[str, str] = {"": ""}

    def place(self, path: str) -> str:
        """Return where a path lies: its folder resolved, its own name as it is."""
        folder, _, name = path.rpartition("/")
        real = self._folders.get(folder)
        if real is None:
            real = self._folders[folder] = self._root.resolve(folder)
        return f"{real}/{name}" if real else name


def lay_over(layers: Sequence[LayerFiles]) -> Root:
    """Return what the layers add up to; the first is the lowest.

    From the highest down, so that each path is looked at once however many layers there are.
    """
    root = Root(tuple(layers), {}, {}, {})
    above = _Above()
    for number, layer in reversed(list(enumerate(layers))):
        seen = above.below()
        root.documents.update((p, (v, number)) for p, v in layer.documents.items() if seen(p))
        root.files.update((p, (v, number)) for p, v in layer.files.items() if seen(p))
        root.elf.update((p, v) for p, v in layer.elf.items() if seen(p))
        root.sections.update((p, (v, number)) for p, v in layer.sections.items() if seen(p))
        root.links.update((p, v) for p, v in layer.links.items() if seen(p))
        above.add(layer)
    return root


class _Above:
    """What the layers above one hide of it."""

    def __init__(self) -> None:
        self._gone: set[str] = set()
        self._emptied: set[str] = set()

    def add(self, layer: LayerFiles) -> None:
        """Add the next layer below: what it has, a lower one does not show any more."""
        for paths in (layer.removed, layer.links, layer.documents, layer.files, layer.elf):
            self._gone.update(paths)
        self._emptied |= layer.emptied

    def below(self) -> Callable[[str], bool]:
        """Return a function that returns whether a path of the next layer below is visible."""
        if not (self._gone or self._emptied):
            return lambda _: True
        folders: dict[str, bool] = {}

        def inside(folder: str) -> bool:
            """Return whether what lies in the folder is seen."""
            known = folders.get(folder)
            if known is None:
                up = not folder or inside(folder.rpartition("/")[0])
                known = up and folder not in self._gone and folder not in self._emptied
                folders[folder] = known
            return known

        return lambda path: path not in self._gone and inside(path.rpartition("/")[0])
