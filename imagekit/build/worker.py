"""The process that touches mounted trees: ``python -m imagekit.build.worker``.

Root starts it directly, a user inside ``buildah unshare``: one path for both. The job is the first
line of stdin, as JSON; what happens and what was made are lines of JSON on stdout. When stdin
closes, the parent is gone, and so is this process, with everything that it mounted.
"""

import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

from imagekit.build.counted import counting
from imagekit.build.job import (
    BuildResult,
    Isolation,
    IsolationProbe,
    Job,
    ShellJob,
    ShellReady,
    StoragePrune,
    StoragePruned,
)
from imagekit.build.make import make, make_until
from imagekit.build.tools.build_container import BuildahContainer
from imagekit.build.tools.buildah import PREFIX, Buildah
from imagekit.build.tools.chain import FOLDER, lock_of
from imagekit.build.tools.isolation import IsolationRecord
from imagekit.build.tools.storage import settle
from imagekit.documents.record import from_document, to_document
from imagekit.errors import BuildError, ImagekitError, ToolError
from imagekit.locks import age, claimed, held
from imagekit.process import Runner
from imagekit.progress import Event
from imagekit.recipe.recipe_digest import digest
from imagekit.subreaper import adopt_orphans, end_orphans

Request = Job | IsolationProbe | StoragePrune | ShellJob
Tell = Callable[[str, object], None]
_MAX_JOB = 64 << 20
_KEEP_SECONDS = 7 * 86400
_RESULT = f"localhost/{PREFIX}"
"""How the names of what Containerfiles build begin; the name of the job follows."""
_JOB = re.compile(r"job-[0-9a-f]{16}")


def main() -> int:
    """Do the one job of stdin and return 0; a failure is reported on stdout like all else."""
    signal.signal(signal.SIGTERM, _stop)
    source, sink = sys.stdin.buffer, sys.stdout
    job = _request(json.loads(source.readline(_MAX_JOB)))
    lock = threading.Lock()

    def tell(kind: str, document: object) -> None:
        with lock:
            _write(sink, {kind: document})

    def progress(event: Event) -> None:
        tell("event", to_document(event))

    try:
        with held(_lock(job.name, job)):
            # Before there is a second thread, which would stay in the old mount namespace.
            settle(job.store.folder, job.folder)
            threading.Thread(target=_watch, args=(source.fileno(),), daemon=True).start()
            os.environ["TMPDIR"] = str(job.folder.path)
            adopt_orphans()
            runner = Runner(
                progress=counting(progress), secrets=_values(job), end_orphans=end_orphans
            )
            made = _done(job, runner, tell)
    except ImagekitError as error:
        tell("error", error_document(error))
    except Exception as error:  # noqa: BLE001 - this process's outermost border, reported as it is
        tell("error", error_document(_fault(error)))
    else:
        tell("made", to_document(made))
    return 0


def _request(document: dict[str, object]) -> Request:
    kinds = {kind.__name__: kind for kind in (Job, IsolationProbe, StoragePrune, ShellJob)}
    kind: type[Request] = kinds.get(str(document.get("kind")), Job)
    return from_document(kind, document)


def _done(
    request: Request, runner: Runner, tell: Tell
) -> BuildResult | Isolation | StoragePruned | None:
    match request:
        case Job():
            return _work(request, runner)
        case IsolationProbe():
            return _probe(request, runner)
        case StoragePrune():
            return _prune(request, runner)
        case ShellJob():
            _hold(request, runner, tell)
            return None


def _probe(probe: IsolationProbe, runner: Runner) -> Isolation:
    try:
        probe.record.unlink(missing_ok=True)
        buildah = Buildah(runner=runner, store=probe.store, folder=probe.folder)
        return buildah.isolation(IsolationRecord(probe.record))
    finally:
        shutil.rmtree(probe.folder.real, ignore_errors=True)


def _hold(request: ShellJob, runner: Runner, tell: Tell) -> None:
    """Make what somebody wants to look into, and hold it until the parent closes stdin."""
    job = request.job
    try:
        _sweep(Buildah(runner=runner, store=job.store, folder=job.folder), job)
        with BuildahContainer(job, runner, digest) as container:
            stopped = make_until(
                job.plan,
                container,
                request.point,
                use_cache=job.use_cache,
                progress=runner.progress,
            )
            if stopped.layers is not None:
                container.reopen(stopped.layers)
            terminal = {"TERM": request.terminal} if request.terminal else {}
            argv, env = container.entered(
                request.command,
                env={**stopped.env, **terminal},
                stage=stopped.stage,
                network=stopped.network,
                terminal=bool(request.terminal),
            )
            ready = ShellReady(argv=tuple(argv), env=env, place=stopped.place, fault=stopped.fault)
            tell("ready", to_document(ready))
            threading.Event().wait()
    finally:
        shutil.rmtree(job.folder.real, ignore_errors=True)


def _prune(request: StoragePrune, runner: Runner) -> StoragePruned:
    try:
        buildah = Buildah(runner=runner, store=request.store, folder=request.folder)
        folders = (request.store.folder.real, request.folder.real.parent)
        before = sum(_usage(folder) for folder in folders)
        images = len(buildah.images())
        if request.dry_run:
            return StoragePruned(images=images, size=before if images else 0)
        _sweep(buildah, request, unused_for=request.unused_for)
        left = sum(_usage(folder) for folder in folders)
        return StoragePruned(
            images=images - len(buildah.images()),
            # A job beside this one may have made more than was removed.
            size=max(0, before - left),
        )
    finally:
        shutil.rmtree(request.folder.real, ignore_errors=True)


