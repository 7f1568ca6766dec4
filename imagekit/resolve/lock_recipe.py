"""From a recipe to its lock: apt and pip resolve what it asks for, on what lies below it."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.build.build import LONG_AGO, image_time
from imagekit.build.compression import compressor
from imagekit.build.local_store import open_store
from imagekit.build.plan import FORMAT as LAYERS
from imagekit.build.tools.storage import Folders
from imagekit.errors import BuildError, RecipeError
from imagekit.lock.asked import asked_image, asked_stages, base_text
from imagekit.lock.changes import package_changes
from imagekit.lock.lock import (
    Lock,
    LockedArchive,
    LockedDeb,
    LockedInstall,
    LockedPlatform,
    LockedTree,
)
from imagekit.lock.lock_file import lock_bytes, lock_digest, parse_lock
from imagekit.lock.staleness import staleness
from imagekit.oci.digest import Digest
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.types import NOTHING, Platform
from imagekit.progress import Note, Progress, Started, silent
from imagekit.recipe.recipe import Base, BootstrapBase, ImageBase, Packages, Recipe, RecipeBase
from imagekit.recipe.tree import Recipes
from imagekit.resolve.apt_root import AptRoot
from imagekit.resolve.apt_roots import AptRoots
from imagekit.resolve.dpkg_status import DpkgStatus
from imagekit.resolve.ground import Ground, bootstrap_ground, image_ground
from imagekit.resolve.locked_wheels import debian_python, locked_wheels

_MINIMAL = ("?essential", "?priority(required)", "apt")
"""What mmdebstrap's minbase is (mmdebstrap(1), VARIANTS)."""


class Newer(Struct, frozen=True, kw_only=True):
    """Which packages may be newer than those that are locked."""

    everything: bool = False
    packages: frozenset[str] = frozenset()
    """Names; what is built of the same sources comes along."""

    @property
    def anything(self) -> bool:
        """Whether any package may be."""
        return self.everything or bool(self.packages)


class LockOptions(Struct, frozen=True, kw_only=True):
    """How locks are made; none of it changes what a recipe asks for."""

    recipes: Recipes = field(default_factory=Recipes)
    mirrors: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Where distributions are got from, by the names of their archives; else by the host's apt."""
    registry: RegistryOptions = field(default_factory=RegistryOptions)
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    published: Callable[[Recipe, Lock], Digest | None] | None = None
    """Returns the image that was published of a base with this lock, None where there is none; None
    itself where it is not known where bases are published."""
    progress: Progress = silent


class RecipeLock(Struct, frozen=True, kw_only=True):
    """What became of a recipe's lock."""

    recipe: Recipe
    before: Lock | None
    after: Lock
    moved: tuple[str, ...] = ()
    """Why the lock that was there did not hold any more."""


def lock_recipe(
    recipe: Recipe,
    before: Lock | None,
    *,
    bases: Mapping[Path, Lock],
    newer: Newer,
    options: LockOptions,
    roots: AptRoots,
) -> RecipeLock:
    """Return the lock of a recipe; the one that it has, where that still holds.

    Args:
        recipe: the recipe.
        before: the lock that it has.
        bases: the locks of the recipes that it stands on, by their files.
        newer: what may be newer.
        options: how it is done.
        roots: the archives of this command.

    Raises:
        RecipeError: a base is not there, or is not locked for a platform.
        BuildError: apt or pip cannot resolve it.
        ToolError: a mirror is not known, or does not answer.
        RegistryError: an image below cannot be had.
    """
    names = {
        need.name: lock_digest(bases[options.recipes.base(recipe, need).file])
        for need in recipe.recipes_below
    }
    platforms = _platforms(recipe, before)
    moved: tuple[str, ...] = ()
    if before is not None:
        moved = (
            *staleness(before, recipe, platforms, bases=names),
            *_moved_images(before, recipe, bases, options=options),
        )
        if not moved and not newer.anything:
            return RecipeLock(recipe=recipe, before=before, after=before)
    options.progress(Started(stage="lock", detail=recipe.name))
    after = Lock(
        recipe=recipe.name,
        source_date=_time(recipe, before, options),
        compressor=" ".join(compressor(recipe.compression)),
        layers=LAYERS,
        platforms={
            str(platform): _lock_platform(
                recipe,
                platform,
                None if before is None else before.platforms.get(str(platform)),
                bases=bases,
                newer=newer,
                options=options,
                roots=roots,
            )
            for platform in platforms
        },
    )
    if before is not None and not moved and not package_changes(before, after):
        # Archives are signed anew every few hours: what was locked is still what is in them.
        after = before
    # What an archive or an index says becomes part of it: it must be one that is read again.
    parse_lock(lock_bytes(after), what=f"the lock of {recipe.name}")
    return RecipeLock(recipe=recipe, before=before, after=after, moved=moved)


