"""Check recipes and show every fault with its place; nothing is built or fetched.

A PATH is a recipe's folder, its recipe.yaml, or a folder of recipes. Ends with 2 where there are
errors; warnings alone, such as a lock that is stale, end with 0.

  imagekit lint recipes/
  imagekit lint --json recipes/hello-mpi | jq .errors
"""

import argparse
from pathlib import Path

from imagekit.cli.console import Console, diagnostic_document
from imagekit.cli.options import add_recipes, recipes_of
from imagekit.documents.quantity import count
from imagekit.errors import RecipeError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="recipe or folder")
    add_recipes(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Run the command."""
    from imagekit.lock.remarks import lock_remarks
    from imagekit.recipe.lint import lint

    tree = recipes_of(arguments)
    linted = lint(arguments.paths, recipes=tree, buildah=_buildah_version, remarks=lock_remarks)
    console.diagnostics(linted.diagnostics)
    document = {
        "schema": 1,
        "recipes": linted.recipes,
        "errors": linted.errors,
        "warnings": linted.warnings,
        "diagnostics": [diagnostic_document(d) for d in linted.diagnostics],
    }
    recipes = count(linted.recipes, "recipe")
    if linted.errors:
        text = f"{count(linted.errors, 'error')} in {linted.faulty} of {recipes}"
    else:
        text = f"{recipes}, no errors"
    if linted.warnings:
        text += f", {count(linted.warnings, 'warning')}"
    console.result(text, document)
    return RecipeError.exit_code if linted.errors else 0


def _buildah_version() -> str:
    """Return the version of this host's Buildah, or nothing where there is none."""
    from imagekit.build.tools.buildah import version
    from imagekit.errors import ToolError
    from imagekit.process import Runner

    try:
        return version(Runner())
    except ToolError:
        return ""
