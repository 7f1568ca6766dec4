"""From a recipe to an image in the local image store."""

import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.build.apt_sources import archive_materials
from imagekit.build.assemble import image_config, image_manifest
from imagekit.build.bases import (
    BaseImage,
    Bring,
    image_below,
    named_by_containerfile,
    on_top_of,
)
from imagekit.build.emulation import check_runs
from imagekit.build.image import BuiltImage
from imagekit.build.job import (
    Below,
    BuildPlan,
    BuildResult,
    IsolationWish,
    Job,
    SecretValue,
    UsedLock,
)
from imagekit.build.local_store import digest_of, open_store, record_built, store_in_use
from imagekit.build.make import all_cached
from imagekit.build.package_registry import PackageRegistry
from imagekit.build.plan import make_plan
from imagekit.build.read_files import read_files
from imagekit.build.tools.journal import journal
from imagekit.build.tools.layer_cache import LayerCache
from imagekit.build.tools.locked_packages import wanted_of
from imagekit.build.tools.package_cache import DOWNLOADS, PackageCache
from imagekit.build.tools.run_worker import run_job
from imagekit.build.tools.storage import Folders, container_store, job_folder
from imagekit.build.use_lock import LockWish, used_lock
from imagekit.documents.digits import decimal
from imagekit.errors import RecipeError, ToolError
from imagekit.inputs import read_regular
from imagekit.oci.codec import config_bytes, manifest_bytes
from imagekit.oci.destination import Destination
from imagekit.oci.digest import Digest
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.layout import LayoutStore
from imagekit.oci.location import REGISTRY
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.registry.connect import reader
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.types import CONFIG, MANIFEST, NOTHING, Descriptor, Platform
from imagekit.owners import trusted_owners
from imagekit.paths import expanded
from imagekit.process import Runner
from imagekit.progress import Progress, silent
from imagekit.recipe.git import MAX_TIME, commit_time
from imagekit.recipe.recipe import (
    Base,
    BootstrapBase,
    BuildStage,
    ImageBase,
    Recipe,
    RecipeBase,
    RunStep,
    Secret,
)
from imagekit.recipe.tree import Recipes

LONG_AGO = 315532800
"""1980-01-01, the oldest time that every archive format can hold."""
CACHE_SECONDS = 86400
"""How long a cached layer is used: after that the mirrors may have newer packages."""
_MAX_SECRET = 1 << 20
_DATE_DIGITS = 20
_NO_STAGES: Mapping[str, BaseImage] = MappingProxyType({})
_NO_SYSTEMS: Mapping[str, BootstrapBase | None] = MappingProxyType({})

Check = Callable[[BuiltImage, Recipe], None]
"""Checks an image that was built of a recipe, and raises where it must not be used."""


class BuildOptions(Struct, frozen=True, kw_only=True):
    """How a build is done; none of it changes what is built."""

    test: bool = True
    """Whether the caller that tests what was built runs the images' own tests."""
    use_cache: bool = True
    made: AbstractSet[Digest] = frozenset()
    """The digests of recipes that this run has made: those are never made anew once more, so that
    what stands on one stands on what was made of it."""
    isolation: IsolationWish = "auto"
    lock: LockWish = "auto"
    cache_from: Repository | None = None
    """Asked for locked packages that have left their mirrors."""
    registry: RegistryOptions = field(default_factory=RegistryOptions)
    """How registries of base images are reached."""
    platform: Platform | None = None
    """Whose image is built; this host's where it is left out."""
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    recipes: Recipes = field(default_factory=Recipes)
    """Where bases are looked for, and what was read of them."""
    published: Destination | None = None
    """Where recipes are published, if that is known: a base whose image the lock has is taken from
    there by its digest, and is not built."""
    mirrors: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Where distributions are got from, by the names of their archives; else by the host's apt."""
    preflight: Callable[[Recipe], None] = lambda _: None
    """Refuses a host on which the recipe cannot be built, before its first download; what is there
    already is neither downloaded nor built, and needs nothing of the host."""

    @property
    def target(self) -> Platform:
        """The platform whose image is built."""
        return self.platform or host_platform()

    def uses_cache(self, recipe: Recipe) -> bool:
        """Return whether layers of the cache are used for a recipe."""
        return self.use_cache or recipe.digest in self.made


