"""The steps of one layer that a build before has done, and those that this one does.

What a step changed is written down as it was, before anything is tidied: times, caches and all that
a layer leaves out, since a later step may want it. Where it is put back, the tree is the one that a
later step saw then, and the layer of all steps is made of the tree in the same way. So the image is
the same, whichever of its steps were done now.

An entry is found by the key of its step and by the content of the layers that it stood on: packages
that were installed anew may be others, under the same key. No entry is kept of a step that made
what no archive can hold, or a text that must not be kept; it and those behind it are done again.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from imagekit.build import layer, tree_snapshot
from imagekit.build.container import BuildContainer
from imagekit.build.exclude import UNSEEN
from imagekit.build.image import BuiltLayer, Material
from imagekit.build.job import CachedStep, LayerPlan
from imagekit.build.marks import Mark, Marks
from imagekit.build.restore import restore
from imagekit.build.tree_snapshot import Changes, Snapshot
from imagekit.documents import strictjson
from imagekit.errors import BuildError, ToolError
from imagekit.oci.digest import Digest
from imagekit.recipe.recipe import Step, stages_of

_SHORTEST_LINE = 6


def standing(
    steps: Sequence[Step],
    below: Sequence[BuiltLayer],
    stages: Mapping[str, Sequence[BuiltLayer]],
) -> Digest:
    """Return a digest of the content that something stands on.

    Args:
        steps: what it does.
        below: the layers below it.
        stages: all layers of each stage.
    """
    copied = [[str(layer.diff_id) for layer in stages[name]] for name in stages_of(tuple(steps))]
    return Digest.of(strictjson.dumps([[str(layer.diff_id) for layer in below], *copied]))


def weakest(isolations: Sequence[str]) -> str:
    """Return the one that contained least, or nothing where no command was run."""
    return next(
        (how for how in isolations if how == "chroot"), isolations[-1] if isolations else ""
    )


class StepEntries:
    """Goes through the steps of a layer in the working container, as far as somebody wants.

    Args:
        wanted: the layer.
        container: the working container.
        root: its mounted root, on which no step was done.
        before: the state of that.
        stands_on: of the first steps of each number, what ``standing`` returned.
        marks: texts of this host that no layer may hold.
    """

    def __init__(
        self,
        wanted: LayerPlan,
        container: BuildContainer,
        root: Path,
        *,
        before: Snapshot,
        stands_on: Sequence[Digest],
        marks: Sequence[Mark],
    ) -> None:
        self._container, self._root, self._before = container, root, before
        self._keys = tuple(
            Digest.of(strictjson.dumps([str(key), str(below)]))
            for key, below in zip(wanted.step_keys, stands_on, strict=True)
        )
        self._marks = Marks((*marks, *_secret_marks(container)))
        self._whole, self._locked = True, wanted.locked
        self.done = 0
        """How many steps are done."""
        self.materials: list[Material] = []
        """What the steps that are done brought from outside."""
        self.isolations: list[str] = []
        """How their commands were contained."""

    def restore(self, last: int) -> None:
        """Put back what a build before made of the first steps, as far as it is known.

        Args:
            last: how many steps are to be done in the end.

        Raises:
            ToolError: it is damaged, or the tree cannot be written or read.
        """
        while self.done < last:
            key = self._keys[self.done]
            cached = self._container.steps.find(key)
            if cached is None:
                break
            self._put_back(key)
            self._count(cached)
        if 0 < self.done < last:
            self._before = tree_snapshot.take(self._root)

    def add(self, materials: Sequence[Material], *, made: float, isolation: str = "") -> None:
        """Count a step that was done, and keep what it changed.

        Args:
            materials: what it brought from outside.
            made: the time, in seconds since 1970.
            isolation: how its command was contained, if it is one.

        Raises:
            ToolError: the tree cannot be read.
        """
        step = CachedStep(
            materials=tuple(materials), made=made, isolation=isolation, locked=self._locked
        )
        if self._whole:
            after = tree_snapshot.take(self._root)
            changed = tree_snapshot.changes(self._before, after, UNSEEN)
            self._before = after
            self._keep(step, changed)
        self._count(step)

    def _keep(self, step: CachedStep, changed: Changes) -> None:
        def fill(file: IO[bytes]) -> None:
            layer.save(self._root, changed, file, marks=self._marks)

        try:
            self._container.steps.keep(self._keys[self.done], step, fill)
        except (BuildError, OSError):
            # What is still wrong behind all steps is an error where the layer is written.
            self._whole = False

    def _count(self, step: CachedStep) -> None:
        self.done += 1
        self.materials += step.materials
        self.isolations += [step.isolation] if step.isolation else []

    def _put_back(self, key: Digest) -> None:
        try:
            with self._container.steps.archive(key).open("rb") as file:
                restore(self._root, file)
        except (OSError, ToolError) as error:
            self._container.steps.drop(key)
            raise ToolError(
                f"step {self.done + 1} was done before, and cannot be put back: {error}",
                hint="run it again: that entry of the cache was removed",
            ) from error


def _secret_marks(container: BuildContainer) -> Iterator[Mark]:
    """Yield the secrets of a build, and their long lines: an entry outlives the build."""
    for path, _ in container.secrets():
        raw = path.read_bytes()
        for text in {raw.strip(), *(line.strip() for line in raw.splitlines())}:
            if text == raw.strip() or len(text) >= _SHORTEST_LINE:
                yield Mark(text, "a secret", secret=True)
