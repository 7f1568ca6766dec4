"""Making the layers of a plan, one after the other, in one working container."""

import stat
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.build import apt_sources, layer, tree_snapshot
from imagekit.build.catalogued import some_shown
from imagekit.build.compression import compressor
from imagekit.build.container import BuildContainer
from imagekit.build.exclude import LEFTOVERS
from imagekit.build.image import BuiltLayer, Material, Origin
from imagekit.build.job import (
    END,
    FAILED,
    BuildPlan,
    BuildResult,
    CachedLayer,
    CommandResult,
    LayerPlan,
    StagePlan,
)
from imagekit.build.marks import Mark, Marks
from imagekit.build.packages import (
    check_locked,
    count_packages,
    install,
    installed,
    locked_materials,
)
from imagekit.build.plan import step_title
from imagekit.build.step_entries import StepEntries, standing, weakest
from imagekit.build.step_environment import step_environment
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
from imagekit.recipe.recipe import (
    BootstrapBase,
    CopyStep,
    FetchStep,
    RunStep,
    StageCopy,
    Step,
)

_STAGES = {Origin.BASE: "base", Origin.PACKAGES: "packages", Origin.RECIPE: "steps"}


class _Work(Struct, frozen=True, kw_only=True):
    """What is to be made, where, and what reports it."""

    plan: BuildPlan
    container: BuildContainer
    progress: Progress
    env: Mapping[str, str]
    """The environment of the steps."""
    use_cache: bool
    """Whether layers and steps of the cache are used."""
    prefix: str = ""
    """What stands before a layer's title where it is told of."""
    stages: dict[str, "_Stage"] = field(default_factory=dict)
    """What steps may copy from."""
    done: dict[Digest, CachedLayer] = field(default_factory=dict)
    """What was made or found in this build: stages may begin like the image does."""


class Stopped(Struct, frozen=True, kw_only=True):
    """Where a build stopped so that somebody can look."""

    place: str
    """Where that is, for people."""
    network: bool = True
    """Whether the step there has a network."""
    fault: str = ""
    """How that step failed."""
    stage: str = ""
    """The stage in which it is; empty for the image itself."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The variables that steps see there."""
    layers: tuple[BuiltLayer, ...] | None = None
    """What a new working container starts on; None where the one that is open is meant."""


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


class _Content(Struct, frozen=True, kw_only=True):
    """What was put into a layer."""

    title: str
    materials: tuple[Material, ...] = ()
    """What came from outside."""
    isolation: str = ""
    """How commands were contained that made it; empty where none was run."""
    config: ImageConfig | None = None
    """What a Containerfile says of the image."""


class _Stage(Struct, frozen=True):
    """A stage that was made, and where it is opened when somebody copies from it."""

    work: _Work
    state: _State


def make(
    plan: BuildPlan, container: BuildContainer, *, use_cache: bool, progress: Progress
) -> BuildResult:
    """Make all layers that the plan asks for and the cache does not have.

    Args:
        plan: what to make.
        container: where.
        use_cache: whether layers and steps of the cache are used.
        progress: told of every layer.

    Returns:
        All layers of the image, those of its base included.

    Raises:
        BuildError: a step failed; it says which, with its place in the recipe.
        ToolError: a tool failed otherwise, or the disk is full.
    """
    main = _main(plan, container, progress, use_cache=use_cache)
    for stage in plan.stages:
        made = _stage(stage, main)
        _make_all(stage.layers, made.work, made.state)
        main.stages[stage.name] = made
    state = _State(list(plan.base), [])
    _make_all(plan.layers, main, state)
    of_stages = [layer for stage in main.stages.values() for layer in stage.state.made]
    return made_of(plan, state.made, of_stages)


def _main(
    plan: BuildPlan, container: BuildContainer, progress: Progress, *, use_cache: bool
) -> _Work:
    env = plan.recipe.env
    return _Work(plan=plan, container=container, progress=progress, env=env, use_cache=use_cache)


def _stage(stage: StagePlan, main: _Work) -> _Stage:
    """Return the work on a stage, of which nothing is made yet."""
    work = replace(
        main,
        plan=main.plan.of(stage),
        container=main.container.beside(stage),
        env=stage.env,
        prefix=f"{stage.name}: ",
    )
    return _Stage(work, _State(list(stage.below.layers), []))


def _make_all(layers: Sequence[LayerPlan], work: _Work, state: _State) -> None:
    for wanted in layers:
        _reported(wanted, work, state)


