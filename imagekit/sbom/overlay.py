"""The layers of an image laid over each other (OCI image-spec, layer.md "Applying Changesets")."""

from collections.abc import Iterator, MutableMapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeVar

from imagekit.model.sbom import LayerFiles, RegularFile

_MAX_LINKS_FOLLOWED = 40
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Root:
    """What is left when all layers lie over each other; numbers are those of the layers."""

    layers: tuple[LayerFiles, ...]
    documents: dict[str, tuple[bytes, int]]
    links: dict[str, str]
    files: dict[str, tuple[RegularFile, int]]

    def read(self, path: str) -> bytes | None:
        """Return the document at the path, links followed within the root."""
        found = self.documents.get(path) or self.documents.get(self.resolve(path))
        return None if found is None else found[0]

    def resolve(self, path: str) -> str:
        """Follow symbolic links as text, never out of the root; a loop leads nowhere."""
        todo = path.split("/")[::-1]
        done: list[str] = []
        followed = 0
        while todo:
            part = todo.pop()
            if part == "..":
                del done[-1:]
            elif part not in {"", "."}:
                target = self.links.get("/".join((*done, part)))
                if target is None:
                    done.append(part)
                    continue
                followed += 1
                if followed > _MAX_LINKS_FOLLOWED:
                    return path
                if target.startswith("/"):
                    done.clear()
                todo.extend(target.split("/")[::-1])
        return "/".join(done)


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
    """Return what the layers add up to; the first is the lowest."""
    root = Root(tuple(layers), {}, {}, {})
    for number, layer in enumerate(layers):
        _hide(root.documents, layer)
        _hide(root.links, layer)
        _hide(root.files, layer)
        for path in layer.documents.keys() | layer.files.keys():
            root.links.pop(path, None)
        root.documents.update((path, (raw, number)) for path, raw in layer.documents.items())
        root.files.update((path, (file, number)) for path, file in layer.files.items())
        root.links.update(layer.links)
    return root


def _hide(paths: MutableMapping[str, _Value], layer: LayerFiles) -> None:
    gone = layer.removed | layer.links.keys()
    if not paths or not (gone or layer.emptied):
        return
    for path in [path for path in paths if _is_hidden(path, gone, layer.emptied)]:
        del paths[path]


def _is_hidden(path: str, gone: AbstractSet[str], emptied: AbstractSet[str]) -> bool:
    if path in gone:
        return True
    return any(folder in gone or folder in emptied for folder in _folders(path))


def _folders(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path
