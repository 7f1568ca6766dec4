"""How build steps are contained on this host: found by starting a container, never by guessing.

A runtime may be installed and refuse this host's cgroups, its kernel or its user. So the first
step of a boot starts an empty container by each way, the best first, and the one that worked is
recorded. That nothing but ``chroot`` works is never recorded: the next build tries again.
"""

import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from imagekit import rooted
from imagekit.build.job import ContainerStore, Folder, Isolation, IsolationWish
from imagekit.build.tools import sandbox
from imagekit.documents import strictjson
from imagekit.documents.record import from_document, to_document
from imagekit.errors import BuildError, DocumentError, ToolError
from imagekit.oci.layout import write_whole
from imagekit.owners import is_own
from imagekit.process import which

_RUNTIMES = ("crun", "runc")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MAX_RECORD = 1 << 16
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
_ENVIRONMENT = ("PATH", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF")
_OF_BUILDAH = "_CONTAINERS_"
"""How the variables begin that ``buildah unshare`` sets."""
_TRUE = "/usr/bin/true"
_NO_CHROOT = "install runc or crun and leave --isolation chroot out, or take a base without it"
_MOUNTED = (
    "dev",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "proc",
    "run/.containerenv",
    "run/secrets",
    "sys",
)
"""Where ``buildah run`` mounts something in every container."""
CHROOT, READABLE = "/image", "/given"
MOUNT = (
    f"kill -USR1 1; for i in $(seq 300); do [ -e {CHROOT}/proc/self ] && exit; sleep 0.1; done; "
    "exit 1"
)
"""What a shell in the sandbox of a chroot runs to have its mounts made: see ``sandbox``."""


class Sandbox(Struct, frozen=True, kw_only=True):
    """What a tool that runs untrusted code sees of this host: see ``build.tools.sandbox``."""

    store: ContainerStore
    folder: Folder
    """The job's."""
    readable: tuple[Path, ...] = ()

    def wrap(
        self,
        argv: Sequence[str],
        *,
        network: bool = True,
        sys_folder: bool = True,
        programs: Sequence[str] = (),
        keep_layers: bool = False,
        join: int = 0,
        session: bool = False,
    ) -> tuple[str, ...]:
        """Return the command that runs another one in the sandbox.

        Args:
            argv: the command.
            network: whether it has the host's network, else none at all.
            sys_folder: whether it sees the host's /sys, as OCI runtimes must.
            programs: what the command starts itself.
            keep_layers: whether the layers that the storage has now are read-only.
            join: the process whose user and mount namespaces it enters before; 0 for none. The
                command then ends with the process that starts it.
            session: whether it gets a session of its own, and so no terminal.
        """
        run = Folder(path=self.store.run, real=self.store.run)
        folders = (self.store.folder, run, self.folder)
        places = [(str(folder.real), str(folder.path), True) for folder in folders]
        places += [(str(path), str(path), False) for path in self.readable]
        elsewhere = {path for program in (argv[0], *programs) for path in _elsewhere(program)}
        places += [(str(path), str(path), False) for path in sorted(elsewhere)]
        layers = (self.store.graph / "overlay", self.store.graph / "vfs/dir")
        spec = {
            "places": places,
            # Not a place for each layer: arguments and open files are bounded, and layers many.
            "kept": [str(path) for path in layers if keep_layers and path.is_dir()],
            # Podmans that share this folder believe each other's containers to have ended.
            "empty": [str(folder / "libpod") for folder in (self.store.graph, self.store.run)],
            "network": network,
            "sys": sys_folder,
            "chroot": "",
            "join": join,
            "session": session,
        }
        return _in_sandbox(spec, argv)

    def environment(self, env: Mapping[str, str], *, network: bool = True) -> dict[str, str]:
        """Return the whole environment of a command in the sandbox: nothing that may be a secret.

        Args:
            env: of this process.
            network: whether it gets the host's proxies.
        """
        kept = {name: env[name] for name in _ENVIRONMENT if name in env}
        kept |= {name: value for name, value in env.items() if name.startswith(_OF_BUILDAH)}
        if network:
            kept |= {name: value for name, value in env.items() if name.lower() in _PROXIES}
        return kept | {
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(self.folder.path),
            # Where the storage of a user counts what is mounted, in the sandbox and outside of it.
            "XDG_RUNTIME_DIR": str(self.store.run),
        }


def wrap_chroot(
    argv: Sequence[str], *, root: Path, readable: Path, network: bool
) -> tuple[str, ...]:
    """Return the command that runs in a sandbox another one, which runs untrusted code in a chroot.

    It has few capabilities, and sees nothing of imagekit's storage besides the root. Where the
    folders ``proc`` and ``dev`` of that are there, ``MOUNT`` mounts them.

    Args:
        argv: the command.
        root: the root of the chroot, which is ``CHROOT`` for the command.
        readable: a folder that it reads, which is ``READABLE`` for the command.
        network: whether it has the host's network, else none at all.
    """
    places = [(str(root), CHROOT, True), (str(readable), READABLE, False)]
    places += [(str(path), str(path), False) for path in _elsewhere(argv[0])]
    nothing: dict[str, object] = {"kept": [], "empty": [], "join": 0, "session": False}
    spec = {"places": places, "network": network, "sys": False, "chroot": CHROOT, **nothing}
    return _in_sandbox(spec, argv)


class IsolationRecord(Struct, frozen=True):
    """Which way worked here last: a file of this user's own, valid until something changes."""

    file: Path

    def find(self) -> Isolation | None:
        """Return what worked, or None where nothing is known of this boot and these programs."""
        with suppress(OSError, DocumentError, LookupError, TypeError):
            document = strictjson.loads_object(self._read(), what=str(self.file))
            known = from_document(Isolation, document["isolation"])
            if document["facts"] == _facts(known):
                return known
        return None

    def keep(self, isolation: Isolation) -> None:
        """Record what worked.

        Raises:
            OSError: the file cannot be written.
        """
        document = {"facts": _facts(isolation), "isolation": to_document(isolation)}
        write_whole(self.file, json.dumps(document).encode())

    def _read(self) -> bytes:
        handle = os.open(self.file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            ours = is_own(status) and not status.st_mode & 0o022
            return file.read(_MAX_RECORD) if ours and stat.S_ISREG(status.st_mode) else b""


def ways(wish: IsolationWish, store: ContainerStore, *, superuser: bool) -> Iterator[Isolation]:
    """Yield the ways to contain steps that were asked for and may be there, the best first.

    Args:
        wish: what the user asked for.
        store: for the runtime that the host's cgroups suggest.
        superuser: whether root builds.
    """
    if wish != "chroot":
        for name in sorted(_RUNTIMES, key=lambda name: name != store.runtime):
            executable = which(name)
            if executable is not None:
                yield Isolation(how="oci" if superuser else "rootless", runtime=str(executable))
    if wish != "oci":
        yield Isolation(how="chroot")


def no_way(wish: IsolationWish, tried: Mapping[Isolation, str]) -> ToolError:
    """Return the error that says why no step can be run here.

    Args:
        wish: what the user asked for.
        tried: what was tried, and how it failed.
    """
    failures = "; ".join(f"{way}: {_last_line(output)}" for way, output in tried.items())
    hint = "install runc or crun; imagekit doctor shows what this host lacks"
    if wish == "oci":
        hint += "; --isolation auto falls back to chroot, which contains less"
    return ToolError(
        f"no step can be contained on this host: {failures or 'no OCI runtime is installed'}",
        hint=hint,
        code="build/no-isolation",
        output="\n".join(tried.values()),
    )


def check_mount_points(root: Path, targets: Iterable[str], *, isolation: Isolation) -> None:
    """Refuse a link of an image where something is mounted, if it is followed out of the image.

    Buildah's chroot follows every one. OCI runtimes resolve what they mount on in the image, but
    runc makes the links of /dev (``/dev/fd`` and others) by the plain path.

    Args:
        root: the mounted root.
        targets: where something is mounted besides what always is.
        isolation: what mounts.

    Raises:
        BuildError: there is a link.
    """
    for target in (*_MOUNTED, *targets) if isolation.how == "chroot" else ("dev",):
        if rooted.has_link(root, target):
            raise BuildError(
                f"/{target.strip('/')} is a link in the image, or behind one, and "
                f"{isolation} would mount on what it leads to on this host",
                hint="make a folder of it" if target == "dev" else _NO_CHROOT,
                code="build/mount-is-link",
            )


def probe_tree(root: Path) -> tuple[list[tuple[Path, str]], Sequence[str]]:
    """Make an empty root able to run the host's ``true``; return what is mounted, and the command.

    Args:
        root: the root of an empty container.

    Raises:
        OSError: it cannot be written.
    """
    mounts = []
    for path in sorted(Path("/").iterdir()):
        if path.name not in {"bin", "usr"} and not path.name.startswith("lib"):
            continue
        if path.is_symlink():
            (root / path.name).symlink_to(path.readlink())
        elif path.is_dir():
            mounts.append((path, str(path)))
    return mounts, (_TRUE,)


def _in_sandbox(spec: Mapping[str, object], argv: Sequence[str]) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", sandbox.__file__, json.dumps(spec), *argv)


def _elsewhere(program: str) -> tuple[Path, ...]:
    """Return the folder of a program that is in none of the system's folders."""
    executable = which(program)
    if executable is None:
        return ()
    folder = executable.resolve().parent
    return () if folder.is_relative_to("/usr") or folder == Path("/bin") else (folder,)


def _facts(isolation: Isolation) -> list[str]:
    """Return what the result of a probe depends on: this boot's kernel and the programs."""
    programs = [which("buildah"), Path(isolation.runtime) if isolation.runtime else None]
    files = [Path(sandbox.__file__), *(path for path in programs if path is not None)]
    statuses = [(str(path), path.stat()) for path in files]
    return [
        _BOOT.read_text().strip(),
        *(f"{name} {s.st_ino} {s.st_size} {s.st_mtime_ns}" for name, s in statuses),
    ]


def _last_line(output: str) -> str:
    return output.strip().rpartition("\n")[2][:200] or "no message"
