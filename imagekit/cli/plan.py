"""Show what building a recipe would do, layer by layer. Nothing is done.

imagekit plan recipes/hello-mpi
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from imagekit.cli.console import Console
from imagekit.model.plan import BuildPlan


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a recipe's folder or file")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the plan."""
    from imagekit.pipeline.plan import Planned, plan
    from imagekit.recipe import load

    planned: tuple[Planned, ...] = plan(load(arguments.recipe))
    text = "\n".join(_text(entry.plan, entry.cached) for entry in planned)
    console.result(text, {"schema": 1, "plans": [_document(e.plan, e.cached) for e in planned]})
    return 0


def _text(plan: BuildPlan, cached: frozenset[str]) -> str:
    recipe = plan.recipe
    lines = [f"{recipe.name} {recipe.version}  {plan.platform}, dated {_date(plan.epoch)}"]
    for layer in plan.layers:
        state = "made before" if str(layer.key) in cached else "to be made"
        lines.append(f"  {layer.origin:<9} {state:<11}  {layer.title}")
    for test in recipe.tests:
        command = test.args if test.args is not None else test.run
        words = command if isinstance(command, str) else " ".join(command or ())
        lines.append(f"  test                   {words}")
    lines.append(f"  tags                   {', '.join(recipe.tags.all)}")
    return "\n".join(lines)


def _document(plan: BuildPlan, cached: frozenset[str]) -> dict[str, object]:
    return {
        "name": plan.recipe.name,
        "version": plan.recipe.version,
        "recipe_digest": str(plan.recipe.digest),
        "platform": str(plan.platform),
        "epoch": plan.epoch,
        "layers": [
            {
                "origin": str(layer.origin),
                "title": layer.title,
                "key": str(layer.key),
                "cached": str(layer.key) in cached,
            }
            for layer in plan.layers
        ],
        "tests": len(plan.recipe.tests),
        "tags": list(plan.recipe.tags.all),
    }


def _date(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