def _reported(wanted: LayerPlan, work: _Work, state: _State) -> None:
    """Take a layer of the cache, or make it, and report which."""
    stage, title = _STAGES[wanted.origin], f"{work.prefix}{wanted.title}"
    began = time.monotonic()
    work.progress(Started(stage=stage, detail=title))

    def waiting() -> None:
        detail = f"{title}: another build makes it, which is waited for"
        work.progress(Started(stage=stage, detail=detail))

    # One key at a time is held: two builds cannot wait for each other.
    own = work.container.making(wanted.key, waiting) if work.use_cache else nullcontext()
    try:
        with own:
            cached = _found(wanted, work, state)
            made = cached or _make_layer(wanted, work, state)
    except ToolError as error:
        seconds = time.monotonic() - began
        work.progress(Failed(stage=stage, summary=error.message, seconds=seconds))
        raise
    state.made.append(made)
    work.done[wanted.key] = made
    summary = f"{work.prefix}{made.layer.title}{' (from the cache)' if cached else ''}"
    work.progress(Done(stage=stage, summary=summary, seconds=time.monotonic() - began))


def _found(wanted: LayerPlan, work: _Work, state: _State) -> CachedLayer | None:
    """Return a layer that need not be made; none on top of one that was made now."""
    if state.root is not None:
        return None
    found = work.done.get(wanted.key)
    if found is None and work.use_cache:
        found = work.container.cached(wanted.key)
    on = standing(wanted.steps, state.layers, _stage_layers(work))
    return found if found is not None and found.stands_on == on else None


def _stage_layers(work: _Work) -> Mapping[str, Sequence[BuiltLayer]]:
    return {name: stage.state.layers for name, stage in work.stages.items()}


def make_until(
    plan: BuildPlan,
    container: BuildContainer,
    point: int,
    *,
    use_cache: bool,
    progress: Progress,
) -> Stopped:
    """Make the layers of a plan as far as somebody wants to look; no layer is made of its steps.

    Args:
        plan: what to make.
        container: where.
        point: how far, as ``ShellJob`` has it; behind all there is no working container, but layers
            to open one on.
        use_cache: whether layers and steps of the cache are used.
        progress: told of every layer.

    Raises:
        BuildError: a step failed, where that is not what was asked for.
        ToolError: a tool failed otherwise, or the disk is full.
    """
    main = _main(plan, container, progress, use_cache=use_cache)
    for stage in plan.stages:
        made = _stage(stage, main)
        if point == FAILED:
            stopped = _until(stage.layers, made, point)
            if stopped.fault:
                return replace(stopped, stage=stage.name)
        else:
            _make_all(stage.layers, made.work, made.state)
        main.stages[stage.name] = made
    whole = _Stage(main, _State(list(plan.base), []))
    return _until(plan.layers, whole, point)


def _until(layers: Sequence[LayerPlan], stage: _Stage, point: int) -> Stopped:
    """Make the layers of a stage, or of the image itself, as far as somebody wants to look."""
    work, state = stage.work, stage.state
    try:
        for wanted in layers:
            # What is in the cache did not fail.
            made = point == FAILED and _found(wanted, work, state)
            if wanted.steps and point != END and not made:
                return _stopped(wanted, work, state, point=point)
            _reported(wanted, work, state)
    except BuildError as fault:
        if point != FAILED or state.root is None:
            raise
        place = f"{work.prefix}where the packages failed"
        return Stopped(place=place, fault=fault.message, env=_environment(work))
    last = layers[-1].steps if layers else ()
    return Stopped(
        place="the whole image",
        network=_has_network(last[-1]) if last else True,
        env=_environment(work),
        layers=tuple(state.layers),
    )


def _stopped(wanted: LayerPlan, work: _Work, state: _State, *, point: int) -> Stopped:
    """Do the steps as far as somebody wants to look, and say where that is."""
    steps = wanted.steps
    fault, last = "", len(steps) if point == FAILED else point
    entries = _entries(wanted, work, state)
    try:
        _do_steps(entries, last, steps=steps, work=work)
    except BuildError as error:
        if point != FAILED:
            raise
        fault, last = error.message, entries.done + 1
    step, how = steps[last - 1], "where it failed" if fault else "after it"
    return Stopped(
        place=f"{work.prefix}step {last} of {len(steps)} ({step_title(step)}), {how}",
        network=_has_network(step),
        fault=fault,
        env=_environment(work),
    )


def _has_network(step: Step) -> bool:
    return not isinstance(step, RunStep) or step.network


