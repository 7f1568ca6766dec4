"""Options of commands that work on many recipes: which of them, and how many at once."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.options import configured
from imagekit.errors import UsageError

if TYPE_CHECKING:
    from imagekit.cli.console import Console
    from imagekit.graph.recipe_graph import RecipeGraph
    from imagekit.recipe import Recipes

MOST_JOBS = 256


def add_graph_options(
    parser: argparse.ArgumentParser,
) -> "argparse._ArgumentGroup":
    """Add the options that choose recipes; return their group."""
    group = parser.add_argument_group("recipes")
    group.add_argument(
        "--with-bases", action="store_true", help="also the recipes that these stand on"
    )
    group.add_argument(
        "--changed-since",
        metavar="REVISION",
        help="only recipes of which a file, a link's target or a base differs from a revision of "
        "git; those that git cannot tell of, too",
    )
    return group


def add_jobs(group: "argparse._ArgumentGroup") -> None:
    """Add the option for how many recipes are worked on at once."""
    group.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="work on N recipes at once (default: as many as there are processors; fewer while "
        "little memory is left)",
    )


def jobs_of(arguments: argparse.Namespace) -> int:
    """Return how many recipes are worked on at once.

    Raises:
        UsageError: it is no such number.
    """
    from imagekit.graph.machine import processors

    if arguments.jobs is not None and not 1 <= arguments.jobs <= MOST_JOBS:
        raise UsageError(f"--jobs is {arguments.jobs}", hint=f"give a number from 1 to {MOST_JOBS}")
    jobs: int = configured(arguments, "jobs") or processors()
    return jobs


def graph_for(
    arguments: argparse.Namespace, paths: list[Path], tree: "Recipes"
) -> "tuple[RecipeGraph, Mapping[Path, str]]":
    """Return the recipes that are asked for, and why those changed, where that was asked.

    Args:
        arguments: of the command line.
        paths: recipes, and folders of recipes.
        tree: the recipes of this command.

    Raises:
        RecipeError: a path holds none, one is faulty, or what was changed is not known.
    """
    from imagekit.graph.recipe_graph import recipe_graph

    recipes = recipe_graph(paths, tree, with_bases=arguments.with_bases)
    if arguments.changed_since is None:
        return recipes, {}
    from imagekit.graph.changed_recipes import changed_since
    from imagekit.owners import trusted_owners

    why = changed_since(recipes, arguments.changed_since, trusted_owners())
    return recipes.only(why), why


def tell_why(recipes: "RecipeGraph", why: "Mapping[Path, str]", console: "Console") -> None:
    """Print why each recipe that is asked for counts as changed, if that was asked."""
    for key in recipes.graph.needs:
        if key in why:
            console.note(f"  {recipes.recipes[key].name}: {why[key]}")


def tell_nothing(arguments: argparse.Namespace, console: "Console", *, title: str) -> int:
    """Print that nothing was changed; return the exit code.

    Args:
        arguments: of the command line.
        console: where it is printed.
        title: what the document calls all recipes.
    """
    console.note(f"  nothing was changed since {arguments.changed_since}")
    console.result("", {"schema": 1, title: []})
    return 0
