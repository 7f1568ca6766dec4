"""Where in a policy's document the parts of the policy stand."""

from collections.abc import Iterable

from msgspec import Struct

from imagekit.documents import strictyaml
from imagekit.documents.report import SourceSpan
from imagekit.documents.strictyaml import Node


class Places(Struct, frozen=True):
    """A document, asked for the places of what its policy was made of."""

    root: Node

    def value(self, *path: str | int) -> SourceSpan:
        """Return where a value stands; where it does not stand, that of what would hold it."""
        node = self.root
        for step in path:
            inner = _inner(node, step)
            if inner is None:
                return node.span
            node = inner
        return node.span

    def key(self, *path: str | int) -> SourceSpan:
        """Return where the last key of a path stands, else as ``value``."""
        *before, last = path
        node = self._node(before)
        if isinstance(node, strictyaml.Mapping):
            for entry in node.entries:
                if entry.key == last:
                    return entry.key_span
        return self.value(*path)

    def keys(self, *path: str | int) -> tuple[str, ...]:
        """Return the keys of the mapping that stands there; none where there is no mapping."""
        node = self._node(path)
        if not isinstance(node, strictyaml.Mapping):
            return ()
        return tuple(entry.key for entry in node.entries)

    def has(self, *path: str | int) -> bool:
        """Return whether something stands there."""
        return self._node(path) is not None

    def _node(self, path: Iterable[str | int]) -> Node | None:
        node: Node | None = self.root
        for step in path:
            node = None if node is None else _inner(node, step)
        return node


def _inner(node: Node, step: str | int) -> Node | None:
    match node:
        case strictyaml.Mapping() if isinstance(step, str):
            return next((entry.value for entry in node.entries if entry.key == step), None)
        case strictyaml.Sequence() if isinstance(step, int):
            return node.items[step] if step < len(node.items) else None
    return None
