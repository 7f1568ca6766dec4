"""A graph as a drawing: in the language of graphviz, and as SVG by its program."""

from pathlib import Path

from imagekit.errors import ToolNotFoundError
from imagekit.graph.recipe_graph import RecipeGraph
from imagekit.process import Runner, which

_SECONDS = 60.0


def dot_text(recipes: RecipeGraph) -> str:
    """Return what is asked for in the DOT language, the bases above what stands on them.

    https://graphviz.org/doc/info/lang.html
    """
    lines = ["digraph recipes {", "  node [shape=box];"]
    for key in recipes.graph.needs:
        recipe = recipes.recipes[key]
        lines.append(
            f"  {_node(recipes, key)} [label={_quoted(f'{recipe.name} {recipe.version}')}];"
        )
    for key, needs in recipes.graph.needs.items():
        lines += [f"  {_node(recipes, need)} -> {_node(recipes, key)};" for need in needs]
    return "\n".join([*lines, "}"])


def svg_text(recipes: RecipeGraph, runner: Runner | None = None) -> str:
    """Return the drawing as SVG.

    Args:
        recipes: what is asked for.
        runner: runs graphviz.

    Raises:
        ToolNotFoundError: graphviz is not installed.
        ToolError: it failed, or took too long.
    """
    if which("dot") is None:
        raise ToolNotFoundError(
            "dot is not installed, which draws SVG",
            hint="on Debian: apt-get install graphviz; or draw what --format dot prints elsewhere",
        )
    drawn = (runner or Runner()).run(
        ["dot", "-Tsvg"], stdin=dot_text(recipes).encode(), limit=_SECONDS
    )
    return drawn.stdout


def _node(recipes: RecipeGraph, key: Path) -> str:
    """Return the name of a recipe: no other one that is asked for has it."""
    return _quoted(recipes.recipes[key].name)


def _quoted(text: str) -> str:
    r"""Return a text as DOT quotes it; in labels a backslash would begin an escape such as \N."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