def _published(base: Recipe, lock: Lock, options: LockOptions) -> Digest | None:
    return None if options.published is None else options.published(base, lock)


def _moved_images(
    before: Lock, recipe: Recipe, bases: Mapping[Path, Lock], *, options: LockOptions
) -> Iterator[str]:
    """Yield which bases were published anew since the recipe was locked, or are not published."""
    for need in recipe.recipes_below if options.published is not None else ():
        base = options.recipes.base(recipe, need)
        now = _published(base, bases[base.file], options)
        trees = (
            tree
            for platform in before.platforms.values()
            for tree in (platform.image, *platform.stages.values())
            # A Containerfile's bases are not locked.
            if tree.base == base_text(need)
        )
        if any(tree.image != now for tree in trees):
            what = "is not published as it is" if now is None else f"was published as {now.short}"
            yield f"the recipe {need.name}, which this one stands on, {what}"


def _time(recipe: Recipe, before: Lock | None, options: LockOptions) -> int:
    # A recipe that is being changed has no commit of its own yet.
    known = LONG_AGO if before is None else before.source_date
    return image_time(recipe, options.env, otherwise=known)


def _platforms(recipe: Recipe, before: Lock | None) -> tuple[Platform, ...]:
    """Return what is locked: the recipe's platforms, else what was locked before and the host's."""
    if recipe.platforms:
        return recipe.platforms
    known = () if before is None else sorted(before.platforms)
    parts = [name.split("/") for name in known]
    others = (Platform(os=p[0], architecture=p[1], variant="/".join(p[2:])) for p in parts)
    return tuple(dict.fromkeys((*others, host_platform())))


def tree_debs(tree: LockedTree) -> Iterator[LockedDeb]:
    """Yield the Debian packages of a tree, in the order in which they are installed."""
    yield from tree.bootstrap
    for entry in tree.installs:
        yield from entry.debs


def _lock_platform(
    recipe: Recipe,
    platform: Platform,
    before: LockedPlatform | None,
    *,
    bases: Mapping[Path, Lock],
    newer: Newer,
    options: LockOptions,
    roots: AptRoots,
) -> LockedPlatform:
    resolver = _Resolver(recipe, platform, bases=bases, newer=newer, options=options, roots=roots)
    image = resolver.tree(
        asked_image(recipe),
        recipe.base,
        recipe.packages,
        before=None if before is None else before.image,
    )
    stages = {
        stage.name: resolver.tree(
            asked_stages(recipe)[stage.name],
            stage.base or recipe.base,
            stage.packages,
            before=None if before is None else before.stages.get(stage.name),
        )
        for stage in recipe.stages
    }
    return LockedPlatform(archives=resolver.archives(), image=image, stages=stages)


class _Below(Struct, frozen=True, kw_only=True):
    """What a tree stands on."""

    ground: Ground
    bootstrap: tuple[LockedDeb, ...] = ()
    image: Digest | None = None
    lock: Digest | None = None
    of_image: bool = False
    """Whether an image is at the bottom, in which more may be than its packages."""


