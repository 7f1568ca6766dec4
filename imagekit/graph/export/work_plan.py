"""What an engine is to do: recipes by levels, each published by a command of its own."""

import shlex

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields
from imagekit.errors import InputError
from imagekit.graph.recipe_graph import RecipeGraph

MAX_TASKS = 2000
"""Most recipes of one plan."""


class PublishTask(Struct, frozen=True, kw_only=True):
    """One recipe that is published."""

    name: str
    version: str
    path: str
    """Its folder, as it was named: below the folder where the command runs."""
    bases: tuple[str, ...]
    """The names of the recipes of the plan that it stands on."""


class WorkPlan(Struct, frozen=True, kw_only=True):
    """Recipes by levels: each stands on recipes of earlier levels only."""

    levels: tuple[tuple[PublishTask, ...], ...]
    paths: tuple[str, ...]
    """What was asked for: recipes, and folders of recipes."""
    destination: str
    options: tuple[str, ...] = ()
    """Further options of ``imagekit publish``."""

    @property
    def tasks(self) -> tuple[PublishTask, ...]:
        """All of them, in an order in which they can be done."""
        return tuple(task for level in self.levels for task in level)

    @property
    def publish_options(self) -> str:
        """What stands behind ``imagekit publish RECIPE``, for a shell."""
        return shlex.join(["--to", self.destination, *self.options])


def work_plan(
    recipes: RecipeGraph,
    *,
    paths: tuple[str, ...],
    destination: str,
    options: tuple[str, ...] = (),
) -> WorkPlan:
    """Return the plan of a graph.

    Args:
        recipes: the graph.
        paths: what was asked for.
        destination: where the images go.
        options: further options of ``imagekit publish``.

    Raises:
        InputError: there are too many recipes, or a path or an option has no place in a line.
    """
    levels = tuple(
        tuple(
            PublishTask(
                name=recipes.recipes[key].name,
                version=recipes.recipes[key].version,
                path=_as_argument(str(recipes.recipes[key].folder)),
                bases=tuple(recipes.names(recipes.graph.needs[key])),
            )
            for key in level
        )
        for level in recipes.graph.levels()
    )
    plan = WorkPlan(levels=levels, paths=paths, destination=destination, options=options)
    if len(plan.tasks) > MAX_TASKS:
        raise InputError(
            f"there are {len(plan.tasks)} recipes, and a plan has at most {MAX_TASKS}",
            hint="make several plans, each of some folders",
        )
    for text in (*paths, destination, *options, *(task.path for task in plan.tasks)):
        if not text.isprintable():
            raise InputError(
                f"{text!r:.200} has characters that are not printed",
                hint="rename the folder, or write the option without them",
            )
    return plan


def _as_argument(path: str) -> str:
    """Return a path that no command takes for an option."""
    return f"./{path}" if path.startswith("-") else path


def plan_bytes(plan: WorkPlan) -> bytes:
    """Return the tasks of a plan as the summary reads them: in the form of ``imagekit graph``."""
    return strictjson.dumps(
        {
            "schema": 1,
            "recipes": [
                {"name": task.name, "version": task.version, "bases": list(task.bases)}
                for task in plan.tasks
            ],
        }
    )


def parse_tasks(raw: bytes) -> tuple[PublishTask, ...]:
    """Return the tasks of such a document, or of ``imagekit graph --json``, but for their paths.

    Raises:
        DocumentError: it is none.
    """
    what = "the plan"
    fields = Fields.of(strictjson.loads(raw, what=what), what=what, code="BAD_DOCUMENT")
    return tuple(
        _task(Fields.of(value, what=what, code="BAD_DOCUMENT"))
        for value in fields.array("recipes", limit=MAX_TASKS)
    )


def _task(fields: Fields) -> PublishTask:
    bases = fields.array("bases", limit=MAX_TASKS)
    if not all(isinstance(name, str) for name in bases):
        raise fields.fault("names bases that are no texts")
    name, version = fields.text("name"), fields.text("version")
    return PublishTask(name=name, version=version, path="", bases=tuple(bases))
