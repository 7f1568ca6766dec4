"""Write which packages a recipe is made of into recipe.lock beside it, so that a build takes those.

  imagekit lock recipes/hello-mpi
  imagekit lock recipes/hello-mpi --update
  imagekit lock recipes/hello-mpi --update openssl libssl3
  imagekit lock recipes/hello-mpi --diff HEAD~1 --format markdown
  imagekit lock recipes/* --check

What is locked stays, unless the recipe asks for something else; --update takes the newest. A base
of the tree that has no lock gets one. --diff compares with a revision of git and changes nothing.
--check changes nothing either, and ends with 4 where there are newer packages. RECIPE stands before
an option that takes words.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_mirrors,
    add_recipes,
    add_registry_options,
    destination_of,
    mirrors_of,
    recipes_of,
    registry_of,
)
from imagekit.documents.quantity import count
from imagekit.errors import VerificationError
from imagekit.recipe.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from imagekit.lock.changes import LockChange
    from imagekit.lock.lock import Lock
    from imagekit.oci.digest import Digest
    from imagekit.resolve.lock_recipe import RecipeLock

_HEADS = ("WHERE", "WHAT", "NAME", "BEFORE", "AFTER")
_MAX_OLD = 4 << 20
"""What is kept of a program's output is limited too."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("recipe", type=Path, nargs="+", metavar="RECIPE", help="folders or files")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--update",
        nargs="*",
        metavar="PACKAGE",
        help="take the newest of these packages, and of what is built of the same sources; of all "
        "where none is named",
    )
    how.add_argument(
        "--diff",
        nargs="?",
        const="HEAD",
        metavar="REV",
        help="show what differs from the lock of a revision (default: HEAD)",
    )
    how.add_argument(
        "--check", action="store_true", help="show what --update would change; 4 if anything"
    )
    parser.add_argument(
        "--to",
        metavar="DESTINATION",
        help="where bases are published, whose digests are then locked: HOST/PREFIX, oci:FOLDER",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be; write nothing")
    parser.add_argument(
        "--format", choices=("text", "markdown"), default="text", help="how changes are shown"
    )
    add_recipes(parser)
    add_mirrors(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Lock the recipes, or show what differs."""
    tree = recipes_of(arguments)
    recipes = [tree.load(path) for path in arguments.recipe]
    if arguments.diff is not None:
        rows = [_differing(recipe, arguments.diff) for recipe in recipes]
    else:
        rows = list(_locked(recipes, arguments, console))
    text = (_markdown if arguments.format == "markdown" else _text)(rows, console)
    console.result(text, {"schema": 1, "locks": [_document(row) for row in rows]})
    asked = {recipe.file for recipe in recipes}
    moved = any(_shown(row) for row in rows if row.recipe.file in asked)
    return VerificationError.exit_code if arguments.check and moved else 0


def _differing(recipe: Recipe, revision: str) -> "RecipeLock":
    """Return a recipe's lock and what it was in a revision."""
    from imagekit.errors import RecipeError
    from imagekit.lock.lock_file import lock_path, parse_lock, read_lock
    from imagekit.owners import trusted_owners
    from imagekit.process import Runner
    from imagekit.recipe.git import file_at
    from imagekit.resolve.lock_recipe import RecipeLock

    path, after = lock_path(recipe.folder), read_lock(recipe.folder)
    if after is None:
        raise RecipeError(
            f"{path}: there is no lock", hint=f"imagekit lock {recipe.folder}", code="lock/missing"
        )
    raw = file_at(Runner(), path, revision, owners=trusted_owners(), limit=_MAX_OLD)
    before = None if raw is None else parse_lock(raw, what=f"{path} of {revision}")
    return RecipeLock(recipe=recipe, before=before, after=after)


def _locked(
    recipes: Sequence[Recipe], arguments: argparse.Namespace, console: Console
) -> "Iterator[RecipeLock]":
    from imagekit.files import write_output
    from imagekit.lock.lock_file import lock_bytes, lock_path
    from imagekit.resolve.lock_recipe import LockOptions, Newer
    from imagekit.resolve.lock_recipes import lock_recipes

    named = frozenset(arguments.update or ())
    every = arguments.check or (arguments.update is not None and not named)
    options = LockOptions(
        recipes=recipes_of(arguments),
        mirrors=mirrors_of(arguments),
        registry=registry_of(arguments),
        published=_published(arguments),
        progress=console.progress,
    )
    newer = Newer(everything=every, packages=named)
    for made in lock_recipes(recipes, newer=newer, options=options):
        for text in made.moved:
            console.note(f"  {made.recipe.name}: {text}")
        if made.after != made.before and not (arguments.check or arguments.dry_run):
            write_output(lock_path(made.recipe.folder), lock_bytes(made.after))
        yield made


def _published(
    arguments: argparse.Namespace,
) -> "Callable[[Recipe, Lock], Digest | None] | None":
    """Return what finds the published images of bases; None where nothing says where they are."""
    from imagekit.oci.registry.connect import reader
    from imagekit.publish.published_bases import PublishedBases

    destination = destination_of(arguments)
    if destination is None:
        return None
    source = reader(destination.location, registry_of(arguments))
    return PublishedBases(source, destination).image_of


def _shown(row: "RecipeLock") -> "tuple[LockChange, ...]":
    """Return what is shown of a lock's changes: not that archives were signed anew."""
    from imagekit.lock.changes import package_changes

    return package_changes(row.before, row.after)


def _text(rows: "Sequence[RecipeLock]", console: Console) -> str:
    from imagekit.cli.table import table

    terminal = console.out.isatty()
    parts = []
    for row in rows:
        parts.append(_head(row))
        cells = [
            (f"{c.platform} {c.stage}".strip(), c.what, c.name, c.before, c.after)
            for c in _shown(row)
        ]
        # All of a first lock is new, and it can be read itself.
        if cells and row.before is not None:
            parts.append(table(_HEADS, cells, terminal=terminal))
    return "\n".join(parts)


def _markdown(rows: "Sequence[RecipeLock]", console: Console) -> str:
    from imagekit.lock.changes import markdown

    del console
    return "\n\n".join(f"### {_head(row)}\n\n{markdown(_shown(row))}" for row in rows)


def _head(row: "RecipeLock") -> str:
    from imagekit.lock.changes import summary
    from imagekit.lock.lock_file import count_packages

    packages = count(count_packages(row.after), "package")
    return f"{row.recipe.name}: {packages}, {summary(_shown(row))}"


def _document(row: "RecipeLock") -> dict[str, object]:
    from imagekit.lock.lock_file import count_packages, lock_path

    return {
        "recipe": row.recipe.name,
        "file": str(lock_path(row.recipe.folder)),
        "digest": _digest(row.after),
        "before": "" if row.before is None else _digest(row.before),
        "packages": count_packages(row.after),
        "moved": list(row.moved),
        "changes": [
            {
                "platform": change.platform,
                "stage": change.stage,
                "what": change.what,
                "name": change.name,
                "kind": str(change.kind),
                "before": change.before,
                "after": change.after,
            }
            for change in _shown(row)
        ],
    }


def _digest(lock: "Lock") -> str:
    from imagekit.lock.lock_file import lock_digest

    return str(lock_digest(lock))
