"""Whether a lock is still that of its recipe: what the recipe asks for, compared with it."""

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from imagekit.lock.asked import asked_image, asked_stages
from imagekit.lock.lock import Lock, LockedPlatform, LockedTree
from imagekit.oci.digest import Digest
from imagekit.oci.types import Platform
from imagekit.recipe.recipe import Recipe

_UNKNOWN: Mapping[str, Digest | None] = MappingProxyType({})


def staleness(
    lock: Lock,
    recipe: Recipe,
    platforms: Collection[Platform] = (),
    *,
    bases: Mapping[str, Digest | None] = _UNKNOWN,
) -> tuple[str, ...]:
    """Return what moved since the lock was written; nothing where it still holds.

    Args:
        lock: that of the recipe.
        recipe: the recipe as it is now.
        platforms: those that must be locked besides the recipe's own.
        bases: the digests of the locks of recipes that it stands on, by the recipes' names; one
            that is left out is not compared.
    """
    moved = _moved(lock, recipe, [*recipe.platforms, *platforms])
    return (*moved, *_moved_bases(lock, bases))


def _moved_bases(lock: Lock, bases: Mapping[str, Digest | None]) -> Iterator[str]:
    for name, digest in bases.items():
        trees = [
            tree
            for platform in lock.platforms.values()
            for tree in (platform.image, *platform.stages.values())
            if tree.base == f"recipe {name}"
        ]
        if any(tree.lock != digest for tree in trees):
            yield f"the lock of the recipe {name}, which this one stands on, is another one"


def _moved(lock: Lock, recipe: Recipe, platforms: Collection[Platform]) -> Iterator[str]:
    if lock.recipe != recipe.name:
        yield f"the lock is that of the recipe {lock.recipe}, and this one is {recipe.name}"
    if recipe.date is not None and recipe.date != lock.source_date:
        yield f"the image's time was {lock.source_date}, and the recipe's `date` is {recipe.date}"
    for platform in dict.fromkeys(map(str, platforms)):
        if platform not in lock.platforms:
            yield f"the platform {platform} is not locked"
    if recipe.platforms:
        for platform in sorted(set(lock.platforms) - set(map(str, recipe.platforms))):
            yield f"the platform {platform} is none of the recipe any more"
    for platform, locked in sorted(lock.platforms.items()):
        for fault in _moved_platform(locked, recipe):
            yield f"{platform}: {fault}"


def _moved_platform(locked: LockedPlatform, recipe: Recipe) -> Iterator[str]:
    yield from _moved_tree(locked.image, asked_image(recipe), "the image")
    stages = asked_stages(recipe)
    for name in sorted(stages.keys() | locked.stages.keys()):
        if name not in locked.stages:
            yield f"the stage {name} is new"
        elif name not in stages:
            yield f"the stage {name} is gone"
        else:
            yield from _moved_tree(locked.stages[name], stages[name], f"the stage {name}")
    yield from _moved_archives(locked, recipe)


def _moved_tree(locked: LockedTree, asked: LockedTree, what: str) -> Iterator[str]:
    if locked.base != asked.base:
        yield f"the base of {what} was `{locked.base}` and is `{asked.base}`"
    before = [(entry.manager, entry.asked) for entry in locked.installs]
    after = [(entry.manager, entry.asked) for entry in asked.installs]
    if before != after:
        yield f"{what} asks for other packages: {_differ(before, after)}"
    if locked.files != asked.files:
        urls = {file.url for file in (*locked.files, *asked.files)}
        same = set(locked.files) & set(asked.files)
        moved = sorted(urls - {file.url for file in same}) or sorted(urls)
        yield f"{what} fetches other files: {', '.join(moved)}"


def _differ(
    before: list[tuple[str, tuple[str, ...]]], after: list[tuple[str, tuple[str, ...]]]
) -> str:
    old = {(manager, text) for manager, asked in before for text in asked}
    new = {(manager, text) for manager, asked in after for text in asked}
    words = [f"{m} {text.split()[0]} is new" for m, text in sorted(new - old)]
    words += [f"{m} {text.split()[0]} is gone" for m, text in sorted(old - new)]
    return ", ".join(words) or "they stand in another order"


def _moved_archives(locked: LockedPlatform, recipe: Recipe) -> Iterator[str]:
    # Archives without an address are the distribution's own, whose suite the base says.
    before = {(a.name, a.suite) for a in locked.archives if "://" in a.name}
    after = {(source.uri, source.suite) for source in recipe.apt}
    for uri, suite in sorted(after - before):
        yield f"the repository {uri} {suite} is new"
    for uri, suite in sorted(before - after):
        yield f"the repository {uri} {suite} is gone"