def build(
    recipe: Recipe,
    *,
    check: Check | None = None,
    progress: Progress = silent,
    options: BuildOptions | None = None,
) -> BuiltImage:
    """Build a recipe and those that it builds on.

    Args:
        recipe: the recipe.
        check: checks each image before another one is built on it.
        progress: told of everything that happens.
        options: how it is done.

    Returns:
        The image, which lies in the local image store under its digest and its name.

    Raises:
        BuildError: a step failed, or the check.
        ToolError: a tool failed, or the disk is full.
        RecipeError: a base or a secret is not there.
    """
    options = options or BuildOptions()
    folders = Folders.of(options.env)
    built: dict[Path, BuiltImage] = {}
    # All are found before the first is built: a fault in the last one costs no hour.
    entries = to_build(recipe, options)
    check_platform(entries, options)
    for entry in entries:
        _secrets(entry, options.env)
        lock_of(entry, options)
    with store_in_use(folders):
        store = open_store(folders)
        for entry in entries:
            image = _build(entry, built, store, progress=progress, options=options)
            if check is not None:
                check(image, entry)
            record_built(store, image, recipes=digest_of(options.recipes.with_bases(entry)))
            built[entry.file] = image
    return built[recipe.file]


def to_build(recipe: Recipe, options: BuildOptions) -> tuple[Recipe, ...]:
    """Return a recipe behind those of its bases that have to be built, in their order.

    Raises:
        RecipeError: a base is missing, faulty, or stands on the recipe itself; or a lock is stale.
    """
    return options.recipes.with_bases(
        recipe, taken=lambda each, need: published_base(each, need, options) is not None
    )


def published_base(recipe: Recipe, need: RecipeBase, options: BuildOptions) -> ImageBase | None:
    """Return the published image of a base, where it is used instead of the base's recipe.

    That is so where the recipe's lock has the digest of that image, and it is known where recipes
    are published.

    Raises:
        RecipeError: the lock is stale.
    """
    if options.published is None:
        return None
    lock = lock_of(recipe, options)
    digest = None if lock is None else lock.platform.published.get(need.name)
    if digest is None:
        return None
    place = options.published.place(need.name)
    reference = PinnedReference(place.repository, digest)
    return ImageBase(reference=reference, location=place.location, place=need.place)


def _build(
    recipe: Recipe,
    built: Mapping[Path, BuiltImage],
    store: LayoutStore,
    *,
    progress: Progress,
    options: BuildOptions,
) -> BuiltImage:
    """Build one recipe on the ones that were built."""
    started = time.time()
    bases, plan = _planned(recipe, built, store, progress=progress, options=options)
    made = _make(plan, Folders.of(options.env), progress=progress, options=options)
    image = _assemble(plan, made, bases=bases, store=store, started=started)
    return replace(image, recipe_file=options.recipes.shown(recipe))


def check_platform(recipes: Sequence[Recipe], options: BuildOptions) -> None:
    """Refuse a platform that a recipe is not for, or whose programs a build of it cannot run here.

    Args:
        recipes: the recipe, and those that it builds on.
        options: how they are built.

    Raises:
        RecipeError: one is for other platforms.
        ToolNotFoundError: programs of the platform do not run on this host.
    """
    for recipe in recipes:
        _refuse_platform(recipe, options.target)
    if any(_runs_programs(recipe, tests=options.test) for recipe in recipes):
        check_runs(options.target)


def _refuse_platform(recipe: Recipe, platform: Platform) -> None:
    if recipe.platforms and platform not in recipe.platforms:
        wanted = ", ".join(str(entry) for entry in recipe.platforms)
        raise RecipeError(
            f"{recipe.file}: the recipe is for {wanted}, and not for {platform}",
            hint="name one of them by --platform, or add this one to `platforms`",
        )


def _runs_programs(recipe: Recipe, *, tests: bool) -> bool:
    """Return whether building or testing runs programs of the image."""
    parts: tuple[Recipe | BuildStage, ...] = (recipe, *recipe.stages)
    return bool(
        recipe.containerfile
        or (tests and recipe.tests)
        or any(part.packages for part in parts)
        or any(isinstance(part.base, BootstrapBase) for part in parts)
        or any(isinstance(step, RunStep) for part in parts for step in part.steps)
    )


