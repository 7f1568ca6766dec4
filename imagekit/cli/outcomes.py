"""What came of many recipes: a line for each as it comes, faults, one table, one document."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from imagekit.cli.console import Console, error_document
from imagekit.cli.faults import understood
from imagekit.cli.table import table
from imagekit.errors import ImagekitError
from imagekit.graph.recipe_graph import RecipeGraph
from imagekit.graph.run_graph import WorkOutcome
from imagekit.progress import Done, Failed

INTERRUPTED = 130
_REMEDY = "run it again: what is there is not done twice"


class RecipeResult(Struct, frozen=True, kw_only=True):
    """What was made of a recipe."""

    status: str
    """``built``, or as ``PublishedImage`` has it."""
    reference: str
    """The pinned reference of the image, as every command takes it."""
    moved: tuple[str, ...] = ()
    """What is another one since a stale image was built."""
    document: Mapping[str, object]
    """What the document of the command says of it, behind name and version."""


RecipeOutcome = WorkOutcome[Path, RecipeResult]


class Outcomes:
    """What came of the recipes of one command.

    Args:
        console: where it is shown.
        recipes: the recipes.
        title: what the document calls all of them.
    """

    def __init__(self, console: Console, recipes: RecipeGraph, *, title: str) -> None:
        self._console, self._recipes, self._title = console, recipes, title
        self._errors: dict[Path, ImagekitError] = {}

    def tell(self, outcome: RecipeOutcome) -> None:
        """Take note of what came of a recipe, and show it."""
        self._console.leave(self._recipes.recipes[outcome.key].name)
        if outcome.error is not None:
            self._errors[outcome.key] = understood(outcome.error, self._console)
        name, seconds = self._named(outcome.key), outcome.seconds
        status, why = self._status(outcome), self._why(outcome)
        if outcome.ending == "done":
            self._console.progress(Done(stage=status, summary=name, seconds=seconds))
        else:
            summary = f"{name}: {why}" if why else name
            self._console.progress(Failed(stage=status, summary=summary, seconds=seconds))

    def faults(self) -> None:
        """Print what went wrong with each, and the remedy."""
        for key, error in self._errors.items():
            self._console.say(f"{self._named(key)} failed:")
            self._console.fault(error)

    def summary(self, outcomes: Iterable[RecipeOutcome], *, seconds: float) -> str:
        """Return the table of all, and how many ended how."""
        outcomes = tuple(outcomes)
        rows = [
            (self._status(outcome), self._named(outcome.key), _time(outcome), self._why(outcome))
            for outcome in outcomes
        ]
        counted = Counter(row[0] for row in rows)
        counts = ", ".join(f"{number} {status}" for status, number in counted.items())
        heads = ("STATUS", "RECIPE", "TIME", "")
        return f"{table(heads, rows, terminal=True)}\n{counts} in {seconds:.1f} s"

    def document(
        self, outcomes: Iterable[RecipeOutcome], bases: Mapping[Path, Sequence[Mapping[str, str]]]
    ) -> dict[str, object]:
        """Return the document of all; where one failed, it is that of a failure, too.

        Args:
            outcomes: of all recipes.
            bases: what each stands on.
        """
        outcomes = tuple(outcomes)
        rows = [self._row(outcome, bases[outcome.key]) for outcome in outcomes]
        code = self.exit_code(outcomes)
        head: dict[str, object] = {"schema": 1}
        if code == INTERRUPTED:
            error = ImagekitError("interrupted", hint=_REMEDY, code="INTERRUPTED")
            head = {**error_document(error), "exit_code": code}
        elif code:
            head = error_document(self._worst())
        return {**head, self._title: rows}

    def exit_code(self, outcomes: Iterable[RecipeOutcome]) -> int:
        """Return that of the worst."""
        if any(outcome.ending == "interrupted" for outcome in outcomes):
            return INTERRUPTED
        return self._worst().exit_code if self._errors else 0

    def _worst(self) -> ImagekitError:
        return max(self._errors.values(), key=lambda error: error.exit_code)

    def _row(self, outcome: RecipeOutcome, bases: Sequence[Mapping[str, str]]) -> dict[str, object]:
        recipe = self._recipes.recipes[outcome.key]
        row: dict[str, object] = {"name": recipe.name, "version": recipe.version}
        seconds = round(outcome.seconds, 1)
        if outcome.result is not None:
            status = {"status": outcome.result.status}
            return {**row, **outcome.result.document, **status, "bases": bases, "seconds": seconds}
        row["status"] = self._status(outcome)
        error = self._errors.get(outcome.key)
        if error is not None:
            document = error_document(error)
            row |= {"error": document["error"], "exit_code": document["exit_code"]}
        if outcome.ending == "skipped":
            row["because"] = self._recipes.names(outcome.because)
        return {**row, "seconds": seconds}

    def _status(self, outcome: RecipeOutcome) -> str:
        return outcome.ending if outcome.result is None else outcome.result.status

    def _why(self, outcome: RecipeOutcome) -> str:
        if outcome.key in self._errors:
            return self._errors[outcome.key].message.partition("\n")[0]
        if outcome.result is not None and outcome.result.moved:
            return f"since then another one is: {', '.join(outcome.result.moved)}"
        because = ", ".join(self._recipes.names(outcome.because))
        return f"because of {because}" if because else ""

    def _named(self, key: Path) -> str:
        recipe = self._recipes.recipes[key]
        return f"{recipe.name} {recipe.version}"


def _time(outcome: RecipeOutcome) -> str:
    return "" if outcome.ending == "skipped" else f"{outcome.seconds:.1f} s"
