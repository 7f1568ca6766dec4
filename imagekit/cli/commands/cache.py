"""Keep the packages of locks in a registry, or take them from there.

  imagekit cache push registry.example.org/packages recipes/hello-mpi
  imagekit cache pull registry.example.org/packages recipes/hello-mpi
  imagekit build recipes/hello-mpi --cache-from registry.example.org/packages

A package that left its mirrors is still had then. Each is a blob by the digest that the lock
states, so that nothing of the registry is believed; a tag of the lock's digest keeps them there.
What push lacks is got from the mirrors before. Wheels that no build has brought yet are not sent,
and told.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_mirrors,
    add_recipes,
    add_registry_options,
    mirrors_of,
    recipes_of,
    registry_of,
)

if TYPE_CHECKING:
    from imagekit.build.tools.package_cache import WantedFile
    from imagekit.oci.digest import Digest

_LIMIT = 3600.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the command."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="push|pull")
    for verb, text in (
        ("push", "send what locks name into a repository"),
        ("pull", "take what locks name from a repository"),
    ):
        parser = verbs.add_parser(verb, help=text)
        parser.add_argument("repository", metavar="HOST[:PORT]/REPOSITORY", help="of a registry")
        parser.add_argument(
            "recipe", type=Path, nargs="+", metavar="RECIPE", help="folders or files"
        )
        add_recipes(parser)
        add_mirrors(parser)
        add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Push or pull the packages of each recipe's lock."""
    from imagekit.build.lock_packages import locked_files

    recipes, mirrors = recipes_of(arguments), mirrors_of(arguments)
    done = []
    for recipe in [recipes.load(path) for path in arguments.recipe]:
        lock, files = locked_files(recipe, mirrors)
        moved = _Moved(arguments, console)
        reference = moved.push(lock, files) if arguments.verb == "push" else moved.pull(files)
        done.append(
            {
                "name": recipe.name,
                "lock": str(lock),
                "reference": reference,
                "packages": len(files),
                "size": sum(file.size for file in files),
                "missing": list(moved.missing),
            }
        )
    text = "\n".join(str(file["reference"] or file["lock"]) for file in done)
    console.result(text, {"schema": 1, "locks": done})
    return 0


class _Moved:
    """Moves the packages of one lock."""

    def __init__(self, arguments: argparse.Namespace, console: Console) -> None:
        from imagekit.build.build import BuildOptions, package_cache
        from imagekit.build.tools.storage import Folders
        from imagekit.oci.reference import Repository

        self._repository = Repository.parse(arguments.repository)
        self._options = BuildOptions(registry=registry_of(arguments), cache_from=self._repository)
        self._cache = package_cache(Folders.of(self._options.env), self._options)
        self._console = console
        self.missing: tuple[str, ...] = ()
        """Wheels that no build has brought yet."""

    def push(self, lock: "Digest", files: "Sequence[WantedFile]") -> str:
        """Send what a lock names, and return the manifest that keeps it."""
        from imagekit.build.package_registry import push_packages
        from imagekit.oci.location import REGISTRY, LocatedRepository
        from imagekit.oci.registry.connect import writer

        known = [file for file in files if file.url or self._cache.has(file)]
        self._bring(known)
        self.missing = tuple(file.title for file in files if file not in known)
        if self.missing:
            self._console.note(
                f"  not sent, as no build has brought them: {', '.join(self.missing)}"
            )
        place = LocatedRepository(REGISTRY, self._repository)
        pushed = push_packages(
            known,
            lock,
            cache=self._cache,
            writer=writer(place, self._options.registry),
            repository=self._repository,
            progress=self._console.progress,
        )
        return str(pushed)

    def pull(self, files: "Sequence[WantedFile]") -> str:
        """Take what a lock names from the registry alone."""
        from msgspec.structs import replace

        self._bring([replace(file, url="") for file in files])
        return ""

    def _bring(self, files: "Sequence[WantedFile]") -> None:
        self._cache.bring(files, stage="packages", limit=_LIMIT, progress=self._console.progress)
