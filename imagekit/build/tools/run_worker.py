"""Starting the worker and reading what it reports."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from imagekit import errors
from imagekit.build.job import (
    BuildResult,
    ContainerStore,
    Isolation,
    IsolationProbe,
    Job,
    ShellJob,
    ShellReady,
    StoragePrune,
    StoragePruned,
)
from imagekit.build.tools.storage import tool_files
from imagekit.documents.record import from_document, to_document
from imagekit.errors import BuildError, Diagnostic, ImagekitError, ToolError
from imagekit.paths import home_of
from imagekit.process import Runner, Stream
from imagekit.progress import (
    Advanced,
    Command,
    Done,
    Event,
    Failed,
    Note,
    OutputLine,
    Progress,
    Started,
    silent,
)

_EVENTS: tuple[type[Event], ...] = (Started, OutputLine, Advanced, Done, Failed, Command, Note)
_DAY = 86400.0
_MODULE = "imagekit.build.worker"
_LONGEST_MESSAGE = 256 << 20
_KEPT = frozenset(
    {
        "APT_CONFIG",
        "CURL_CA_BUNDLE",
        "HOME",
        "LANG",
        "LOGNAME",
        "NETRC",
        "PATH",
        "PYTHONPATH",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TZ",
        "USER",
        "XDG_CONFIG_DIRS",
        "XDG_CONFIG_HOME",
    }
)
"""Variables that tools of a build need: programs, homes, languages, authorities, pip's settings."""
_KEPT_PREFIXES = ("COVERAGE_", "LC_", "PIP_")
_PROXIES = frozenset({"all_proxy", "ftp_proxy", "http_proxy", "https_proxy", "no_proxy"})


class _Answer(Struct):
    """What the worker reported so far."""

    made: object = None
    error: ImagekitError | None = None
    ready: Callable[[ShellReady], int] | None = None
    """Starts what the worker holds its working container for."""


class _ShellEndedError(Exception):
    """Ends the worker, as what it held its working container for has ended."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def environment(env: Mapping[str, str], store: ContainerStore) -> dict[str, str]:
    """Return what the worker and its tools get of an environment.

    They need neither the password of a key nor a registry login, so they do not get one.

    Args:
        env: of this process.
        store: where they put what lives as long as they do.

    Raises:
        ToolError: the user's home is not known.
    """
    kept = {
        name: value
        for name, value in env.items()
        if name in _KEPT or name.lower() in _PROXIES or name.startswith(_KEPT_PREFIXES)
    }
    ours = {"HOME": str(home_of(env)), "XDG_RUNTIME_DIR": str(store.run), "PYTHONSAFEPATH": "1"}
    return kept | ours


def in_namespace(argv: Sequence[str]) -> list[str]:
    """Return the command that runs another one as root, or in the user namespace of a user."""
    return [*([] if os.geteuid() == 0 else ["buildah", "unshare", "--"]), *argv]


def run_job(job: Job, *, progress: Progress) -> BuildResult:
    """Have a job done by the worker.

    Args:
        job: what to do.
        progress: told of everything that happens.

    Returns:
        What was made.

    Raises:
        BuildError: a step failed.
        ToolError: a tool failed, or the worker was killed.
    """
    secrets = tuple(secret.value for secret in job.secrets)
    return from_document(BuildResult, _ask(job, job.store, progress=progress, secrets=secrets))


def find_isolation(probe: IsolationProbe) -> Isolation:
    """Have the worker find how steps can be contained here, whatever was recorded.

    Raises:
        ToolError: they cannot, or a tool failed.
    """
    return from_document(Isolation, _ask(probe, probe.store, progress=silent, secrets=()))


def prune_storage(request: StoragePrune, *, progress: Progress) -> StoragePruned:
    """Have the worker remove what no job uses of the container storage.

    Raises:
        ToolError: a tool failed, or this user has no user namespaces.
    """
    answer = _ask(request, request.store, progress=progress, secrets=())
    return from_document(StoragePruned, answer)


def hold_shell(request: ShellJob, *, progress: Progress, start: Callable[[ShellReady], int]) -> int:
    """Have the worker make and hold a working container while something runs in it.

    Args:
        request: what to make, and what is to run.
        progress: told of everything that happens before.
        start: runs it, and returns its exit code.

    Raises:
        BuildError: a step failed before.
        ToolError: a tool failed, or the worker was killed.
    """
    secrets = tuple(secret.value for secret in request.job.secrets)
    try:
        _ask(request, request.store, progress=progress, secrets=secrets, ready=start)
    except _ShellEndedError as ended:
        return ended.status
    raise ToolError("the build's worker ended before anything could be run in its container")


def _ask(
    request: Job | IsolationProbe | StoragePrune | ShellJob,
    store: ContainerStore,
    *,
    progress: Progress,
    secrets: tuple[str, ...],
    ready: Callable[[ShellReady], int] | None = None,
) -> object:
    env = environment(os.environ, store) | tool_files(store).environment
    argv = in_namespace([sys.executable, "-m", _MODULE])
    answer = _Answer(ready=ready)

    def line(stream: Stream, text: str) -> None:
        if stream == "stdout":
            _listen(text, answer, progress=progress)

    raw = json.dumps(to_document(request)).encode() + b"\n"
    outcome = Runner(env=env, secrets=()).stream(
        argv, on_line=line, stdin=raw, limit=_DAY, hold_stdin=True, longest=_LONGEST_MESSAGE
    )
    if answer.error is not None:
        raise answer.error
    if answer.made is None:
        shown = Runner(secrets=secrets).redact(outcome.stderr.strip())
        raise ToolError(
            f"the build's worker ended with {outcome.status} before it was done",
            hint=_unshare_hint(shown),
            argv=outcome.argv,
            status=outcome.status,
            output=shown,
        )
    return answer.made


def _listen(text: str, answer: _Answer, *, progress: Progress) -> None:
    document = json.loads(text)
    if "event" in document:
        progress(_event(document["event"]))
    elif "made" in document:
        answer.made = document["made"]
    elif "ready" in document and answer.ready is not None:
        # Raised here, it ends the worker by closing its stdin.
        raise _ShellEndedError(answer.ready(from_document(ShellReady, document["ready"])))
    else:
        answer.error = _error(document["error"])


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
        more["diagnostic"] = from_document(Diagnostic, document["diagnostic"])
    if issubclass(kind, errors.RegistryError):
        more = {}
    tool_error: ToolError = kind(message, **words, **more)
    return tool_error


def _unshare_hint(output: str) -> str:
    if "newuidmap" in output or "subuid" in output or "user namespace" in output:
        return "imagekit doctor shows what rootless builds need on this host"
    return "run it again with --verbose"
