"""Which one is next: what was finished, what waits, and what will never be begun.

Pure: it begins nothing and waits for nothing.
"""

from typing import Generic

from imagekit.graph.graph import Graph, Key


class Schedule(Generic[Key]):
    """Hands out the keys of a graph, each when all that it stands on has succeeded.

    Of those that could be next it is the one that most others stand on, so that few are left to
    wait at the end; of equal ones the first that was given.

    Args:
        graph: what stands on what.
    """

    def __init__(self, graph: Graph[Key]) -> None:
        self._graph = graph
        self._sorter = graph.sorter()
        self._weights = {key: len(graph.above({key})) for key in graph.needs}
        self._places = {key: place for place, key in enumerate(graph.needs)}
        self._ready = list(self._sorter.get_ready())
        self._because: dict[Key, tuple[Key, ...]] = {}

    def take(self) -> Key | None:
        """Return the next one to begin; None where none can be begun now."""
        if not self._ready:
            return None
        key = min(self._ready, key=lambda key: (-self._weights[key], self._places[key]))
        self._ready.remove(key)
        return key

    def finish(self, key: Key, *, succeeded: bool) -> tuple[tuple[Key, tuple[Key, ...]], ...]:
        """Note how one ended that was taken.

        Args:
            key: the one.
            succeeded: whether what stands on it can be begun.

        Returns:
            Those that are skipped now, each with the ones that failed below it.
        """
        if not succeeded:
            self._because[key] = (key,)
        skipped: list[tuple[Key, tuple[Key, ...]]] = []
        ended = [key]
        while ended:
            self._sorter.done(ended.pop())
            for ready in self._sorter.get_ready():
                failed = self._failed_below(ready)
                if failed:
                    self._because[ready] = failed
                    skipped.append((ready, failed))
                    ended.append(ready)
                else:
                    self._ready.append(ready)
        return tuple(skipped)

    def _failed_below(self, key: Key) -> tuple[Key, ...]:
        below = (self._because.get(need, ()) for need in self._graph.needs[key])
        return tuple(dict.fromkeys(failed for names in below for failed in names))
