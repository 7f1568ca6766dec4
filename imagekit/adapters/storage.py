"""imagekit's own folders and container storage, for root and for users."""

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imagekit.errors import ToolError
from imagekit.model.oci import Platform
from imagekit.model.plan import Store

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x"}
_NATIVE_OVERLAY_KERNEL = (5, 13)


@dataclass(frozen=True, slots=True)
class Folders:
    """Where imagekit keeps what (XDG Base Directory Specification)."""

    data: Path
    cache: Path
    state: Path

    @classmethod
    def of(cls, env: Mapping[str, str]) -> "Folders":
        """Return the folders for an environment; they are made when something needs them."""
        home = Path(env.get("HOME") or Path.home())

        def folder(variable: str, default: str) -> Path:
            given = env.get(variable, "")
            # The specification: a relative path is invalid and ignored.
            base = Path(given) if given.startswith("/") else home / default
            return base / "imagekit"

        return cls(
            folder("XDG_DATA_HOME", ".local/share"),
            folder("XDG_CACHE_HOME", ".cache"),
            folder("XDG_STATE_HOME", ".local/state"),
        )

    @property
    def images(self) -> Path:
        """The local image store, an OCI layout."""
        return self.data / "images"


def host_platform() -> Platform:
    """Return the platform of this machine, in OCI's words."""
    machine = platform.machine()
    return Platform(os="linux", architecture=_ARCHITECTURES.get(machine, machine))


def container_store(folders: Folders, env: Mapping[str, str]) -> Store:
    """Return imagekit's own storage for working containers; no user's settings touch it.

    Args:
        folders: where imagekit keeps what.
        env: for XDG_RUNTIME_DIR.

    Raises:
        ToolError: the folder for what is mounted belongs to somebody else.
    """
    graph = folders.data / "containers"
    # It counts what is mounted, for one storage: two that shared it would unmount each other's.
    run = _runtime_folder(env) / hashlib.sha256(os.fsencode(graph)).hexdigest()[:12]
    return Store(
        graph=graph, run=run, driver=_driver(), isolation="chroot", runtime=runtime_for(Path("/"))
    )


def storage_conf(store: Store, folder: Path) -> Path:
    """Write the storage.conf that Buildah and Podman are pointed to, and return it.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in (store.graph, store.run):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "storage.conf"
    text = (
        f'[storage]\ndriver = "{store.driver}"\n'
        f'graphroot = "{store.graph}"\nrunroot = "{store.run}"\n'
        f'rootless_storage_path = "{store.graph}"\n'
    )
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def runtime_for(root: Path) -> str:
    """Return the OCI runtime for this host: crun refuses the hybrid cgroups of old set-ups."""
    cgroups = root / "sys/fs/cgroup"
    unified = (cgroups / "cgroup.controllers").exists()
    return "crun" if unified else "runc"


def _driver() -> str:
    """Overlay, also for users where the kernel can; vfs copies every layer whole."""
    if os.geteuid() == 0:
        return "overlay"
    release = tuple(int(part) for part in platform.release().split(".")[:2] if part.isdigit())
    return "overlay" if release >= _NATIVE_OVERLAY_KERNEL else "vfs"


def _runtime_folder(env: Mapping[str, str]) -> Path:
    uid = os.geteuid()
    if uid == 0:
        return Path("/run/imagekit")
    given = env.get("XDG_RUNTIME_DIR", "")
    if given.startswith("/") and os.access(given, os.W_OK):
        return Path(given) / "imagekit"
    path = Path(f"/tmp/imagekit-run-{uid}")  # noqa: S108 - its owner is checked below
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if status.st_uid != uid or path.is_symlink():
        raise ToolError(f"{path} belongs to somebody else", hint="set XDG_RUNTIME_DIR")
    return path
