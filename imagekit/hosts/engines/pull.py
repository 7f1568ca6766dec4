"""The engines of this host, made to pull one image into a folder of its own: do they refuse it?"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from imagekit.build.tools.podman import Podman, in_namespace
from imagekit.errors import ToolError
from imagekit.hosts.engines.engine import Engine
from imagekit.paths import temporary_place
from imagekit.process import Runner

_PULL_SECONDS = 600.0
_SHOWN = 400
_PRESENT = {
    Engine.CONTAINERS: ("podman", "buildah", "skopeo", "apptainer", "crio"),
    Engine.CONTAINERD: ("containerd",),
    Engine.DOCKER: ("dockerd",),
}
_CTR_IMAGES = ("ctr", "--namespace", "imagekit-trust-test", "images")
_SOCKETS = {"docker": "/var/run/docker.sock", "ctr": "/run/containerd/containerd.sock"}


class Pull(Struct, frozen=True, kw_only=True):
    """The result of one pull by one engine."""

    engine: str
    pulled: bool
    last_line: str
    """Its last line, where it refused."""


def present() -> frozenset[Engine]:
    """Return the engines that are installed on this host."""
    return frozenset(
        engine for engine, names in _PRESENT.items() if any(shutil.which(name) for name in names)
    )


def pullers() -> tuple[str, ...]:
    """Return the programs that can pull here now, also through daemons with a socket."""
    names = [name for name in ("podman", "buildah", "skopeo") if shutil.which(name)]
    # A daemon whose socket is not this user's pulls nothing for him.
    names += [
        name
        for name, path in _SOCKETS.items()
        if shutil.which(name) and os.access(path, os.R_OK | os.W_OK)
    ]
    return tuple(names)


def pull(engine: str, reference: str) -> Pull:
    """Have an engine pull by its configuration, and remove what it pulled.

    Args:
        engine: one of ``pullers()``.
        reference: ``HOST/NAME:TAG``.
    """
    with _scratch() as folder:
        try:
            _PULLS[engine](reference, folder)
        except ToolError as error:
            lines = (error.output or error.message).strip().splitlines() or [""]
            return Pull(engine=engine, pulled=False, last_line=lines[-1][-_SHOWN:])
        finally:
            if engine in _REMOVALS:
                Runner().run((*_REMOVALS[engine], reference), check=False)
    return Pull(engine=engine, pulled=True, last_line="")


def _podman(reference: str, folder: Path) -> None:
    # What is pulled for a test must not stay as an image of this user's.
    own = Podman(programs=Runner()).in_storage(folder / "root", folder / "run", "vfs")
    own.pull_named(reference, limit=_PULL_SECONDS)


def _buildah(reference: str, folder: Path) -> None:
    storage = ("--root", f"{folder}/root", "--runroot", f"{folder}/run", "--storage-driver", "vfs")
    _run("buildah", *storage, "pull", "--quiet", reference)


def _skopeo(reference: str, folder: Path) -> None:
    _run("skopeo", "copy", "--quiet", f"docker://{reference}", f"dir:{folder}/image")


def _docker(reference: str, _folder: Path) -> None:
    _run("docker", "pull", "--quiet", reference)


def _ctr(reference: str, _folder: Path) -> None:
    _run(*_CTR_IMAGES, "pull", "--hosts-dir", "/etc/containerd/certs.d", reference)


_PULLS: dict[str, Callable[[str, Path], None]] = {
    "podman": _podman,
    "buildah": _buildah,
    "skopeo": _skopeo,
    "docker": _docker,
    "ctr": _ctr,
}
_REMOVALS = {"docker": ("docker", "rmi", "--force"), "ctr": (*_CTR_IMAGES, "rm")}
"""How an image is removed from engines that have one storage only."""


def _run(*argv: str) -> None:
    Runner().run(argv, limit=_PULL_SECONDS)


@contextmanager
def _scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="imagekit-trust-", dir=temporary_place()))
    try:
        yield folder
    finally:
        if os.geteuid() == 0 or not shutil.which("podman"):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            # It has files of the user's subordinate ids.
            Runner().run(in_namespace(("rm", "-rf", str(folder))), check=False)
