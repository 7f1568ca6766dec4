"""Making the layers of a plan, one after the other, in one working container."""

import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from imagekit.build import apt_sources, layer, tree_snapshot
from imagekit.build.catalogued import some_shown
from imagekit.build.container import BuildContainer
from imagekit.build.exclude import LEFTOVERS
from imagekit.build.image import BuiltLayer, Material, Origin
from imagekit.build.job import BuildPlan, BuildResult, CachedLayer, CommandResult, LayerPlan
from imagekit.build.marks import Marks
from imagekit.build.packages import count_packages, install
from imagekit.build.plan import step_title
from imagekit.build.tidy import (
    private_keys,
    remove_identities,
    settle,
    tidy_bootstrap,
    tidy_layer,
    varying,
)
from imagekit.build.tree_snapshot import EMPTY, Changes, Snapshot
from imagekit.documents.place import SourcePlace
from imagekit.documents.quantity import count
from imagekit.errors import BuildError, ToolError
from imagekit.oci.digest import Digest
from imagekit.oci.types import ImageConfig
from imagekit.progress import Done, Failed, Note, Progress, Started
from imagekit.recipe.recipe import CopyStep, FetchStep, RunStep, Step

_STAGES = {Origin.BASE: "base", Origin.PACKAGES: "packages", Origin.RECIPE: "steps"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class _Work(Struct, frozen=True):
    """What is to be made, where, and what reports it."""

    plan: BuildPlan
    container: BuildContainer
    progress: Progress


class _State(Struct):
    """The layers so far, and the container once it is needed."""

    base: list[BuiltLayer]
    made: list[CachedLayer]
    root: Path | None = None
    before: Snapshot = EMPTY

    @property
    def layers(self) -> list[BuiltLayer]:
        """All layers so far."""
        return [*self.base, *(entry.layer for entry in self.made)]


def make(
    plan: BuildPlan, container: BuildContainer, *, use_cache: bool, progress: Progress
) -> BuildResult:
    """Make all layers that the plan asks for and the cache does not have.

    Args:
        plan: what to make.
        container: where.
        use_cache: whether layers of the cache are used.
        progress: told of every layer.

    Returns:
        All layers of the image, those of its base included.

    Raises:
        BuildError: a step failed; it says which, with its place in the recipe.
        ToolError: a tool failed otherwise, or the disk is full.
    """
    work = _Work(plan, container, progress)
    state = _State(list(plan.base), [])
    for wanted in plan.layers:
        stage = _STAGES[wanted.origin]
        began = time.monotonic()
        progress(Started(stage=stage, detail=wanted.title))
        cached = container.cached(wanted.key) if use_cache and state.root is None else None
        try:
            made = cached or _make_layer(wanted, work, state)
        except ToolError as error:
            progress(Failed(stage=stage, summary=error.message, seconds=time.monotonic() - began))
            raise
        state.made.append(made)
        summary = f"{made.layer.title} (from the cache)" if cached else made.layer.title
        progress(Done(stage=stage, summary=summary, seconds=time.monotonic() - began))
    return made_of(plan, state.made)


def all_cached(
    plan: BuildPlan, find: Callable[[Digest], CachedLayer | None], *, progress: Progress
) -> BuildResult | None:
    """Return what the plan makes where the cache has every layer; then nothing need be started.

    Args:
        plan: the plan.
        find: returns a layer of the cache by its key.
        progress: told of every layer, if all are there.
    """
    layers = []
    for wanted in plan.layers:
        cached = find(wanted.key)
        if cached is None:
            return None
        layers.append(cached)
    for cached in layers:
        stage = _STAGES[cached.layer.origin]
        progress(Done(stage=stage, summary=f"{cached.layer.title} (from the cache)", seconds=0.0))
    return made_of(plan, layers)


def made_of(plan: BuildPlan, made: Sequence[CachedLayer]) -> BuildResult:
    """Return all layers of the image, with everything that they were made of and by."""
    return BuildResult(
        layers=(*plan.base, *(entry.layer for entry in made)),
        materials=tuple(dict.fromkeys(m for entry in made for m in entry.materials)),
        config=made[-1].config if made else None,
        tools=tuple(dict.fromkeys(tool for entry in made for tool in entry.tools)),
        isolations=tuple(dict.fromkeys(entry.isolation for entry in made if entry.isolation)),
    )


def _make_layer(wanted: LayerPlan, work: _Work, state: _State) -> CachedLayer:
    if wanted.containerfile:
        return _from_containerfile(wanted, work, state)
    root = _opened(work, state)
    title, materials = _fill(wanted, work, root)
    tidy_layer(root, state.before)
    before = state.before

    def look() -> Changes:
        state.before = tree_snapshot.take(root)
        return tree_snapshot.changes(before, state.before, LEFTOVERS)

    changed = _kept(look, root, work, packages=bool(wanted.packages))
    return _written(wanted, work, root=root, changed=changed, content=(title, materials))


def _opened(work: _Work, state: _State) -> Path:
    """Return the mounted root of the layers so far."""
    if state.root is None:
        state.root = work.container.open(state.layers)
        state.before = tree_snapshot.take(state.root) if state.layers else EMPTY
    return state.root


def _kept(look: Callable[[], Changes], root: Path, work: _Work, *, packages: bool) -> Changes:
    """Return what the layer will hold, and report what a step made and it will not hold."""
    changed = look()
    gone = remove_identities(root, changed.present, packages=packages)
    if gone:
        _say(
            work, gone, "not in the image, as all who pull it would share it: make it at the start"
        )
        changed = look()
    if settle(root, changed.present, epoch=work.plan.epoch):
        changed = look()
    databases = varying(changed.present)
    if databases:
        _say(
            work,
            databases,
            "another one in every build, and so is the digest: make it at the start",
        )
    keys = private_keys(root, changed.present)
    if keys:
        _say(work, keys, "in the image: a private key, which all who pull it can read")
    if changed.left_out:
        _say(work, changed.left_out, "not in the image: no layer holds it, or a mount hides it")
    return changed


def _say(work: _Work, paths: Sequence[str], why: str) -> None:
    work.progress(Note(message=f"{some_shown(paths)}: {why}"))


def _written(
    wanted: LayerPlan,
    work: _Work,
    *,
    root: Path,
    changed: tree_snapshot.Changes,
    content: tuple[str, tuple[Material, ...]],
    config: ImageConfig | None = None,
) -> CachedLayer:
    marks = _marks(work)
    if config is not None:
        marks.check(repr(config).encode(), where=f"the configuration of {content[0]}")
    written = layer.write(root, changed, work.container.blobs, epoch=work.plan.epoch, marks=marks)
    made = CachedLayer(
        layer=BuiltLayer(
            descriptor=written.descriptor,
            diff_id=written.diff_id,
            origin=wanted.origin,
            title=content[0],
        ),
        materials=content[1],
        made=time.time(),
        config=config,
        tools=(*work.container.tools(), layer.COMPRESSOR),
        isolation=work.container.isolation() if _runs_commands(wanted) else "",
    )
    work.container.keep(wanted.key, made)
    return made


def _marks(work: _Work) -> Marks:
    """Return the texts of this host that no layer may hold; a recipe itself may name a proxy."""
    recipe = repr(work.plan.recipe).encode()
    return Marks(mark for mark in work.container.marks() if mark.secret or mark.text not in recipe)


def _runs_commands(wanted: LayerPlan) -> bool:
    """Return whether anything of the image was run to make the layer."""
    steps = any(isinstance(step, RunStep) for step in wanted.steps)
    return steps or bool(wanted.packages or wanted.containerfile)


def _from_containerfile(wanted: LayerPlan, work: _Work, state: _State) -> CachedLayer:
    """Build it by Buildah, and write what differs from the base as one layer."""
    try:
        result, config = work.container.containerfile(wanted.containerfile)
    except ToolError as error:
        raise _failed(error, wanted.containerfile, work.plan.recipe.place) from error
    # NOTE: only now: a user's `buildah bud` unmounts at its end what was mounted before it.
    base = _opened(work, state)
    tidy_layer(result, state.before)

    def look() -> Changes:
        if state.layers:
            return tree_snapshot.compare(base, result, LEFTOVERS)
        return tree_snapshot.all_of(result, LEFTOVERS)

    changed = _kept(look, result, work, packages=False)
    return _written(
        wanted,
        work,
        root=result,
        changed=changed,
        content=(wanted.containerfile, ()),
        config=config,
    )


def _fill(wanted: LayerPlan, work: _Work, root: Path) -> tuple[str, tuple[Material, ...]]:
    """Put the layer's content into the tree; return its title and what came from outside."""
    if wanted.bootstrap is not None:
        try:
            materials = work.container.bootstrap(wanted.bootstrap, root)
            materials += apt_sources.materials(root, wanted.bootstrap.distribution)
        except ToolError as error:
            raise _failed(error, wanted.title, wanted.bootstrap.place) from error
        tidy_bootstrap(root)
        return f"{wanted.title}, {count(count_packages(root), 'package')}", materials
    if wanted.packages:
        return _install(wanted, work, root)
    return _steps(wanted.steps, work)


def _install(wanted: LayerPlan, work: _Work, root: Path) -> tuple[str, tuple[Material, ...]]:
    before = count_packages(root)
    materials: list[Material] = []
    for entry in wanted.packages:
        try:
            materials += install(entry, work.container, root, plan=work.plan)
        except ToolError as error:
            raise _failed(error, f"installing by {entry.manager}", entry.place) from error
    more = count_packages(root) - before
    return f"{wanted.title}: {count(more, 'more package')}", tuple(dict.fromkeys(materials))


def _steps(steps: Sequence[Step], work: _Work) -> tuple[str, tuple[Material, ...]]:
    materials: list[Material] = []
    for number, step in enumerate(steps, 1):
        detail = f"{number} of {len(steps)}: {step_title(step)}"
        work.progress(Started(stage="steps", detail=detail))
        try:
            materials += _step(step, work)
        except ToolError as error:
            raise _failed(error, f"step {detail}", step.place) from error
    return f"{len(steps)} of {len(steps)}", tuple(materials)


def _step(step: Step, work: _Work) -> tuple[Material, ...]:
    match step:
        case CopyStep():
            work.container.copy(step)
            _say_volatile(step.to, step.source, work)
            return ()
        case FetchStep():
            material = work.container.fetch(step)
            _say_volatile(step.to, step.url, work)
            return (material,)
        case RunStep():
            _run(step, work)
            return ()


def _say_volatile(target: str, source: str, work: _Work) -> None:
    """Report that the file which a step writes is one that is left out of layers."""
    path = target.strip("/")
    for place in (path, f"{path}/{source.rstrip('/').rpartition('/')[2]}"):
        if LEFTOVERS.matches(place, stat.S_IFREG):
            _say(work, [place], "not in the image: no layer has this file")


def _run(step: RunStep, work: _Work) -> None:
    shell = isinstance(step.command, str)
    command = ("/bin/sh", "-c", step.command) if shell else step.command
    ran = work.container.run(
        [str(word) for word in command],
        env={
            # Else it is the id of the working container, which differs each time.
            "HOSTNAME": "localhost",
            "PATH": _PATH,
            "SOURCE_DATE_EPOCH": str(work.plan.epoch),
            **work.plan.recipe.env,
            **work.plan.recipe.build_args,
        },
        stage="steps",
        limit=work.plan.recipe.time_limit,
        mounts=work.container.secrets(),
        network=step.network,
    )
    if ran.status != 0:
        raise BuildError(_ended(ran), status=ran.status, output=ran.output)


def _ended(ran: CommandResult) -> str:
    if ran.status < 0:
        return f"was ended by signal {-ran.status} after {ran.seconds:.1f} s"
    return f"ended with {ran.status} after {ran.seconds:.1f} s"


def _failed(error: ToolError, action: str, place: SourcePlace) -> BuildError:
    """Return the error with the place in the recipe."""
    message, code = f"{action}: {error.message}", error.code or "build/step-failed"
    return BuildError(
        message,
        hint=error.hint,
        code=code,
        argv=error.argv,
        status=error.status,
        output=error.output,
        diagnostic=place.diagnostic(code, message),
    )
