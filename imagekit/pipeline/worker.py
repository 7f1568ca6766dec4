"""The process that touches mounted trees: ``python -m imagekit.pipeline.worker``.

Root starts it directly, a user inside ``buildah unshare``: one path for both. The job is the first
line of stdin, as JSON; what happens and what was made are lines of JSON on stdout. When stdin
closes, the parent is gone, and so is this process, with everything that it mounted.
"""

import json
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

from imagekit.adapters.buildah import PREFIX, Buildah
from imagekit.adapters.process import Runner
from imagekit.adapters.strays import adopt_strays, end_strays
from imagekit.adapters.workshop import RealWorkshop
from imagekit.build.make import make
from imagekit.errors import BuildError, ImagekitError, ToolError
from imagekit.formats.record import from_document, to_document
from imagekit.model.event import Event
from imagekit.model.plan import Job, Made
from imagekit.recipe.digest import digest

_MAX_JOB = 64 << 20
_KEEP_SECONDS = 7 * 86400


def main() -> int:
    """Do the one job of stdin and return 0; a failure is told on stdout like everything else."""
    signal.signal(signal.SIGTERM, _stop)
    source, sink = sys.stdin.buffer, sys.stdout
    job = from_document(Job, json.loads(source.readline(_MAX_JOB)))
    threading.Thread(target=_watch, args=(source.fileno(),), daemon=True).start()
    lock = threading.Lock()

    def tell(kind: str, document: object) -> None:
        with lock:
            _write(sink, {kind: document})

    def progress(event: Event) -> None:
        tell("event", to_document(event))

    try:
        adopt_strays()
        made = _work(job, Runner(progress=progress, secrets=_values(job), end_strays=end_strays))
    except ImagekitError as error:
        tell("error", error_document(error))
    except Exception as error:  # noqa: BLE001 - this process's outermost border, told as it is
        tell("error", error_document(_fault(error)))
    else:
        tell("made", to_document(made))
    return 0


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


def _work(job: Job, runner: Runner) -> Made:
    job.work.mkdir(parents=True, exist_ok=True)
    try:
        _sweep(Buildah(runner=runner, store=job.store, work=job.work), job.work.parent)
        with RealWorkshop(job, runner, digest) as workshop:
            return make(job.plan, workshop, use_cache=job.use_cache, progress=runner.progress)
    except OSError as error:
        raise ToolError(
            f"the build's files cannot be written: {error}", hint="is the disk full?"
        ) from error
    finally:
        shutil.rmtree(job.work, ignore_errors=True)


def _sweep(buildah: Buildah, folder: Path) -> None:
    """Remove what builds left behind that were killed before they could do it themselves."""
    for name in buildah.containers():
        owner = name.removeprefix(PREFIX).partition("-")[0]
        if name.startswith(PREFIX) and owner.isdigit() and not _alive(int(owner)):
            with suppress(ToolError):
                buildah.remove(name)
    _sweep_images(buildah)
    for path in folder.glob("job-*"):
        owner = path.name.split("-")[1]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(path, ignore_errors=True)


def _sweep_images(buildah: Buildah) -> None:
    """Remove images that were kept to start on and that no build has used for a week."""
    for name in buildah.images():
        mark = "/chains/"
        if mark not in name:
            continue
        folder = buildah.store.run / "chains" / name.rpartition(mark)[2].partition(":")[0]
        try:
            old = time.time() - folder.stat().st_mtime > _KEEP_SECONDS
        except FileNotFoundError:
            old = True
        if old:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(ToolError):
                buildah.remove_image(name)


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _values(job: Job) -> tuple[str, ...]:
    return tuple(secret.value for secret in job.secrets)


def _watch(handle: int) -> None:
    """Wait until stdin closes; by its number, as a buffer's lock would hold up our own end."""
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
