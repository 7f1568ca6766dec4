"""Starting the worker and understanding what it tells."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from imagekit import errors
from imagekit.adapters.process import Runner, Stream
from imagekit.adapters.storage import storage_conf
from imagekit.errors import BuildError, Diagnostic, ImagekitError, ToolError
from imagekit.formats.record import from_document, to_document
from imagekit.model.event import (
    Advanced,
    Command,
    Done,
    Event,
    Failed,
    Note,
    Output,
    Progress,
    Started,
)
from imagekit.model.plan import Job, Made

_EVENTS: tuple[type[Event], ...] = (Started, Output, Advanced, Done, Failed, Command, Note)
_DAY = 86400.0
_MODULE = "imagekit.pipeline.worker"
_LONGEST_MESSAGE = 256 << 20


@dataclass(slots=True)
class _Told:
    """What the worker said so far."""

    made: Made | None = None
    error: ImagekitError | None = None


def run_job(job: Job, *, progress: Progress, state: Path) -> Made:
    """Have a job done by the worker.

    Args:
        job: what to do.
        progress: told of everything that happens.
        state: where imagekit keeps its state.

    Returns:
        What was made.

    Raises:
        BuildError: a step failed.
        ToolError: a tool failed, or the worker was killed.
    """
    config = storage_conf(job.store, state)
    env = {**os.environ, "CONTAINERS_STORAGE_CONF": str(config), "PYTHONSAFEPATH": "1"}
    argv = [sys.executable, "-m", _MODULE]
    if os.geteuid() != 0:
        argv = ["buildah", "unshare", "--", *argv]
    told = _Told()

    def line(stream: Stream, text: str) -> None:
        if stream == "stdout":
            _listen(text, told, progress=progress)

    secrets = tuple(secret.value for secret in job.secrets)
    raw = json.dumps(to_document(job)).encode() + b"\n"
    outcome = Runner(env=env, secrets=()).stream(
        argv, on_line=line, stdin=raw, limit=_DAY, hold_stdin=True, longest=_LONGEST_MESSAGE
    )
    if told.error is not None:
        raise told.error
    if told.made is None:
        shown = Runner(secrets=secrets).redact(outcome.stderr.strip())
        raise ToolError(
            f"the build's worker ended with {outcome.status} before it was done",
            hint=_unshare_hint(shown),
            argv=outcome.argv,
            status=outcome.status,
            output=shown,
        )
    return told.made


def _listen(text: str, told: _Told, *, progress: Progress) -> None:
    document = json.loads(text)
    if "event" in document:
        progress(_event(document["event"]))
    elif "made" in document:
        told.made = from_document(Made, document["made"])
    else:
        told.error = _error(document["error"])


def _event(document: dict[str, object]) -> Event:
    kinds = {kind.__name__: kind for kind in _EVENTS}
    event: Event = from_document(kinds[str(document["kind"])], document)
    return event


def _error(document: dict[str, object]) -> ImagekitError:
    kind = getattr(errors, str(document["type"]))
    words = {name: str(document[name]) for name in ("hint", "code")}
    message = str(document["message"])
    if not issubclass(kind, ToolError):
        error: ImagekitError = kind(message, **words)
        return error
    argv = document["argv"]
    more: dict[str, object] = {
        "argv": tuple(argv) if isinstance(argv, list) else (),
        "status": document["status"],
        "output": document["output"],
    }
    if issubclass(kind, BuildError) and "diagnostic" in document:
        more["diagnostic"] = _with_line(from_document(Diagnostic, document["diagnostic"]))
    if issubclass(kind, errors.RegistryError):
        more = {}
    tool_error: ToolError = kind(message, **words, **more)
    return tool_error


def _with_line(diagnostic: Diagnostic) -> Diagnostic:
    """Add the text of the line, for the code frame."""
    from dataclasses import replace

    try:
        lines = Path(diagnostic.file).read_text(encoding="utf-8").splitlines()
        source = lines[diagnostic.line - 1]
    except (OSError, ValueError, IndexError):
        return diagnostic
    word = source[diagnostic.column - 1 :].split(":")[0].split()
    return replace(diagnostic, source=source, length=len(word[0]) if word else 1)


def _unshare_hint(output: str) -> str:
    if "newuidmap" in output or "subuid" in output or "user namespace" in output:
        return "imagekit doctor tells what rootless builds need on this host"
    return "run it again with --verbose"