def plan_on_bases(
    recipe: Recipe, *, progress: Progress = silent, options: BuildOptions
) -> BuildPlan:
    """Build what a recipe builds on, and return its own plan.

    Args:
        recipe: the recipe.
        progress: told of everything that happens.
        options: how it is done.

    Raises:
        BuildError: a step failed.
        ToolError: a tool failed, or the disk is full.
        RecipeError: a base or a secret is not there.
    """
    built = {
        base.file: build(base, progress=progress, options=options)
        for base in to_build(recipe, options)[:-1]
    }
    store = open_store(Folders.of(options.env))
    return _planned(recipe, built, store, progress=progress, options=options)[1]


def _planned(
    recipe: Recipe,
    built: Mapping[Path, BuiltImage],
    store: LayoutStore,
    *,
    progress: Progress,
    options: BuildOptions,
) -> tuple[tuple[BaseImage, ...], BuildPlan]:
    """Return what a recipe and its stages build on, and its plan."""

    def bring(source: ImageBase | RecipeBase) -> BaseImage:
        if isinstance(source, RecipeBase):
            published = published_base(recipe, source, options)
            if published is None:
                return on_top_of(built[options.recipes.base(recipe, source).file], store)
            source = published
        return image_below(
            source,
            store,
            registry=options.registry,
            progress=progress,
            preflight=lambda: options.preflight(recipe),
            platform=options.target,
        )

    base = _base(recipe, bring, platform=options.target)
    stages = {
        stage.name: _below(stage.base, bring) for stage in recipe.stages if stage.base is not None
    }
    plan = plan_of(
        recipe,
        base,
        stages,
        env=options.env,
        systems=systems_of(recipe, options.recipes),
        mirrors=options.mirrors,
        lock=lock_of(recipe, options, progress),
        platform=options.target,
    )
    return (base, *stages.values()), plan


def lock_of(recipe: Recipe, options: BuildOptions, progress: Progress = silent) -> UsedLock | None:
    """Return the lock that a recipe is built from; None where it is built without.

    Args:
        recipe: the recipe.
        options: how it is built.
        progress: told where layers will have other digests than those of the lock's writer.

    Raises:
        RecipeError: it is stale, or has to be there and is not.
        DocumentError: it is no lock that this version knows.
    """
    return used_lock(
        recipe,
        options.target,
        wish=options.lock,
        recipes=options.recipes,
        published=options.published is not None,
        progress=progress,
    )


def systems_of(recipe: Recipe, recipes: Recipes) -> Mapping[str, BootstrapBase | None]:
    """Return the systems that a recipe, by an empty name, and its stages stand on in the end.

    None stands where no recipe says it, and nothing for stages without a base of their own.

    Raises:
        RecipeError: a base is missing or faulty.
    """
    bases = {stage.name: stage.base for stage in recipe.stages if stage.base is not None}
    return {
        name: _system(base, recipe, recipes) for name, base in {"": recipe.base, **bases}.items()
    }


def _system(base: Base | None, recipe: Recipe, recipes: Recipes) -> BootstrapBase | None:
    # Not what os-release(5) says: Debian's testing and unstable have the same one.
    while isinstance(base, RecipeBase):
        recipe = recipes.base(recipe, base)
        base = recipe.base
    return base if isinstance(base, BootstrapBase) else None


def plan_of(
    recipe: Recipe,
    base: BaseImage,
    stages: Mapping[str, BaseImage] = _NO_STAGES,
    *,
    env: Mapping[str, str],
    systems: Mapping[str, BootstrapBase | None] = _NO_SYSTEMS,
    mirrors: Mapping[str, str] = NOTHING,
    lock: UsedLock | None = None,
    platform: Platform | None = None,
) -> BuildPlan:
    """Return the plan of a recipe; nothing is done.

    Args:
        recipe: the recipe.
        base: what it stands on.
        stages: what those of its stages stand on that say it themselves, by their names.
        env: the environment, which may say the image's time.
        systems: what ``systems_of`` returned.
        mirrors: those of the command line, by the names of the archives.
        lock: what the recipe is built from, where that is locked.
        platform: whose image it is; this host's where it is left out.

    Raises:
        RecipeError: the recipe is for other platforms, or its time is not known.
    """
    platform = platform or host_platform()
    _refuse_platform(recipe, platform)
    # What the environment says differs from host to host, and the image of a lock must not.
    epoch = image_time(recipe, env) if lock is None else lock.source_date

    def below(name: str, image: BaseImage) -> Below:
        system = systems.get(name)
        own = {str(system.distribution): system.mirror} if system and system.mirror else {}
        return Below(
            layers=image.layers, config=image.config, system=system, mirrors={**own, **mirrors}
        )

    plan = make_plan(
        recipe,
        platform=platform,
        epoch=epoch,
        below=below("", base),
        contexts=base.contexts,
        stages={
            stage.name: below(stage.name, stages.get(stage.name, BaseImage()))
            for stage in recipe.stages
        },
        files=read_files(recipe, base.contexts),
        locked=None if lock is None else lock.platform,
    )
    return plan if lock is None else replace(plan, lock=lock.digest)


