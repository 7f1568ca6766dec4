"""imagekit's own folders and container storage, for root and for users.

Tools get paths of plain characters, whatever HOME is: see ``imagekit.paths``.
"""

import hashlib
import json
import os
import platform
import secrets
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from imagekit.build.job import ContainerStore, Folder, IsolationWish
from imagekit.build.tools import sandbox
from imagekit.errors import ToolError
from imagekit.oci.layout import write_whole
from imagekit.owners import is_own
from imagekit.paths import SHARED, is_name, is_plain, xdg_folder

# The capabilities of a step: those over files, users and processes of the image.
_CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
)
# Instead of a host's or a user's containers.conf(5), which can mount and allow anything.
_CONTAINERS_CONF = f"[containers]\ndefault_capabilities = {json.dumps(_CAPABILITIES)}\n"
# containers-policy.json(5): images of local OCI layouts, and of nothing else.
_POLICY = (
    '{"default":[{"type":"reject"}],"transports":{"oci":{"":[{"type":"insecureAcceptAnything"}]}}}'
)
_NATIVE_OVERLAY_KERNEL = (5, 13)


class Folders(Struct, frozen=True):
    """Where imagekit keeps what (XDG Base Directory Specification)."""

    data: Path
    cache: Path
    state: Path

    @classmethod
    def of(cls, env: Mapping[str, str]) -> "Folders":
        """Return the folders for an environment; they are made when something needs them.

        Raises:
            ToolError: the user's home is not known, and a folder depends on it.
        """
        return cls(
            xdg_folder("XDG_DATA_HOME", ".local/share", env),
            xdg_folder("XDG_CACHE_HOME", ".cache", env),
            xdg_folder("XDG_STATE_HOME", ".local/state", env),
        )

    @property
    def images(self) -> Path:
        """The local image store, an OCI layout."""
        return self.data / "images"

    @property
    def locks(self) -> Path:
        """Where the locks of jobs lie: beside what they are for, wherever it is shared."""
        return self.data / "locks"

    @property
    def isolation(self) -> Path:
        """The file that records how steps can be contained on this host."""
        return self.data / "isolation.json"


def container_store(
    folders: Folders, env: Mapping[str, str], *, isolation: IsolationWish = "auto"
) -> ContainerStore:
    """Return imagekit's own storage for working containers; no user's settings touch it.

    Args:
        folders: where imagekit keeps what.
        env: for XDG_RUNTIME_DIR.
        isolation: how steps are to be contained.

    Raises:
        ToolError: the folder for what is mounted belongs to another user.
    """
    graph = folders.data / "containers"
    # It counts the mounts of one storage: two that shared it would unmount each other's.
    run = _runtime_folder(env) / hashlib.sha256(os.fsencode(graph)).hexdigest()[:12]
    return ContainerStore(
        folder=_folder(graph, run, "graph"),
        run=run,
        driver=_driver(),
        runtime=runtime_for(Path("/")),
        isolation=isolation,
    )


def job_folder(folders: Folders, store: ContainerStore) -> Folder:
    """Return a folder for a new job; it is not made."""
    real = folders.data / "work" / f"job-{secrets.token_hex(8)}"
    return _folder(real, store.run, real.name)


def settle(*folders: Folder) -> None:
    """Mount folders at the paths that tools get, for this process and its children.

    It is for processes with one thread: root's, and those inside ``buildah unshare``.

    Raises:
        ToolError: they cannot be made, or the kernel refuses it.
    """
    try:
        for folder in folders:
            folder.real.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        other = [folder for folder in folders if folder.path != folder.real]
        if other:
            sandbox.own_mounts()
        for folder in other:
            sandbox.bind(str(folder.real), str(folder.path))
    except OSError as error:
        raise ToolError(
            f"the folders of a build cannot be made: {error}",
            hint="is there room, and do they belong to you?",
        ) from error


class ToolFiles(Struct, frozen=True, kw_only=True):
    """The configuration of Buildah and Podman, instead of a host's or a user's files."""

    storage: Path
    containers: Path
    policy: Path
    """Accepts local layouts only: nothing is pulled by a tool itself."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point to them."""
        return {
            "CONTAINERS_CONF": str(self.containers),
            "CONTAINERS_STORAGE_CONF": str(self.storage),
        }


def tool_files(store: ContainerStore) -> ToolFiles:
    """Write the configuration of tools, where steps of every isolation have it too.

    Raises:
        OSError: it cannot be written.
    """
    for path in (store.folder.real, store.run):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    storage = (
        f'[storage]\ndriver = "{store.driver}"\n'
        f'graphroot = "{store.graph}"\nrunroot = "{store.run}"\n'
        f'rootless_storage_path = "{store.graph}"\n'
        # Else a device node of a base is a device: a chroot has no list of allowed devices.
        '[storage.options.overlay]\nmountopt = "nodev"\n'
    )
    files = ToolFiles(
        storage=store.run / "storage.conf",
        containers=store.run / "containers.conf",
        policy=store.run / "policy.json",
    )
    for path, text in (
        (files.storage, storage),
        (files.containers, _CONTAINERS_CONF),
        (files.policy, _POLICY),
    ):
        if not path.exists() or path.read_text() != text:
            write_whole(path, text.encode())
    return files


def runtime_for(root: Path) -> str:
    """Return the OCI runtime for this host: crun refuses the hybrid cgroups of older systems."""
    cgroups = root / "sys/fs/cgroup"
    unified = (cgroups / "cgroup.controllers").exists()
    return "crun" if unified else "runc"


def _driver() -> str:
    """Return overlay, for users where the kernel has it for them; vfs copies every layer whole."""
    if os.geteuid() == 0:
        return "overlay"
    release = tuple(int(part) for part in platform.release().split(".")[:2] if part.isdigit())
    return "overlay" if release >= _NATIVE_OVERLAY_KERNEL else "vfs"


def _folder(real: Path, run: Path, name: str) -> Folder:
    return Folder(path=real if is_plain(real) else run / name, real=real)


def _runtime_folder(env: Mapping[str, str]) -> Path:
    uid = os.geteuid()
    if uid == 0:
        return Path("/run/imagekit")
    given = env.get("XDG_RUNTIME_DIR", "")
    # Layouts lie below, and Buildah makes an image's name of the path of one.
    if is_name(Path(given)) and os.access(given, os.W_OK):
        return Path(given) / "imagekit"
    path = SHARED / f"imagekit-run-{uid}"
    _own_folder(path)
    return path


def _own_folder(path: Path) -> None:
    """Make a folder where every user may, and refuse one that is not ours."""
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not is_own(status) or path.is_symlink() or status.st_mode & 0o022:
        raise ToolError(
            f"{path} belongs to another user, or others may write to it",
            hint="set XDG_RUNTIME_DIR",
        )
