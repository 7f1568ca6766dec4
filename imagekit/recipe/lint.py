"""Judges recipes without building them: every fault, and a few remarks."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct

from imagekit.documents.place import SourcePlace
from imagekit.documents.report import Report, SourceSpan
from imagekit.errors import Diagnostic, RecipeError
from imagekit.recipe.find import discover
from imagekit.recipe.recipe import Recipe
from imagekit.recipe.render import reaches
from imagekit.recipe.tree import Recipes


class LintedRecipe(Struct, frozen=True, kw_only=True):
    """What became of linting."""

    recipes: int
    diagnostics: tuple[Diagnostic, ...]

    @property
    def errors(self) -> int:
        """How many faults stop a recipe from being built."""
        return sum(d.severity == "error" for d in self.diagnostics)

    @property
    def warnings(self) -> int:
        """How many remarks there are."""
        return len(self.diagnostics) - self.errors

    @property
    def faulty(self) -> int:
        """How many files have errors."""
        return len({d.file for d in self.diagnostics if d.severity == "error"})


Remarks = Callable[[Recipe, Recipes], Iterable[Diagnostic]]
"""Returns what else there is to say of a recipe, among the others."""


def lint(
    paths: Iterable[Path],
    *,
    recipes: Recipes | None = None,
    buildah: Callable[[], str] = str,
    remarks: Remarks = lambda _, __: (),
) -> LintedRecipe:
    """Judge every recipe that the paths name or hold.

    Args:
        paths: recipes or folders of recipes.
        recipes: where bases are looked for.
        buildah: returns the version of this host's Buildah, empty where there is none; asked only
            where a recipe needs one of some age.
        remarks: says more of recipes that are without fault.

    Raises:
        RecipeError: a path does not exist or holds no recipe.
    """
    recipes = recipes or Recipes()
    files = discover(paths)
    diagnostics: list[Diagnostic] = []
    # All are read before bases are looked for, so that each is read once.
    judged = [_judge(file, recipes) for file in files]
    for recipe, report in judged:
        if recipe is not None:
            _remark(recipe, report)
            diagnostics += _needs(recipe, buildah)
        diagnostics += report.diagnostics
        if recipe is not None:
            below = _bases(recipe, recipes)
            diagnostics += below or remarks(recipe, recipes)
    good = [recipe for recipe, _ in judged if recipe is not None]
    diagnostics += _same_names(good)
    return LintedRecipe(recipes=len(files), diagnostics=tuple(dict.fromkeys(diagnostics)))


def _judge(file: Path, recipes: Recipes) -> tuple[Recipe | None, Report]:
    try:
        return recipes.judge(file)
    except RecipeError as error:
        report = Report(str(file), "recipe")
        code = error.code.removeprefix("recipe/")
        report.error(SourceSpan(), code, error.message, hint=error.hint)
        return None, report


def _bases(recipe: Recipe, recipes: Recipes) -> tuple[Diagnostic, ...]:
    try:
        recipes.with_bases(recipe)
    except RecipeError as error:
        # The faults of a base are its own, and reported where it is linted.
        own = tuple(d for d in error.diagnostics if Path(d.file).parent == recipe.folder)
        return own or _faulty_base(recipe, error)
    return ()


def _needs(recipe: Recipe, buildah: Callable[[], str]) -> list[Diagnostic]:
    """Return what this host's Buildah cannot do."""
    needs = () if recipe.script is None else recipe.script.needs
    version = buildah() if needs else ""
    return [
        need.place.diagnostic(
            "recipe/needs-newer-buildah",
            f"{need.feature} needs buildah {need.version}, and this host has {version}",
            hint="write it without, or build on a host with a newer one",
        )
        for need in needs
        if version and not reaches(version, need.version)
    ]


def _faulty_base(recipe: Recipe, error: RecipeError) -> tuple[Diagnostic, ...]:
    message = f"a recipe that this one stands on is faulty: {error.message}"
    return (recipe.recipes_below[0].place.diagnostic("recipe/bad-base", message),)


def _remark(recipe: Recipe, report: Report) -> None:
    """Add the remarks; they are few, and each is worth a change."""
    if not recipe.tests:
        hint = "add `tests:`; one that starts the program is enough to begin with"
        report.warn(_span(recipe.place), "no-tests", "the recipe has no tests", hint=hint)
    for tag in ("latest", "stable"):
        if tag in recipe.tags.immutable:
            message = f"the tag {tag} is immutable, so there can be only one release"
            hint = "list it under `moving`"
            report.warn(_span(recipe.place), "fixed-latest", message, hint=hint)
    names = Counter(
        text.partition("=")[0]
        for packages in recipe.packages
        if packages.manager == "apt"
        for text in packages.install
    )
    for name in sorted(name for name, count in names.items() if count > 1):
        message = f"the package {name} is listed more than once"
        place = recipe.packages[0].place
        report.warn(_span(place), "package-twice", message, hint="list it once")


def _same_names(recipes: Iterable[Recipe]) -> list[Diagnostic]:
    first: dict[str, Recipe] = {}
    diagnostics = []
    for recipe in recipes:
        earlier = first.setdefault(recipe.name, recipe)
        if earlier is not recipe:
            message = f"the name {recipe.name} is that of {earlier.file} too"
            diagnostics.append(
                Diagnostic(
                    code="recipe/same-name",
                    message=message,
                    file=str(recipe.file),
                    hint="rename one of them",
                )
            )
    return diagnostics


def _span(place: SourcePlace) -> SourceSpan:
    return SourceSpan(place.line, place.column, place.length)