def _usage(folder: Path) -> int:
    """Return the bytes that a folder takes of the disk, without what is mounted in it."""
    total, device = 0, folder.lstat().st_dev
    for _, folders, files, handle in os.fwalk(folder):
        for name in files:
            with suppress(OSError):
                total += os.stat(name, dir_fd=handle, follow_symlinks=False).st_blocks * 512
        folders[:] = [name for name in folders if _is_on(device, name, handle)]
    return total


def _is_on(device: int, name: str, handle: int) -> bool:
    with suppress(OSError):
        return os.stat(name, dir_fd=handle, follow_symlinks=False).st_dev == device
    return False


def error_document(error: ImagekitError) -> dict[str, object]:
    """Return an error as the parent reads it."""
    document: dict[str, object] = {
        "type": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "code": error.code,
    }
    if isinstance(error, ToolError):
        document |= {"argv": list(error.argv), "status": error.status, "output": error.output}
    if isinstance(error, BuildError) and error.diagnostic is not None:
        document["diagnostic"] = to_document(error.diagnostic)
    return document


def _fault(error: Exception) -> ImagekitError:
    return ImagekitError(
        f"a fault in imagekit: {type(error).__name__}: {error}",
        hint="please report it, with the recipe",
        code="internal",
    )


def _work(job: Job, runner: Runner) -> BuildResult:
    try:
        _sweep(Buildah(runner=runner, store=job.store, folder=job.folder), job)
        with BuildahContainer(job, runner, digest) as container:
            container.steps.tidy()
            return make(job.plan, container, use_cache=job.use_cache, progress=runner.progress)
    except OSError as error:
        raise ToolError(
            f"the build's files cannot be written: {_reason(error)}",
            hint=f"make room in {job.layout.parent} and {job.cache}, and run it again",
        ) from error
    finally:
        shutil.rmtree(job.folder.real, ignore_errors=True)


def _reason(error: OSError) -> str:
    """Return why; of a tree of which several files could not be copied, of the first."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        return str(error.args[0][0][-1])
    return str(error)


def _sweep(buildah: Buildah, job: Job | StoragePrune, *, unused_for: float = _KEEP_SECONDS) -> None:
    """Remove what builds left behind that were killed before they could do it themselves.

    A build has ended where its lock is free; nothing else shows it, see ``imagekit.locks``.

    Args:
        buildah: drives the storage.
        job: this one, which is left alone.
        unused_for: seconds after which images that builds start on are removed, too.
    """
    left = [name for name in buildah.containers() if name.startswith(PREFIX)]
    images = buildah.images()
    results = [name for name in images if name.startswith(_RESULT)]
    folders = [path.name for path in job.folder.real.parent.glob("job-*")]
    locks = [path.stem for path in job.locks.glob("job-*.lock")]
    owners = {*map(_owner, left), *map(_owner_of_result, results), *folders, *locks}
    for owner in owners - {"", job.name}:
        with claimed(_lock(owner, job)) as free:
            if not free:
                continue
            for name in left:
                if _owner(name) == owner:
                    with suppress(ToolError):
                        buildah.remove(name)
            for name in results:
                if _owner_of_result(name) == owner:
                    with suppress(ToolError):
                        buildah.remove_image(name)
            shutil.rmtree(job.folder.real.parent / owner, ignore_errors=True)
    _sweep_images(buildah, images, job, unused_for=unused_for)


def _owner(container: str) -> str:
    """Return the name of the job that a working container belongs to, or nothing."""
    name = container.removeprefix(PREFIX).rpartition("-")[0]
    return name if _JOB.fullmatch(name) else ""


def _owner_of_result(image: str) -> str:
    """Return the name of the job that built an image by a Containerfile, or nothing."""
    name = image.removeprefix(_RESULT).partition(":")[0]
    return name if _JOB.fullmatch(name) else ""


def _sweep_images(
    buildah: Buildah, images: Sequence[str], job: Job | StoragePrune, *, unused_for: float
) -> None:
    """Remove images that were kept to start on and that no build has used for a while."""
    mark = f"/{FOLDER}/"
    for name in images:
        if mark not in name:
            continue
        chain = name.rpartition(mark)[2].partition(":")[0]
        lock = lock_of(chain, job.locks)
        if unused_for and not lock.exists():
            # Its week begins now.
            with held(lock, shared=True, keep=True):
                continue
        if age(lock, time.time()) < unused_for:
            continue
        with claimed(lock) as free:
            if free:
                shutil.rmtree(buildah.store.run / FOLDER / chain, ignore_errors=True)
                with suppress(ToolError):
                    buildah.remove_image(name)


def _lock(owner: str, job: Request) -> Path:
    return job.locks / f"{owner}.lock"


def _values(job: Request) -> tuple[str, ...]:
    job = job.job if isinstance(job, ShellJob) else job
    return tuple(secret.value for secret in job.secrets) if isinstance(job, Job) else ()


def _watch(handle: int) -> None:
    """Wait until stdin closes; by its number, as the lock of its buffer would block the exit."""
    os.read(handle, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    # Once is enough: what is being cleaned up now is not to be interrupted.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _write(sink: TextIO, document: object) -> None:
    with suppress(BrokenPipeError):
        sink.write(json.dumps(document) + "\n")
        sink.flush()


if __name__ == "__main__":
    sys.exit(main())
