"""Where the packages of a lock are got from: the mirror of each archive, by the archive's name."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from imagekit.build.job import BuildPlan
from imagekit.build.tools.flat_repository import title_of
from imagekit.build.tools.mirrors import MIRROR_NAMES, archive_address
from imagekit.build.tools.package_cache import WantedFile
from imagekit.errors import BuildError
from imagekit.lock.lock import LockedDeb, LockedWheel
from imagekit.oci.digest import Digest
from imagekit.recipe.recipe import Recipe


def wanted_debs(
    debs: Sequence[LockedDeb], recipe: Recipe, mirrors: Mapping[str, str]
) -> Iterator[WantedFile]:
    """Yield locked packages, each with where it is got from.

    Args:
        debs: the packages.
        recipe: theirs, which names the repositories of others.
        mirrors: what recipe and command line say, by the names of the archives.

    Raises:
        BuildError: one is of an archive that the recipe does not name.
    """
    for deb in debs:
        if deb.archive in MIRROR_NAMES:
            archive = archive_address(deb.archive, mirrors)
        elif deb.archive in {source.uri for source in recipe.apt}:
            archive = deb.archive
        else:
            raise BuildError(
                f"the lock has {title_of(deb)} from {deb.archive!r:.200}, and the recipe names no "
                f"such repository",
                hint="imagekit lock RECIPE, or name it below `apt.sources`",
                code="build/not-as-locked",
            )
        # No mirror has to be known: the cache may have it.
        url = f"{archive.rstrip('/')}/{deb.path}" if archive else ""
        yield WantedFile(digest=deb.sha256, size=deb.size, title=title_of(deb), url=url)


def wanted_wheels(wheels: Sequence[LockedWheel]) -> Iterator[WantedFile]:
    """Yield locked wheels; only pip knows where they are got from."""
    for wheel in wheels:
        title = f"{wheel.name} {wheel.version} ({wheel.file})"
        yield WantedFile(digest=wheel.sha256, size=wheel.size, title=title, url="")


def wanted_of(plan: BuildPlan, is_made: Callable[[Digest], bool]) -> Iterator[WantedFile]:
    """Yield the packages of all layers of a plan that are still to be made.

    Args:
        plan: the plan.
        is_made: returns whether a layer is there, by its key.

    Raises:
        BuildError: one is of an archive that the recipe does not name.
    """
    for part in (*(plan.of(stage) for stage in plan.stages), plan):
        for layer in part.layers:
            if not is_made(layer.key):
                debs = (*layer.debs, *(deb for entry in layer.installs for deb in entry.debs))
                yield from wanted_debs(debs, plan.recipe, part.mirrors)
