"""A whole private Sigstore on loopback, started and stopped."""

import errno
import fcntl
import json
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.sigstore.processes import (
    Process,
    answers,
    fetch,
    free_ports,
    start,
    stop,
    wait_for,
)
from tests.support.sigstore.programs import StackError, build, program_path
from tests.support.sigstore.trust import (
    PASSWORD,
    REKOR1_HOST,
    REKOR_HOST,
    Addresses,
    make_keys,
    write_trust,
)

STATE = "stack.json"

_LOCK_SECONDS = 1800  # another's build
# The timestamp authority's metrics: a port that cannot be chosen.
_FIXED_PORT = 2112
_PORTS = (
    *("issuer", "workflows", "trillian", "ct", "tsa", "rekor", "rekor-grpc", "rekor-metrics"),
    *("rekor1", "fulcio", "fulcio-grpc", "fulcio-metrics"),
)
_GITHUB = {
    "github-workflow-trigger": "event_name",
    "github-workflow-sha": "sha",
    "github-workflow-name": "workflow",
    "github-workflow-repository": "repository",
    "github-workflow-ref": "ref",
    "build-signer-uri": "{{ .url }}/{{ .job_workflow_ref }}",
    "build-signer-digest": "job_workflow_sha",
    "runner-environment": "runner_environment",
    "source-repository-uri": "{{ .url }}/{{ .repository }}",
    "source-repository-digest": "sha",
    "source-repository-ref": "ref",
    "source-repository-identifier": "repository_id",
    "source-repository-owner-uri": "{{ .url }}/{{ .repository_owner }}",
    "source-repository-owner-identifier": "repository_owner_id",
    "build-config-uri": "{{ .url }}/{{ .workflow_ref }}",
    "build-config-digest": "workflow_sha",
    "build-trigger": "event_name",
    "run-invocation-uri": "{{ .url }}/{{ .repository }}"
    "/actions/runs/{{ .run_id }}/attempts/{{ .run_attempt }}",
    "source-repository-visibility-at-signing": "repository_visibility",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is known of a stack that runs: kept in its folder."""

    addresses: Addresses
    processes: tuple[Process, ...]
    owner: str  # "tests" may be stopped by tests
    ready: bool  # False until the start is done: what was killed half-way can still be stopped

    def is_running(self) -> bool:
        """Return whether every part of it still runs."""
        return self.ready and all(process.is_running() for process in self.processes)

    def save(self, folder: Path) -> None:
        """Keep it in the folder, whole or not at all."""
        part = folder / f"{STATE}.part"
        part.write_text(json.dumps(asdict(self), indent=1) + "\n")
        part.replace(folder / STATE)


def load(folder: Path) -> State | None:
    """Return the state of the stack in a folder, or None where there is none.

    Raises:
        StackError: The file is damaged.
    """
    try:
        document = json.loads((folder / STATE).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StackError(f"cannot read {folder / STATE}: {error}; delete {folder}") from error
    return State(
        addresses=Addresses(**document["addresses"]),
        processes=tuple(Process(**one) for one in document["processes"]),
        owner=document["owner"],
        ready=document["ready"],
    )


def up(folder: Path, cache: Path, say: Callable[[str], None], *, rekor1: bool, owner: str) -> State:
    """Start a stack in a folder, or return the one that runs there.

    Raises:
        StackError: It does not start; then nothing of it is left running.
    """
    with lock(cache, say):
        state = load(folder)
        if state is not None and state.is_running():
            return _wanted(state, rekor1)
        _clear(folder, state)
        _refuse_second()
        build(cache, say)
        return _Start(folder, cache, rekor1=rekor1, owner=owner).run()


def down(folder: Path, cache: Path, say: Callable[[str], None]) -> bool:
    """Stop the stack in a folder and remove the folder; return whether there was one.

    Raises:
        StackError: A process of it cannot be stopped.
    """
    with lock(cache, say):
        state = load(folder)
        _clear(folder, state)
        return state is not None


@contextmanager
def lock(cache: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Let one command a cache build, start or stop at a time."""
    cache.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + _LOCK_SECONDS
    with (cache / ".lock").open("w") as file:
        waiting = False
        while not _locked(file.fileno()):
            if time.monotonic() > end:
                raise StackError("another scripts/sigstore does not come to an end; stop it first")
            if not waiting:
                say("waiting for another scripts/sigstore")
            waiting = True
            time.sleep(0.2)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wanted(state: State, rekor1: bool, /) -> State:  # noqa: FBT001 - what was asked for
    if rekor1 and state.addresses.rekor1 is None:
        raise StackError(
            "a stack without Rekor v1 is up; `scripts/sigstore down`, then `up --rekor1`"
        )
    return state


def _clear(folder: Path, state: State | None) -> None:
    if state is not None:
        stop(state.processes)
    elif folder.exists() and any(folder.iterdir()):
        raise StackError(f"{folder} is not empty and holds no stack; name another by --dir")
    shutil.rmtree(folder, ignore_errors=True)


def _refuse_second() -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", _FIXED_PORT))  # noqa: S104 - never listened on
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise StackError(f"port {_FIXED_PORT}: {error}") from error
            raise StackError(
                f"port {_FIXED_PORT} is taken, which a timestamp authority needs for its metrics:"
                " probably another stack runs on this machine (`scripts/sigstore status`);"
                " stop it with `scripts/sigstore down [--dir FOLDER]`"
            ) from error


class _Start:
    """One start: the ports that were chosen, and the processes so far."""

    def __init__(self, folder: Path, cache: Path, *, rekor1: bool, owner: str) -> None:
        self._folder, self._cache = folder, cache
        self._owner = owner
        self._processes: list[Process] = []
        self._ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self._at = Addresses(
            issuer=self._url("issuer"),
            ci_issuer=self._url("workflows"),
            ctlog=self._url("ct"),
            fulcio=self._url("fulcio"),
            tsa=self._url("tsa"),
            rekor=self._url("rekor"),
            rekor1=self._url("rekor1") if rekor1 else None,
        )

    def run(self) -> State:
        self._folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        try:
            self._save(ready=False)
            make_keys(self._folder)
            self._start_all()
            self._fetch_timestamp_chain()
            write_trust(self._folder, self._at)
            return self._save(ready=True)
        except BaseException:
            stop(self._processes)
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _save(self, *, ready: bool) -> State:
        state = State(
            addresses=self._at, processes=tuple(self._processes), owner=self._owner, ready=ready
        )
        state.save(self._folder)
        return state

    def _start_all(self) -> None:
        # Those that wait for nobody first; each is waited for where another one needs it.
        at = self._at
        issuer = self._start_issuer()
        trillian = self._start_trillian()
        tsa = self._start_tsa()
        rekor = self._start_rekor()
        self._ready(trillian, (self._folder / "tree").exists)
        rekor1 = self._start_rekor1() if at.rekor1 else None
        ct = self._start_ct()
        self._ready(
            issuer, lambda: answers(f"{at.issuer}/keys") and answers(f"{at.ci_issuer}/keys")
        )
        self._ready(ct, lambda: answers(f"{at.ctlog}/ct/ct/v1/get-sth"))
        fulcio = self._start_fulcio()
        self._ready(tsa, lambda: answers(f"{at.tsa}/ping"))
        self._ready(rekor, lambda: answers(f"{at.rekor}/healthz"))
        self._ready(fulcio, lambda: answers(f"{at.fulcio}/healthz"))
        if rekor1 is not None:
            self._ready(rekor1, self._fetch_rekor1_key)

    def _start_issuer(self) -> Process:
        script = str(Path(__file__).resolve().with_name("issuer.py"))
        argv = [
            sys.executable,
            "-P",
            script,
            str(self._ports["issuer"]),
            str(self._ports["workflows"]),
        ]
        return self._keep(start("issuer", argv, self._folder))

    def _start_trillian(self) -> Process:
        return self._run(
            "trillianmem", "-addr", f"127.0.0.1:{self._ports['trillian']}", "-tree", "tree"
        )

    def _start_ct(self) -> Process:
        tree = (self._folder / "tree").read_text()
        (self._folder / "ct.cfg").write_text(
            f'config {{ log_id: {tree} prefix: "ct" roots_pem_file: "fulcio.pem"'
            ' ext_key_usages: "CodeSigning" private_key: {'
            " [type.googleapis.com/keyspb.PEMKeyFile]"
            f' {{ path: "ct.key" password: "{PASSWORD}" }} }} }}\n'
        )
        return self._run(
            "ct_server",
            "--log_config=ct.cfg",
            f"--log_rpc_server=127.0.0.1:{self._ports['trillian']}",
            f"--http_endpoint=127.0.0.1:{self._ports['ct']}",
        )

    def _start_tsa(self) -> Process:
        return self._run(
            "timestamp-server",
            *("serve", "--host=127.0.0.1", f"--port={self._ports['tsa']}"),
            *("--timestamp-signer=memory", "--disable-ntp-monitoring"),
        )

    def _start_rekor(self) -> Process:
        return self._run(
            "rekor-server",
            *(
                "serve",
                f"--http-port={self._ports['rekor']}",
                f"--grpc-port={self._ports['rekor-grpc']}",
            ),
            *(f"--http-metrics-port={self._ports['rekor-metrics']}", f"--hostname={REKOR_HOST}"),
            *("--storage-dir=tiles", "--signer-filepath=rekor.key"),
            *("--checkpoint-interval=1s", "--batch-max-age=100ms"),
        )

    def _start_rekor1(self) -> Process:
        return self._run(
            "rekor-server-v1",
            *("serve", "--rekor_server.address=127.0.0.1", f"--port={self._ports['rekor1']}"),
            *(f"--rekor_server.hostname={REKOR1_HOST}", "--rekor_server.signer=rekor1.key"),
            *(
                f"--trillian_log_server.port={self._ports['trillian']}",
                "--enable_retrieve_api=false",
            ),
            "--enabled_api_endpoints=createLogEntry,getLogEntryByIndex,getLogEntryByUUID,"
            "getLogInfo,getLogProof,getPublicKey,searchLogQuery",
        )

    def _start_fulcio(self) -> Process:
        text = json.dumps(self._fulcio_config(), indent=1)
        # Fulcio tries JSON first, under other names: a comment keeps it to YAML, which JSON is.
        (self._folder / "fulcio.yaml").write_text(f"# YAML\n{text}\n")
        return self._run(
            "fulcio",
            *("serve", "--host=127.0.0.1", f"--port={self._ports['fulcio']}"),
            *("--grpc-host=127.0.0.1", f"--grpc-port={self._ports['fulcio-grpc']}"),
            *(f"--metrics-port={self._ports['fulcio-metrics']}",),
            # An abstract socket, of which a machine has one unless it is named.
            f"--legacy-unix-domain-socket=@imagekit-fulcio-{self._ports['fulcio']}",
            *("--ca=fileca", "--fileca-cert=fulcio.pem", "--fileca-key=ca.key"),
            *(f"--fileca-key-passwd={PASSWORD}", "--fileca-watch=false"),
            f"--ct-log-url={self._at.ctlog}/ct",
            *("--ct-log-public-key-path=ct.pub", "--config-path=fulcio.yaml"),
        )

    def _fulcio_config(self) -> dict[str, object]:
        people, workflows = self._at.issuer, self._at.ci_issuer
        client = {"client-id": "sigstore"}
        ci = {"type": "ci-provider", "ci-provider": "github-workflow"}
        return {
            "oidc-issuers": {
                people: {"issuer-url": people, **client, "type": "email"},
                workflows: {"issuer-url": workflows, **client, **ci},
            },
            "ci-issuer-metadata": {
                "github-workflow": {
                    "default-template-values": {"url": "https://github.com"},
                    "extension-templates": _GITHUB,
                    "subject-alternative-name-template": "{{ .url }}/{{ .job_workflow_ref }}",
                }
            },
        }

    def _fetch_timestamp_chain(self) -> None:
        """Fetch the chain that the timestamp authority made at its start."""
        (self._folder / "tsa.pem").write_bytes(fetch(f"{self._at.timestamps}/certchain"))

    def _fetch_rekor1_key(self) -> bool:
        """Return whether Rekor v1 answers with the key that we gave it."""
        return answers(f"{self._at.rekor1}/api/v1/log/publicKey")

    def _run(self, name: str, *words: str) -> Process:
        argv = [str(program_path(name, self._cache)), *words]
        return self._keep(start(name, argv, self._folder))

    def _keep(self, process: Process) -> Process:
        self._processes.append(process)
        self._save(ready=False)
        return process

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"

    def _ready(self, process: Process, ready: Callable[[], bool]) -> None:
        wait_for(process, ready, self._folder)
