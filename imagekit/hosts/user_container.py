"""A container of one user, without an engine, subordinate ids or a storage: namespaces, and crun.

What must hold:

1. What is mounted is the file that was checked: it is opened once, compared with what was checked,
   and mounted by the open handle.
2. The process has the ids of the user who asked, inside and outside; no other id is mapped. So
   MPI's ranks and files on a network file system see one and the same user.
3. The root is read-only; no set-user-ID bit and no device of the image counts. Nothing of the host
   is seen but the network, /sys and what was named.
4. Nothing stays: mounts and processes end with the namespaces, and those with this process.
"""

import fcntl
import os
import pwd
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from imagekit.errors import InputError, IntegrityError, ToolNotFoundError
from imagekit.files import storage_errors
from imagekit.hosts.end_container import EndContainer
from imagekit.hosts.kernel_mounts import mounted_at
from imagekit.hosts.mpi import Ranks
from imagekit.offline.stagedigest import FileIdentity, open_file
from imagekit.paths import temporary_place
from imagekit.process import Ask, as_third, which

NETWORKS = ("host", "none")
_FUSE = Path("/dev/fuse")
_FIRST_FREE = 10
_PACKAGES = {
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "crun": "crun",
    "squashfuse": "squashfuse",
}

# A user owns no mounts but those of a namespace that the user made. Where the outermost process is
# ended, so are all others, squashfuse included (--kill-child); it ends with this one.
_APART = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--user", "--map-root-user", "--mount", "--cgroup", "--fork", "--kill-child"),
)
_OWN_PROCESSES = ("--pid", "--mount-proc")
# "$1" is the folder of this run, "$3" what is mounted and "$2" how, "$4" how many descriptors the
# container gets besides; the rest writes config.json.
# crun 1.8 refuses the hybrid cgroups of older systems, of which it is to use none.
# All is unmounted in the end, since squashfuse goes on where the container shares the host's
# process numbers. crun is not the first process of the namespace, whose children it would wait
# for: squashfuse is one.
# An upper layer in memory takes the mount points that an image lacks; kernels before 5.11 do not
# let users have one.
_START = """
set -eu
folder=$1 from=$2 what=$3 kept=$4
shift 4
mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null || :
case $from in
  file) squashfuse -o ro,nosuid,nodev "$what" "$folder/image" 3>&- ;;
  folder) mount --rbind "$what" "$folder/image" ;;
esac
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs "$folder/upper"
mkdir "$folder/upper/files" "$folder/upper/work"
upper=upperdir=$folder/upper/files,workdir=$folder/upper/work
mount -t overlay -o "userxattr,nosuid,nodev,lowerdir=$folder/image,$upper" overlay "$folder/root" ||
  mount --rbind "$folder/image" "$folder/root"
"$@"
code=0
crun --cgroup-manager=disabled --root "$folder/state" \
  run --preserve-fds "$kept" --bundle "$folder" image || code=$?
umount -l "$folder/root" "$folder/image" || :
exit "$code"
"""


class Foreground(Protocol):
    """Runs a program with this process's own streams, as ``imagekit.process.Runner`` does."""

    def foreground(self, argv: Sequence[str], *, ask: Ask) -> int:
        """Run it, and return its exit code; ``ask`` hands requests to end over to it."""
        ...


class Tree(Struct, frozen=True, kw_only=True):
    """The root file system of a container: a squashfs file, or the folder of a bundle."""

    path: Path
    identity: FileIdentity | None = None
    """Of the file that was checked; None for a bundle."""


class Volume(Struct, frozen=True, kw_only=True):
    """A folder or file of the host that the container sees."""

    source: str
    target: str
    read_only: bool = False


class Container(Struct, frozen=True, kw_only=True):
    """What a user's container is started with."""

    network: str = "host"
    terminal: bool = False
    volumes: tuple[Volume, ...] = ()
    env: tuple[str, ...] = ()
    """``NAME=VALUE``; the last of a name counts."""
    workdir: str = ""
    """Empty for the image's own."""
    entrypoint: str | None = None
    """What takes the place of the image's entrypoint and command; empty for none."""
    host_processes: bool = False
    """Whether it shares the host's process numbers."""
    descriptor: int | None = None
    """An open descriptor of this process, which is the container's descriptor 3."""


class Shown(Struct, frozen=True, kw_only=True):
    """Shows the command of a container, in the place of running it."""

    show: Callable[[Sequence[str]], None]

    def foreground(self, argv: Sequence[str], *, ask: Ask) -> int:
        """Show it."""
        del ask
        self.show(argv)
        return 0


