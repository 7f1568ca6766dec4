"""Show what building a recipe would do, layer by layer. Nothing is done.

imagekit plan recipes/hello-mpi
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_lock_options,
    add_mirrors,
    add_recipes,
    lock_wish,
    mirrors_of,
    recipes_of,
)
from imagekit.recipe.recipe import Recipe

if TYPE_CHECKING:
    from imagekit.build.job import BuildPlan, LayerPlan
    from imagekit.build.show_plan import Planned


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a recipe's folder or file")
    add_recipes(parser)
    add_mirrors(parser)
    add_lock_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the plan."""
    from imagekit.build.show_plan import plan

    recipes = recipes_of(arguments)
    recipe = recipes.load(arguments.recipe)
    planned = plan(recipe, recipes, mirrors=mirrors_of(arguments), lock=lock_wish(arguments))
    text = "\n".join(_text(entry) for entry in planned)
    console.result(text, {"schema": 1, "plans": [_document(entry) for entry in planned]})
    return 0


def _text(planned: "Planned") -> str:
    plan, cached = planned.plan, planned.cached
    recipe = plan.recipe
    lines = [f"{recipe.name} {recipe.version}  {plan.platform}, dated {_date(plan.epoch)}"]
    lines.append(f"  recipe                 {planned.file}, {recipe.digest}")
    lines += [f"  lock                   {plan.lock}"] if plan.lock is not None else []
    lines += [f"  image                  {name}" for name in _images(recipe)]
    for prefix, layer in _layers(plan):
        state = "made before" if str(layer.key) in cached else "to be made"
        lines.append(f"  {layer.origin:<9} {state:<11}  {prefix and f'{prefix}: '}{layer.title}")
    for test in recipe.tests:
        command = test.args if test.args is not None else test.run
        words = command if isinstance(command, str) else " ".join(command or ())
        lines.append(f"  test                   {words}")
    lines.append(f"  tags                   {', '.join(recipe.tags.all)}")
    return "\n".join(lines)


def _document(planned: "Planned") -> dict[str, object]:
    plan, cached = planned.plan, planned.cached
    return {
        "name": plan.recipe.name,
        "version": plan.recipe.version,
        "recipe": planned.file,
        "recipe_digest": str(plan.recipe.digest),
        "lock": None if plan.lock is None else str(plan.lock),
        "inputs": planned.inputs.document,
        "inputs_digest": str(planned.inputs.digest),
        "images": _images(plan.recipe),
        "platform": str(plan.platform),
        "epoch": plan.epoch,
        "layers": [
            {
                "origin": str(layer.origin),
                "stage": stage,
                "title": layer.title,
                "key": str(layer.key),
                "cached": str(layer.key) in cached,
            }
            for stage, layer in _layers(plan)
        ],
        "tests": len(plan.recipe.tests),
        "tags": list(plan.recipe.tags.all),
    }


def _layers(plan: "BuildPlan") -> list[tuple[str, "LayerPlan"]]:
    """Return what is made, each behind the name of its stage; empty for the image itself."""
    stages = [(stage.name, layer) for stage in plan.stages for layer in stage.layers]
    return [*stages, *(("", layer) for layer in plan.layers)]


def _images(recipe: Recipe) -> list[str]:
    """Return the images of registries that a recipe builds on."""
    return [str(source) for source in recipe.images_below]


def _date(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