class _Resolver:
    """Resolves the trees of one platform; each archive is asked once."""

    def __init__(
        self,
        recipe: Recipe,
        platform: Platform,
        *,
        bases: Mapping[Path, Lock],
        newer: Newer,
        options: LockOptions,
        roots: AptRoots,
    ) -> None:
        self._recipe = recipe
        self._platform = platform
        self._bases = bases
        self._newer = newer
        self._options = options
        self._roots = roots
        self._used: list[AptRoot] = []
        self._systems: dict[tuple[Path, Base], _Below] = {}

    def archives(self) -> tuple[LockedArchive, ...]:
        """Return the state of everything that was asked."""
        found = {state for root in self._used for state in root.states()}
        return tuple(sorted(found, key=lambda state: (state.name, state.suite)))

    def tree(
        self,
        asked: LockedTree,
        base: Base | None,
        packages: Sequence[Packages],
        *,
        before: LockedTree | None,
    ) -> LockedTree:
        """Return what the recipe asks for in one tree, resolved."""
        if base is None:
            return asked
        below = self._below(base, self._recipe, before)
        status, ground = below.ground.status, below.ground
        pins = self._pins(below.bootstrap if before is None else before.bootstrap, ground)
        installs = []
        for number, (entry, wanted) in enumerate(zip(packages, asked.installs, strict=True)):
            old = before.installs[number] if before and number < len(before.installs) else None
            if old is not None:
                pins |= self._pins(old.debs, ground)
            if entry.manager == "apt":
                debs, status = self._apt(entry, status, ground, pins=pins)
                installs.append(replace(wanted, debs=debs))
            else:
                installs.append(self._pip(wanted, status, below))
        own = bool(asked.base)
        return replace(
            asked,
            image=below.image if own else None,
            lock=below.lock if own else None,
            bootstrap=below.bootstrap if own else (),
            installs=tuple(installs),
        )

    def _apt(
        self, entry: Packages, status: DpkgStatus, ground: Ground, *, pins: Mapping[str, str]
    ) -> tuple[tuple[LockedDeb, ...], DpkgStatus]:
        if not ground.distribution:
            raise BuildError(
                f"{entry.place.file}:{entry.place.line}: the base has no apt of Debian or Ubuntu",
                hint="on another distribution packages are installed by a step",
                code="build/no-apt",
            )
        asked = [text.partition("=")[0].partition(":")[0] for text in entry.install]
        root = self._root(ground)
        return self._preferring(
            lambda preferred: root.install(entry.install, status, pins=preferred, asked=asked),
            pins,
        )

    def _preferring(
        self,
        install: Callable[[Mapping[str, str]], tuple[tuple[LockedDeb, ...], DpkgStatus]],
        pins: Mapping[str, str],
    ) -> tuple[tuple[LockedDeb, ...], DpkgStatus]:
        """Install with the versions that are locked; if they do not fit what is new, without."""
        try:
            return install(pins)
        except BuildError as error:
            if not pins or error.code != "lock/not-resolved":
                raise
            message = (
                f"{self._recipe.name}: not all versions that were locked fit what is asked now"
            )
            self._options.progress(Note(message=message))
            return install({})

    def _pip(self, wanted: LockedInstall, status: DpkgStatus, below: _Below) -> LockedInstall:
        # An image may have another Python before Debian's own.
        python = None if below.of_image else debian_python(status, self._platform)
        if python is None:
            return wanted
        return replace(wanted, wheels=locked_wheels(self._roots.runner, wanted.asked, python))

    def _pins(self, debs: Sequence[LockedDeb], ground: Ground) -> dict[str, str]:
        """Return the versions that are kept."""
        newer = self._newer
        if newer.everything or not debs:
            return {}
        if not newer.packages:
            return {deb.name: deb.version for deb in debs}
        # Packages of one source often need each other in the same version.
        index = self._root(ground).index
        sources = {index.source(name) for name in newer.packages}
        return {deb.name: deb.version for deb in debs if index.source(deb.name) not in sources}

    def _below(self, base: Base, recipe: Recipe, before: LockedTree | None) -> _Below:
        key = (recipe.file, base)
        if key not in self._systems:
            self._systems[key] = self._system(base, recipe, before)
        return self._systems[key]

    def _system(self, base: Base, recipe: Recipe, before: LockedTree | None) -> _Below:
        match base:
            case BootstrapBase():
                return self._bootstrap(base, before)
            case ImageBase():
                ground = image_ground(
                    base,
                    open_store(Folders.of(self._options.env)),
                    self._platform,
                    registry=self._options.registry,
                    progress=self._options.progress,
                )
                return _Below(ground=ground, image=base.reference.digest, of_image=True)
            case RecipeBase():
                return self._other_recipe(self._options.recipes.base(recipe, base))
            case _:
                return _Below(ground=Ground())

    def _bootstrap(self, base: BootstrapBase, before: LockedTree | None) -> _Below:
        ground = bootstrap_ground(base)
        root = self._root(ground)
        pins = {} if before is None else self._pins(before.bootstrap, ground)
        debs, status = self._preferring(
            lambda preferred: root.install(
                _MINIMAL, ground.status, pins=preferred, sources="bootstrap"
            ),
            pins,
        )
        return _Below(ground=replace(ground, status=status), bootstrap=debs)

    def _other_recipe(self, recipe: Recipe) -> _Below:
        """Return another recipe as its lock has it."""
        lock = self._bases[recipe.file]
        platform = lock.platforms.get(str(self._platform))
        if platform is None:
            raise RecipeError(
                f"{recipe.file}: its lock has no {self._platform}, as {self._recipe.name} needs it",
                hint="add the platform to the `platforms` of that recipe too",
                code="lock/no-platform",
            )
        if recipe.base is None:
            raise RecipeError(
                f"{recipe.file}: what a Containerfile installs is not known before it is built",
                hint="install nothing by `packages` on it, or write it as a recipe of steps",
                code="lock/unknown-base",
            )
        tree = platform.image
        below = (
            _Below(ground=bootstrap_ground(recipe.base))
            if isinstance(recipe.base, BootstrapBase)
            else self._below(recipe.base, recipe, None)
        )
        ground = below.ground
        status = ground.status
        if ground.distribution:
            index = self._root(ground).index
            for deb in tree_debs(tree):
                status = status.with_stanza(deb, index.stanza(deb.sha256))
        return _Below(
            ground=replace(ground, status=status),
            image=_published(recipe, lock, self._options),
            lock=lock_digest(lock),
            of_image=below.of_image,
        )

    def _root(self, ground: Ground) -> AptRoot:
        root = self._roots.root(ground, self._platform, self._recipe.apt)
        self._used.append(root)
        return root
