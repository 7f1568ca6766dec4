"""Show what recipes stand on, and in which order they are built; nothing is done.

A PATH is a recipe, or a folder of recipes. The levels are those in which recipes can be built: each
stands on recipes of earlier levels only.

  imagekit graph recipes/
  imagekit graph recipes/ --changed-since main
  imagekit graph recipes/ --format svg > recipes.svg
  imagekit graph recipes/ --json | jq -r '.levels[][]'
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.graph_options import add_graph_options, graph_for
from imagekit.cli.options import add_recipes, recipes_of

if TYPE_CHECKING:
    from imagekit.graph.recipe_graph import RecipeGraph
    from imagekit.recipe import Recipes

_FORMATS = ("text", "dot", "svg", "json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "paths",
        type=Path,
        nargs="*",
        default=[Path()],
        metavar="PATH",
        help="recipes, or folders of recipes (default: this folder)",
    )
    parser.add_argument(
        "--format", choices=_FORMATS, default="text", help="how it is shown (default: text)"
    )
    add_recipes(add_graph_options(parser))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the graph."""
    from imagekit.graph.draw import dot_text, svg_text

    tree = recipes_of(arguments)
    recipes, why = graph_for(arguments, arguments.paths, tree)
    console.json = console.json or arguments.format == "json"
    document = _document(recipes, why, tree)
    if arguments.format == "dot":
        console.copied(dot_text(recipes), document)
    elif arguments.format == "svg" and not console.json:
        console.copied(svg_text(recipes), document)
    elif recipes.graph.needs or console.json:
        console.result(_text(recipes, why), document)
    else:
        console.note(f"nothing was changed since {arguments.changed_since}")
    return 0


def _text(recipes: "RecipeGraph", why: Mapping[Path, str]) -> str:
    lines = []
    for number, level in enumerate(recipes.graph.levels(), 1):
        for key in level:
            recipe = recipes.recipes[key]
            below = ", ".join(recipes.names(recipes.whole.needs[key]))
            line = f"{number}  {recipe.name} {recipe.version}" + (f"  on {below}" if below else "")
            lines.append(line + (f"  ({why[key]})" if key in why else ""))
    return "\n".join(lines)


def _document(
    recipes: "RecipeGraph", why: Mapping[Path, str], tree: "Recipes"
) -> dict[str, object]:
    levels = recipes.graph.levels()
    places = {key: number for number, level in enumerate(levels, 1) for key in level}
    return {
        "schema": 1,
        "recipes": [
            {
                "name": recipes.recipes[key].name,
                "version": recipes.recipes[key].version,
                "path": str(recipes.recipes[key].folder),
                "recipe": tree.shown(recipes.recipes[key]),
                "recipe_digest": str(recipes.recipes[key].digest),
                "level": places[key],
                "bases": recipes.names(recipes.whole.needs[key]),
                "why": why.get(key, ""),
            }
            for key in recipes.graph.needs
        ],
        "levels": [recipes.names(level) for level in levels],
    }
