"""Open a shell in the working container of a recipe, as its steps see it.

  imagekit shell recipes/hello-mpi
  imagekit shell recipes/hello-mpi --after 1
  imagekit shell recipes/hello-mpi --failed
  imagekit shell recipes/hello-mpi -- ls -l /opt

What the cache lacks is built before. The shell is contained as steps are, has the network that its
step has, and nothing that is done in it is kept. With --failed the steps run again up to the one
that fails. Without a terminal commands are read from stdin. Ends with the exit code of the shell.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.commands.build import preflight_once
from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_cache_from,
    add_lock_options,
    add_mirrors,
    add_recipes,
    add_registry_options,
    cache_from,
    configured,
    destination_of,
    lock_wish,
    mirrors_of,
    recipes_of,
    registry_of,
)
from imagekit.errors import UsageError

if TYPE_CHECKING:
    from imagekit.build.job import ShellReady


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a recipe's folder or file")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--after",
        type=int,
        metavar="STEP",
        help="behind this step, counted from 1 (default: behind all)",
    )
    where.add_argument(
        "--failed", action="store_true", help="as the step that fails leaves the container"
    )
    group = parser.add_argument_group("build")
    add_recipes(group)
    add_mirrors(group)
    add_lock_options(group)
    add_cache_from(group)
    group.add_argument(
        "--isolation",
        choices=("auto", "oci", "chroot"),
        help="how steps and the shell are contained (see: imagekit build --help)",
    )
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Build as far as needed, and run the shell."""
    from imagekit.build.build import BuildOptions
    from imagekit.build.job import END, FAILED
    from imagekit.build.shell import shell

    if arguments.after is not None and arguments.after < 1:
        raise UsageError("--after is the number of a step, counted from 1")
    recipes = recipes_of(arguments)
    recipe = recipes.load(arguments.recipe)
    options = BuildOptions(
        isolation=configured(arguments, "isolation") or "auto",
        lock=lock_wish(arguments),
        cache_from=cache_from(arguments),
        registry=registry_of(arguments),
        recipes=recipes,
        published=destination_of(arguments),
        mirrors=mirrors_of(arguments),
        preflight=preflight_once(console.progress),
    )
    behind = END if arguments.after is None else arguments.after

    def show(ready: "ShellReady") -> None:
        console.note(f"  {ready.place}")
        if ready.fault:
            console.note(f"  {console.paint('✗', 'bad')} {ready.fault}")
        elif arguments.failed:
            console.note("  no step failed")
        console.note("  what is done here is not kept; exit ends it")

    return shell(
        recipe,
        FAILED if arguments.failed else behind,
        arguments.passed,
        show=show,
        progress=console.progress,
        options=options,
    )
