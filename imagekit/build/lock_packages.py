"""All that the lock of a recipe names, for a cache of packages: this host's and a registry's."""

from collections.abc import Iterator, Mapping

from imagekit.build.tools.locked_packages import wanted_debs, wanted_wheels
from imagekit.build.tools.package_cache import WantedFile
from imagekit.errors import RecipeError
from imagekit.lock.lock import Lock
from imagekit.lock.lock_file import lock_digest, lock_path, read_lock
from imagekit.oci.digest import Digest
from imagekit.recipe.recipe import Base, BootstrapBase, Recipe


def locked_files(
    recipe: Recipe, mirrors: Mapping[str, str]
) -> tuple[Digest, tuple[WantedFile, ...]]:
    """Return the digest of a recipe's lock, and all packages and wheels of its platforms.

    Args:
        recipe: the recipe.
        mirrors: those of the command line, by the names of the archives.

    Raises:
        RecipeError: it has no lock.
        DocumentError: that is none that this version knows.
        BuildError: a package is of an archive that the recipe does not name.
    """
    lock = read_lock(recipe.folder)
    if lock is None:
        raise RecipeError(
            f"{lock_path(recipe.folder)} is not there",
            hint=f"imagekit lock {recipe.folder}",
            code="build/no-lock",
        )
    files = {file.digest: file for file in _files(lock, recipe, mirrors)}
    return lock_digest(lock), tuple(files.values())


def _files(lock: Lock, recipe: Recipe, mirrors: Mapping[str, str]) -> Iterator[WantedFile]:
    bases = {stage.name: stage.base for stage in recipe.stages}
    for platform in lock.platforms.values():
        for name, tree in {"": platform.image, **platform.stages}.items():
            base = bases.get(name) or recipe.base
            known = {**_own(base), **mirrors}
            yield from wanted_debs(tree.bootstrap, recipe, known)
            for entry in tree.installs:
                yield from wanted_debs(entry.debs, recipe, known)
                yield from wanted_wheels(entry.wheels)


def _own(base: Base | None) -> Mapping[str, str]:
    if isinstance(base, BootstrapBase) and base.mirror:
        return {str(base.distribution): base.mirror}
    return {}