def all_cached(
    plan: BuildPlan, find: Callable[[Digest], CachedLayer | None], *, progress: Progress
) -> BuildResult | None:
    """Return what the plan makes where the cache has every layer; then nothing need be started.

    Args:
        plan: the plan.
        find: returns a layer of the cache by its key.
        progress: told of every layer, if all are there.
    """
    found: dict[str, list[CachedLayer]] = {}
    stages: dict[str, Sequence[BuiltLayer]] = {}
    chains = [(stage.name, stage.below.layers, stage.layers) for stage in plan.stages]
    for name, below, layers in (*chains, ("", plan.base, plan.layers)):
        standing_on, entries = list(below), list[CachedLayer]()
        for wanted in layers:
            cached = find(wanted.key)
            if cached is None or cached.stands_on != standing(wanted.steps, standing_on, stages):
                return None
            entries.append(cached)
            standing_on.append(cached.layer)
        found[name], stages[name] = entries, standing_on
    for name, entries in found.items():
        prefix = name and f"{name}: "
        for cached in entries:
            summary = f"{prefix}{cached.layer.title} (from the cache)"
            progress(Done(stage=_STAGES[cached.layer.origin], summary=summary, seconds=0.0))
    of_stages = [layer for name, layers in found.items() if name for layer in layers]
    return made_of(plan, found[""], of_stages)


def made_of(
    plan: BuildPlan, made: Sequence[CachedLayer], of_stages: Sequence[CachedLayer] = ()
) -> BuildResult:
    """Return all layers of the image, with everything that they were made of and by.

    Args:
        plan: the plan.
        made: the layers that it adds to its base.
        of_stages: layers that are not in the image, and that what is in it was made with.
    """
    entries = (*of_stages, *made)
    return BuildResult(
        layers=(*plan.base, *(entry.layer for entry in made)),
        materials=tuple(dict.fromkeys(m for entry in entries for m in entry.materials)),
        config=made[-1].config if made else None,
        tools=tuple(dict.fromkeys(tool for entry in entries for tool in entry.tools)),
        isolations=tuple(dict.fromkeys(entry.isolation for entry in entries if entry.isolation)),
    )


def _make_layer(wanted: LayerPlan, work: _Work, state: _State) -> CachedLayer:
    if wanted.containerfile:
        return _from_containerfile(wanted, work, state)
    root = _opened(work, state)
    content = _fill(wanted, work, state, root=root)
    tidy_layer(root, state.before)
    before = state.before

    def look() -> Changes:
        state.before = tree_snapshot.take(root)
        return tree_snapshot.changes(before, state.before, LEFTOVERS)

    changed = _kept(look, root, work, packages=bool(wanted.packages))
    return _written(wanted, work, state, root=root, changed=changed, content=content)


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
    state: _State,
    *,
    root: Path,
    changed: tree_snapshot.Changes,
    content: _Content,
) -> CachedLayer:
    marks = Marks(_marks(work))
    if content.config is not None:
        raw = repr(content.config).encode()
        marks.check(raw, where=f"the configuration of {content.title}")
    compression = work.plan.recipe.compression
    written = layer.write(
        root,
        changed,
        work.container.blobs,
        epoch=work.plan.epoch,
        marks=marks,
        compression=compression,
    )
    bootstrapped = wanted.bootstrap is not None
    made = CachedLayer(
        layer=BuiltLayer(
            descriptor=written.descriptor,
            diff_id=written.diff_id,
            origin=wanted.origin,
            title=content.title,
        ),
        materials=content.materials,
        made=time.time(),
        config=content.config,
        tools=(*work.container.tools(bootstrapped=bootstrapped), compressor(compression)),
        isolation=content.isolation,
        stands_on=standing(wanted.steps, state.layers, _stage_layers(work)),
        locked=wanted.locked,
    )
    work.container.keep(wanted.key, made)
    return made


def _marks(work: _Work) -> Sequence[Mark]:
    """Return the texts of this host that no layer may hold; a recipe itself may name a proxy."""
    recipe = repr(work.plan.recipe).encode()
    return [mark for mark in work.container.marks() if mark.secret or mark.text not in recipe]


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
    isolation = work.container.isolation()
    content = _Content(title=wanted.containerfile, isolation=isolation, config=config)
    return _written(wanted, work, state, root=result, changed=changed, content=content)


def _fill(wanted: LayerPlan, work: _Work, state: _State, *, root: Path) -> _Content:
    """Put the layer's content into the tree; return what it is."""
    if wanted.bootstrap is not None:
        try:
            materials = _bootstrap(wanted, work, root, base=wanted.bootstrap)
        except ToolError as error:
            raise _failed(error, wanted.title, wanted.bootstrap.place) from error
        tidy_bootstrap(root)
        title = f"{wanted.title}, {count(count_packages(root), 'package')}"
        return _Content(title=title, materials=materials)
    if wanted.packages:
        return _install(wanted, work, root)
    return _steps(wanted, work, state)


