"""Publishing recipes, one or many, and showing what comes of each."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from msgspec import Struct, field

from imagekit.cli.base_lines import tell_bases
from imagekit.cli.console import Console
from imagekit.cli.outcomes import Outcomes, Published, shown
from imagekit.documents.quantity import count
from imagekit.graph.interruption import Interruption
from imagekit.graph.machine import has_memory
from imagekit.graph.recipe_graph import RecipeGraph
from imagekit.graph.run_graph import GraphOptions, is_interrupted, run_graph
from imagekit.oci.destination import Destination
from imagekit.progress import Progress
from imagekit.publish.publish import PublishOptions
from imagekit.publish.published import PublishedImage
from imagekit.signatures.ports import Signer


class PublishRecipes(Struct, frozen=True, kw_only=True):
    """What is published, how, and where it is shown."""

    recipes: RecipeGraph
    bases: Mapping[Path, list[dict[str, str]]]
    destination: Destination
    signer: Signer
    options_for: Callable[[Progress], PublishOptions]
    """Returns how one is published that this callback shows."""
    console: Console
    interruption: Interruption = field(default_factory=Interruption)

    def only_one(self) -> int:
        """Publish the one recipe that there is; what ends it is raised."""
        (key,) = self.recipes.graph.needs
        recipe, console = self.recipes.recipes[key], self.console
        began = time.monotonic()
        console.note(f"  {recipe.name} {recipe.version}")
        tell_bases(self.bases[key], console)
        outcomes = run_graph(self.recipes.graph, self._publish)
        document = Outcomes(console, self.recipes).document(outcomes.values(), self.bases)
        (outcome,) = outcomes.values()
        if outcome.ending == "interrupted":
            self._interrupted(document)
        if outcome.error is not None:
            console.partial = {"published": document["published"]}
            raise outcome.error
        image = outcome.result
        if image is not None:
            console.result(shown(image), document)
            console.note(f"  {image.status} in {time.monotonic() - began:.1f} s")
        return 0

    def all(self, jobs: int) -> int:
        """Publish all that can be, and say what came of each."""
        began = time.monotonic()
        console, graph = self.console, self.recipes.graph
        console.note(
            f"  {count(len(graph.needs), 'recipe')}, {min(jobs, len(graph.needs))} at once"
        )
        self._tell_bases()
        told = Outcomes(console, self.recipes)
        done: dict[Path, Published] = {}

        def tell(outcome: Published) -> None:
            done[outcome.key] = outcome
            told.tell(outcome)
            # Whatever ends this run: what was published before is in the document.
            console.partial = {"published": told.document(done.values(), self.bases)["published"]}

        how = GraphOptions(jobs=jobs, has_room=has_memory, stop=self.interruption.ask, told=tell)
        outcomes = run_graph(graph, self._publish, how).values()
        told.faults()
        console.note(told.summary(outcomes, seconds=time.monotonic() - began))
        document = told.document(outcomes, self.bases)
        if not console.json:
            images = (outcome.result for outcome in outcomes if outcome.result is not None)
            console.copied("\n".join(shown(image) for image in images), {})
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

    def _publish(self, key: Path) -> PublishedImage:
        from imagekit.publish.publish import publish

        recipe = self.recipes.recipes[key]
        several = len(self.recipes.graph.needs) > 1
        progress = self.interruption.heard_by(
            self.console.progress_of(recipe.name if several else "")
        )
        return publish(
            recipe,
            to=self.destination,
            signer=self.signer,
            progress=progress,
            options=self.options_for(progress),
        )

    def _tell_bases(self) -> None:
        """Print once which files each base is made of that is not published itself."""
        own = {recipe.name for recipe in map(self.recipes.recipes.__getitem__, self.bases)}
        each = (base for bases in self.bases.values() for base in bases if base["name"] not in own)
        tell_bases(list({base["name"]: base for base in each}.values()), self.console)