def image_time(recipe: Recipe, env: Mapping[str, str], *, otherwise: int = LONG_AGO) -> int:
    """Return the image's time: what the user says, the recipe's date, the last commit, or 1980.

    https://reproducible-builds.org/specs/source-date-epoch/

    Args:
        recipe: the recipe.
        env: the environment, which may say it.
        otherwise: the time where nothing says it, as the recipe is not committed as it is.

    Raises:
        RecipeError: what the environment says is no time, or git does not tell it.
    """
    stated = env.get("SOURCE_DATE_EPOCH")
    if stated is not None:
        seconds = decimal(stated, most=_DATE_DIGITS)
        if seconds is None or seconds > MAX_TIME:
            raise RecipeError(
                f"SOURCE_DATE_EPOCH is {stated[:40]!r}, which is no plain number of seconds",
                hint="set it to seconds since 1970 in digits (date +%s), or unset it",
                code="recipe/no-date",
            )
        return seconds
    if recipe.date is not None:
        return recipe.date
    committed = commit_time(Runner(), recipe.folder, trusted_owners())
    return otherwise if committed is None else committed


def _base(recipe: Recipe, bring: Bring, *, platform: Platform) -> BaseImage:
    """Return what the recipe builds on, fetched where it is an image of a registry."""
    if recipe.script is not None:
        return named_by_containerfile(recipe, bring, platform=platform)
    return _below(recipe.base, bring)


def _below(base: Base | None, bring: Bring) -> BaseImage:
    """Return the image that a base names; nothing where it names none."""
    return bring(base) if isinstance(base, ImageBase | RecipeBase) else BaseImage()


def _make(
    plan: BuildPlan, folders: Folders, *, progress: Progress, options: BuildOptions
) -> BuildResult:
    if not plan.layers:
        return BuildResult(layers=plan.base, materials=(), tools=())
    if options.uses_cache(plan.recipe):
        made = all_cached(plan, _layers(folders, options).find, progress=progress)
        if made is not None:
            return made
    options.preflight(plan.recipe)
    job = job_of(plan, folders, options)
    with journal(folders.state / "logs", plan.recipe.name, progress) as tell:
        bring_packages(plan, folders, options, progress=tell)
        return run_job(job, progress=tell)


def _layers(folders: Folders, options: BuildOptions) -> LayerCache:
    return LayerCache(
        folder=folders.cache / "layers",
        blobs=folders.images / "blobs" / "sha256",
        max_age=CACHE_SECONDS,
        contained=options.isolation == "oci",
    )


def bring_packages(
    plan: BuildPlan, folders: Folders, options: BuildOptions, *, progress: Progress
) -> None:
    """Bring the locked packages of the layers that are still to be made.

    The worker could do it as well, but has no logins of registries.

    Args:
        plan: the plan.
        folders: where imagekit keeps what.
        options: how it is built.
        progress: told of the bytes.

    Raises:
        BuildError: one cannot be had any more.
    """
    layers = _layers(folders, options)

    def is_made(key: Digest) -> bool:
        return options.use_cache and layers.find(key) is not None

    package_cache(folders, options).bring(
        wanted_of(plan, is_made),
        stage="packages",
        limit=plan.recipe.time_limit,
        progress=progress,
    )


def package_cache(folders: Folders, options: BuildOptions) -> PackageCache:
    """Return the cache of packages, and the registry behind it where one is named."""
    folder, repository = folders.cache / DOWNLOADS, options.cache_from
    if repository is None:
        return PackageCache(folder)
    return PackageCache(folder, PackageRegistry(reader(REGISTRY, options.registry), repository))


