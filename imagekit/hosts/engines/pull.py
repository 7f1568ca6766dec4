"""Other people's engines, asked to pull one image into a place of its own, to see who refuses."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imagekit.errors import ToolError
from imagekit.hosts.engines.types import Engine
from imagekit.paths import temporary_place
from imagekit.process import Runner

_PULL_SECONDS = 600.0
_SHOWN = 400
_PRESENT = {
    Engine.CONTAINERS: ("podman", "buildah", "skopeo", "apptainer"),
    Engine.CONTAINERD: ("containerd",),
    Engine.DOCKER: ("dockerd",),
}
_SOCKETS = {"docker": "/var/run/docker.sock", "ctr": "/run/containerd/containerd.sock"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """What came of one pull by one engine."""

    engine: str
    pulled: bool
    said: str
    """Its last line, where it refused."""


def present() -> frozenset[Engine]:
    """Return the engines that are installed on this host."""
    return frozenset(
        engine for engine, names in _PRESENT.items() if any(shutil.which(name) for name in names)
    )


def pullers() -> tuple[str, ...]:
    """Return the programs that can pull here now, daemons included that answer."""
    names = [name for name in ("podman", "buildah", "skopeo") if shutil.which(name)]
    names += [name for name, path in _SOCKETS.items() if shutil.which(name) and Path(path).exists()]
    return tuple(names)


def pull(engine: str, reference: str) -> Pull:
    """Let an engine pull as its configuration says, and clean up after it.

    Args:
        engine: one of ``pullers()``.
        reference: ``HOST/NAME:TAG``.
    """
    with _scratch() as folder:
        argv, undo = _COMMANDS[engine](reference, folder)
        runner = Runner()
        try:
            runner.run(argv, limit=_PULL_SECONDS)
        except ToolError as error:
            lines = (error.output or error.message).strip().splitlines() or [""]
            return Pull(engine=engine, pulled=False, said=lines[-1][-_SHOWN:])
        finally:
            if undo:
                runner.run(undo, check=False)
    return Pull(engine=engine, pulled=True, said="")


def _podman(reference: str, folder: Path) -> tuple[Sequence[str], Sequence[str]]:
    return ("podman", *_storage(folder), "pull", "--quiet", reference), ()


def _buildah(reference: str, folder: Path) -> tuple[Sequence[str], Sequence[str]]:
    return ("buildah", *_storage(folder), "pull", "--quiet", reference), ()


def _skopeo(reference: str, folder: Path) -> tuple[Sequence[str], Sequence[str]]:
    return ("skopeo", "copy", "--quiet", f"docker://{reference}", f"dir:{folder}/image"), ()


def _docker(reference: str, folder: Path) -> tuple[Sequence[str], Sequence[str]]:
    del folder
    return ("docker", "pull", "--quiet", reference), ("docker", "rmi", "--force", reference)


def _ctr(reference: str, folder: Path) -> tuple[Sequence[str], Sequence[str]]:
    del folder
    namespace = ("ctr", "--namespace", "imagekit-trust-test")
    pulling = (*namespace, "images", "pull", "--hosts-dir", "/etc/containerd/certs.d", reference)
    return pulling, (*namespace, "images", "rm", reference)


_COMMANDS: dict[str, Callable[[str, Path], tuple[Sequence[str], Sequence[str]]]] = {
    "podman": _podman,
    "buildah": _buildah,
    "skopeo": _skopeo,
    "docker": _docker,
    "ctr": _ctr,
}


def _storage(folder: Path) -> tuple[str, ...]:
    """A storage of its own: what is pulled for a test is nobody's image."""
    return (
        *("--root", str(folder / "root"), "--runroot", str(folder / "run")),
        *("--storage-driver", "vfs"),
    )


@contextmanager
def _scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="imagekit-trust-", dir=temporary_place()))
    try:
        yield folder
    finally:
        if os.geteuid() == 0 or not shutil.which("podman"):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            # Files of other ids of the user's are in it.
            Runner().run(("podman", "unshare", "rm", "-rf", str(folder)), check=False)