def _bootstrap(
    wanted: LayerPlan, work: _Work, root: Path, *, base: BootstrapBase
) -> tuple[Material, ...]:
    materials = work.container.bootstrap(base, root, debs=wanted.debs if wanted.locked else None)
    if wanted.locked:
        check_locked(root, wanted.debs, before={})
        return materials + locked_materials(wanted.debs, base.distribution)
    return materials + apt_sources.materials(root, base.distribution)


def _install(wanted: LayerPlan, work: _Work, root: Path) -> _Content:
    before, known = count_packages(root), frozenset(installed(root) if wanted.of_stage else ())
    materials: list[Material] = []
    locks = wanted.installs if wanted.locked else (None,) * len(wanted.packages)
    for entry, locked in zip(wanted.packages, locks, strict=True):
        try:
            materials += install(entry, work.container, root, plan=work.plan, locked=locked)
        except ToolError as error:
            failed = _failed(error, f"installing by {entry.manager}", entry.place)
            raise _look(failed, work) from error
    if wanted.of_stage:
        # Of an image, they are in its SBOM.
        materials += [package for package in installed(root) if package not in known]
    more = count_packages(root) - before
    return _Content(
        title=f"{wanted.title}: {count(more, 'more package')}",
        materials=tuple(dict.fromkeys(materials)),
        isolation=work.container.isolation(),
    )


def _steps(wanted: LayerPlan, work: _Work, state: _State) -> _Content:
    entries, total = _entries(wanted, work, state), len(wanted.steps)
    _do_steps(entries, total, steps=wanted.steps, work=work)
    return _Content(
        title=f"{total} of {total}",
        materials=tuple(entries.materials),
        isolation=weakest(entries.isolations),
    )


def _entries(wanted: LayerPlan, work: _Work, state: _State) -> StepEntries:
    """Return what goes through the steps of a layer; the working container is open then."""
    root, stages = _opened(work, state), _stage_layers(work)
    numbers = range(1, len(wanted.steps) + 1)
    return StepEntries(
        wanted,
        work.container,
        root,
        before=state.before,
        stands_on=[standing(wanted.steps[:number], state.layers, stages) for number in numbers],
        marks=_marks(work),
    )


def _do_steps(entries: StepEntries, last: int, *, steps: Sequence[Step], work: _Work) -> None:
    """Do the first steps, as far as the cache has not what they make."""
    began = time.monotonic()
    if work.use_cache:
        entries.restore(last)
    if entries.done:
        summary = f"{work.prefix}{count(entries.done, 'step')} of {len(steps)} (from the cache)"
        work.progress(Done(stage="steps", summary=summary, seconds=time.monotonic() - began))
    while entries.done < last:
        step = steps[entries.done]
        materials = _numbered(entries.done + 1, steps, work)
        isolation = work.container.isolation() if isinstance(step, RunStep) else ""
        entries.add(materials, made=time.time(), isolation=isolation)


def _numbered(number: int, steps: Sequence[Step], work: _Work) -> tuple[Material, ...]:
    step = steps[number - 1]
    detail = f"{number} of {len(steps)}: {step_title(step)}"
    work.progress(Started(stage="steps", detail=f"{work.prefix}{detail}"))
    try:
        return _step(step, work)
    except ToolError as error:
        failed = _failed(error, f"{work.prefix}step {detail}", step.place)
        raise _look(failed, work) from error


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
        case StageCopy():
            stage = work.stages[step.stage]
            _opened(stage.work, stage.state)
            work.container.copy_from_stage(step)
            _say_volatile(step.to, step.source, work)
            return ()


def _say_volatile(target: str, source: str, work: _Work) -> None:
    """Report that the file which a step writes is one that is left out of layers."""
    path = target.strip("/")
    for place in (path, f"{path}/{source.rstrip('/').rpartition('/')[2]}"):
        if LEFTOVERS.matches(place, stat.S_IFREG):
            _say(work, [place], "not in the image: no layer has this file")


def _environment(work: _Work) -> dict[str, str]:
    """Return the variables that steps see."""
    plan = work.plan
    return step_environment(
        work.env, plan.recipe.build_args, inherited=plan.inherited, epoch=plan.epoch
    )


def _run(step: RunStep, work: _Work) -> None:
    shell = isinstance(step.command, str)
    command = ("/bin/sh", "-c", step.command) if shell else step.command
    ran = work.container.run(
        [str(word) for word in command],
        env=_environment(work),
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


def _look(error: BuildError, work: _Work) -> BuildError:
    """Say in an error how one looks into the container as it was."""
    look = f"look into the container as it was: imagekit shell {work.plan.recipe.folder} --failed"
    error.hint = f"{error.hint}\n   = {look}" if error.hint else look
    return error


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