def job_of(plan: BuildPlan, folders: Folders, options: BuildOptions) -> Job:
    """Return what the worker gets to build a plan.

    Raises:
        RecipeError: a secret is not there.
        ToolError: a folder belongs to another user.
    """
    store = container_store(folders, options.env, isolation=options.isolation)
    return Job(
        plan=plan,
        layout=folders.images.resolve(),
        cache=folders.cache,
        folder=job_folder(folders, store),
        store=store,
        locks=folders.locks,
        record=folders.isolation,
        secrets=_secrets(plan.recipe, options.env),
        use_cache=options.uses_cache(plan.recipe),
        max_age=CACHE_SECONDS,
    )


def _secrets(recipe: Recipe, env: Mapping[str, str]) -> tuple[SecretValue, ...]:
    """Read the secrets of the recipe, for the time of the build.

    Raises:
        RecipeError: one is not there, cannot be read, is no text in UTF-8, or too long.
    """
    values = []
    for secret in recipe.secrets:
        where = f"${secret.env}" if secret.env else secret.file
        try:
            raw = _secret_bytes(secret, env)
        except (OSError, ValueError, ToolError) as error:
            if getattr(error, "errno", None) == errno.EFBIG:
                raise _too_long(secret, where) from error
            # A path may hold NUL, name a home that is not known, or a file of another user.
            raise _secret_fault(
                secret,
                f"cannot be used: {where}: {getattr(error, 'strerror', None) or error}",
                hint="give a plain file that you may read",
            ) from error
        if raw is None:
            raise _secret_fault(
                secret,
                f"is not there: {where}",
                hint="set it for the time of the build; it goes into no layer, history or log",
            )
        if len(raw) > _MAX_SECRET:
            raise _too_long(secret, where)
        try:
            values.append(SecretValue(id=secret.id, value=raw.decode()))
        except UnicodeError as error:
            raise _secret_fault(
                secret,
                f"cannot be used: {where}: it is no text in UTF-8",
                hint="write bytes in base64",
            ) from error
    return tuple(values)


def _secret_bytes(secret: Secret, env: Mapping[str, str]) -> bytes | None:
    """Return a secret; None where nothing has its name."""
    if secret.env:
        value = env.get(secret.env)
        return None if value is None else os.fsencode(value)
    try:
        return read_regular(expanded(secret.file, env), limit=_MAX_SECRET)
    except FileNotFoundError:
        return None


def _too_long(secret: Secret, where: str) -> RecipeError:
    return _secret_fault(
        secret,
        f"is longer than {_MAX_SECRET} bytes: {where}",
        hint="a secret is never cut; fetch what is so long in a step that the secret opens",
    )


def _secret_fault(secret: Secret, message: str, *, hint: str) -> RecipeError:
    place = f"{secret.place.file}:{secret.place.line}"
    return RecipeError(f"{place}: the secret {secret.id!r} {message}", hint=hint)


def _assemble(
    plan: BuildPlan,
    made: BuildResult,
    *,
    bases: Sequence[BaseImage],
    store: LayoutStore,
    started: float,
) -> BuiltImage:
    config = image_config(plan, made)
    config_descriptor = _add(store, CONFIG, config_bytes(config))
    manifest = _add(store, MANIFEST, manifest_bytes(image_manifest(config_descriptor, made.layers)))
    return BuiltImage(
        layout=store.folder,
        manifest=manifest,
        config=config_descriptor,
        layers=made.layers,
        platform=plan.platform,
        name=plan.recipe.name,
        version=plan.recipe.version,
        epoch=plan.epoch,
        recipe_digest=plan.recipe.digest,
        lock=plan.lock,
        materials=tuple(
            dict.fromkeys(
                [
                    *(m for base in bases for m in base.materials),
                    *archive_materials(plan.archives),
                    *made.materials,
                ]
            )
        ),
        tools=made.tools,
        isolations=made.isolations,
        started=started,
        finished=time.time(),
    )


def _add(store: LayoutStore, media_type: str, raw: bytes) -> Descriptor:
    digest = Digest.of(raw)
    store.add(digest, iter((raw,)))
    return Descriptor(media_type=media_type, digest=digest, size=len(raw))
