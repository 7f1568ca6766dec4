"""Building or publishing recipes, one or many, and showing what comes of each."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from msgspec import Struct, field

from imagekit.cli.base_lines import tell_bases
from imagekit.cli.console import Console
from imagekit.cli.outcomes import Outcomes, RecipeOutcome, RecipeResult
from imagekit.documents.quantity import count
from imagekit.graph.interruption import Interruption
from imagekit.graph.machine import has_memory
from imagekit.graph.recipe_graph import RecipeGraph
from imagekit.graph.run_graph import GraphOptions, is_interrupted, run_graph
from imagekit.progress import Progress
from imagekit.recipe.recipe import Recipe


class RecipeWork(Struct, frozen=True, kw_only=True):
    """What is built or published, how, and where it is shown."""

    recipes: RecipeGraph
    bases: Mapping[Path, list[dict[str, str]]]
    do: Callable[[Recipe, Progress], RecipeResult]
    """Builds or publishes one, and tells the callback of everything that happens."""
    title: str
    """What the document calls all of them: ``built`` or ``published``."""
    console: Console
    interruption: Interruption = field(default_factory=Interruption)

    def only_one(self) -> int:
        """Do the one recipe that there is; what ends it is raised."""
        (key,) = self.recipes.graph.needs
        recipe, console = self.recipes.recipes[key], self.console
        began = time.monotonic()
        console.note(f"  {recipe.name} {recipe.version}")
        tell_bases(self.bases[key], console)
        outcomes = run_graph(self.recipes.graph, self._done)
        document = Outcomes(console, self.recipes, title=self.title).document(
            outcomes.values(), self.bases
        )
        (outcome,) = outcomes.values()
        if outcome.ending == "interrupted":
            self._interrupted(document)
        if outcome.error is not None:
            console.partial = {self.title: document[self.title]}
            raise outcome.error
        made = outcome.result
        if made is not None:
            console.result(made.reference, document)
            console.note(f"  {made.status} in {time.monotonic() - began:.1f} s")
        return 0

    def all(self, jobs: int) -> int:
        """Do all that can be done, and say what came of each."""
        began = time.monotonic()
        console, graph = self.console, self.recipes.graph
        console.note(
            f"  {count(len(graph.needs), 'recipe')}, {min(jobs, len(graph.needs))} at once"
        )
        self._tell_bases()
        told = Outcomes(console, self.recipes, title=self.title)
        done: dict[Path, RecipeOutcome] = {}

        def tell(outcome: RecipeOutcome) -> None:
            done[outcome.key] = outcome
            told.tell(outcome)
            # Whatever ends this run: what was done before is in the document.
            document = told.document(done.values(), self.bases)
            console.partial = {self.title: document[self.title]}

        how = GraphOptions(jobs=jobs, has_room=has_memory, stop=self.interruption.ask, told=tell)
        outcomes = run_graph(graph, self._done, how).values()
        told.faults()
        console.note(told.summary(outcomes, seconds=time.monotonic() - began))
        document = told.document(outcomes, self.bases)
        if not console.json:
            made = (outcome.result for outcome in outcomes if outcome.result is not None)
            console.copied("\n".join(entry.reference for entry in made), {})
        if is_interrupted({outcome.key: outcome for outcome in outcomes}):
            self._interrupted(document)
        if console.json:
            console.result("", document)
        return told.exit_code(outcomes)

    def _interrupted(self, document: dict[str, object]) -> NoReturn:
        """Print the document of what was done until Ctrl-C, and go on with that."""
        if self.console.json:
            self.console.result("", document)
        raise KeyboardInterrupt

    def _done(self, key: Path) -> RecipeResult:
        recipe = self.recipes.recipes[key]
        name = recipe.name if len(self.recipes.graph.needs) > 1 else ""
        progress = self.interruption.heard_by(self.console.progress_of(name))
        return self.do(recipe, progress)

    def _tell_bases(self) -> None:
        """Print once which files each base is made of that is not one of these recipes."""
        own = {recipe.name for recipe in map(self.recipes.recipes.__getitem__, self.bases)}
        others = (
            base for bases in self.bases.values() for base in bases if base["name"] not in own
        )
        tell_bases(list({base["name"]: base for base in others}.values()), self.console)