class ConfigRequest(Struct, frozen=True, kw_only=True):
    """What config.json is made of, within the namespaces."""

    folder: str
    """That of this run: ``image``, ``upper`` and ``root`` are in it."""
    bundle: str
    """The bundle that is run; empty for squashfs."""
    name: str
    uid: int
    gid: int
    container: Container
    arguments: tuple[str, ...] = ()
    ranks: Ranks | None = None
    """What the image's MPI has to meet, where this may be one task of several."""


def run_as_user(
    tree: Tree,
    arguments: Sequence[str],
    *,
    container: Container,
    programs: Foreground,
    ranks: Ranks | None = None,
) -> int:
    """Run a checked image in the foreground and return the container's exit code.

    Args:
        tree: its files.
        arguments: what goes to the entrypoint; to a bundle, the whole command.
        container: what it is started with.
        programs: runs programs.
        ranks: what the image's MPI has to meet, where this may be one task of several.

    Raises:
        InputError: it cannot be had without an engine, or /dev/fuse cannot be used.
        IntegrityError: it is another file than the one that was checked.
        ToolNotFoundError: a program is missing.
    """
    if container.network not in NETWORKS:
        raise InputError(
            f"--network {container.network[:40]!a} needs an engine, and this image starts without",
            hint="--network host or none; for others stage podman-store: or oci:",
        )
    with _source(tree) as (kind, what), _run_folder() as folder:
        _programs("setpriv", "unshare", "crun", *(["squashfuse"] if kind == "file" else []))
        asked = _asked(tree, folder, container=container, arguments=arguments)
        asked = replace(asked, ranks=ranks)
        kept = "0" if container.descriptor is None else "1"
        config = (sys.executable, "-m", "imagekit.hosts.user_config", encoded(asked))
        apart = _APART if container.host_processes else (*_APART, *_OWN_PROCESSES)
        argv = (*apart, "sh", "-c", _START, "imagekit", folder, kind, what, kept, *config)
        end = EndContainer()
        try:
            return programs.foreground(as_third(argv, container.descriptor), ask=end)
        finally:
            end.over()


def encoded(asked: ConfigRequest) -> str:
    """Return it as one word for the program that writes config.json."""
    return msgspec.json.encode(asked).decode()


@contextmanager
def _run_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="ik-run-", dir=temporary_place()) as folder:
        for name in ("image", "upper", "root"):
            (Path(folder) / name).mkdir()
        yield folder


def _asked(
    tree: Tree, folder: str, *, container: Container, arguments: Sequence[str]
) -> ConfigRequest:
    name = f"user{os.getuid()}"
    with suppress(KeyError):
        name = pwd.getpwuid(os.getuid()).pw_name
    return ConfigRequest(
        folder=folder,
        bundle=str(tree.path.absolute()) if tree.identity is None else "",
        name=name,
        uid=os.getuid(),
        gid=os.getgid(),
        container=container,
        arguments=tuple(arguments),
    )


@contextmanager
def _source(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield what is mounted how: a file by its handle, or a folder."""
    if tree.identity is None:
        yield "folder", str(tree.path.absolute() / "rootfs")
        return
    with storage_errors(f"the staged file {tree.path}"):
        opened = open_file(tree.path)
        # Apart from the descriptor that the container may get as its third.
        handle = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
        os.close(opened)
    try:
        if FileIdentity.of(handle) != tree.identity:
            raise IntegrityError(
                f"{tree.path} was exchanged after it was checked",
                hint="stage into a folder that only root or you may write to",
                code="CONTENT_DIGEST_MISMATCH",
            )
        mounted = mounted_at(tree.identity)
        if mounted is not None:
            yield "folder", str(mounted)
            return
        if not os.access(_FUSE, os.R_OK | os.W_OK):
            raise InputError(
                f"users may not open {_FUSE}, and nobody has mounted {tree.path} for them",
                hint=f"as root: chmod 0666 {_FUSE}, as udev does where fuse3 is installed; or in a "
                f"prolog: mount -t squashfs -o loop,ro,nosuid,nodev {tree.path} FOLDER",
            )
        os.set_inheritable(handle, True)
        # The namespaces have a /proc of their own, in which each program is found by itself.
        yield "file", f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def _programs(*names: str) -> None:
    for name in names:
        if which(name) is None:
            raise ToolNotFoundError(
                f"{name} is not installed, and starts what is staged for users",
                hint=f"on Debian: apt-get install {_PACKAGES[name]}",
            )
