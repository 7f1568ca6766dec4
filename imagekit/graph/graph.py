"""What stands on what, as a value: order, levels, and what is above and below.

It knows nothing of recipes: keys are whatever tells them apart.
"""

from collections.abc import Callable, Collection, Hashable, Mapping
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Generic, TypeVar

from msgspec import Struct

from imagekit.errors import RecipeError

Key = TypeVar("Key", bound=Hashable)


class Graph(Struct, Generic[Key], frozen=True):
    """Keys, each with those that it stands on; it has no cycle, see ``graph_of``."""

    needs: Mapping[Key, tuple[Key, ...]]
    """Every key, in the order in which they were given."""

    def levels(self) -> tuple[tuple[Key, ...], ...]:
        """Return the keys by level: each stands on keys of earlier levels only.

        The first level stands on nothing, and every key is in the earliest level that it can be in.
        """
        sorter = self.sorter()
        levels = []
        while sorter.is_active():
            ready = sorter.get_ready()
            sorter.done(*ready)
            levels.append(self._in_order(ready))
        return tuple(levels)

    def above(self, keys: Collection[Key]) -> frozenset[Key]:
        """Return the keys, and all that stand on any of them."""
        reached = set(keys)
        for level in self.levels():
            reached.update(key for key in level if not reached.isdisjoint(self.needs[key]))
        return frozenset(reached)

    def below(self, keys: Collection[Key]) -> frozenset[Key]:
        """Return the keys, and all that any of them stands on."""
        reached: set[Key] = set()
        wanted = list(keys)
        while wanted:
            key = wanted.pop()
            if key not in reached:
                reached.add(key)
                wanted += self.needs[key]
        return frozenset(reached)

    def only(self, keys: Collection[Key]) -> "Graph[Key]":
        """Return the graph of some keys; what one stands on through others, it still stands on."""
        kept = frozenset(keys)
        found: dict[Key, tuple[Key, ...]] = {}
        for level in self.levels():
            for key in level:
                below = [(need,) if need in kept else found[need] for need in self.needs[key]]
                found[key] = tuple(dict.fromkeys(need for needed in below for need in needed))
        return Graph(MappingProxyType({key: found[key] for key in self.needs if key in kept}))

    def sorter(self) -> TopologicalSorter[Key]:
        """Return what hands the keys out, those first that stand on nothing."""
        sorter = TopologicalSorter(self.needs)
        sorter.prepare()
        return sorter

    def _in_order(self, keys: Collection[Key]) -> tuple[Key, ...]:
        chosen = frozenset(keys)
        return tuple(key for key in self.needs if key in chosen)


def graph_of(
    needs: Mapping[Key, Collection[Key]], *, name: Callable[[Key], str] = str
) -> Graph[Key]:
    """Return the graph of keys and what each stands on.

    Args:
        needs: every key with those that it stands on, which are keys, too.
        name: what a key is called in errors.

    Raises:
        RecipeError: a key stands on itself; the message has the whole path.
    """
    graph = Graph(
        MappingProxyType({key: tuple(dict.fromkeys(below)) for key, below in needs.items()})
    )
    try:
        graph.sorter()
    except CycleError as error:
        # graphlib goes from what is needed to what needs it.
        path = " > ".join(name(key) for key in reversed(error.args[1]))
        raise RecipeError(
            f"recipes stand on each other in a circle: {path}",
            hint="take one of these bases out",
            code="recipe/base-cycle",
        ) from error
    return graph
