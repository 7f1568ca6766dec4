"""Reading what this host has; it is judged elsewhere."""

import mmap
import os
import platform
import resource
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from msgspec.structs import replace

from imagekit.build.emulation import REGISTERED, other_platforms
from imagekit.build.tools.podman import Podman, Programs
from imagekit.build.tools.podman_output import LocalStorage
from imagekit.build.tools.storage import Folders
from imagekit.errors import ToolError
from imagekit.hosts.host import Cgroups, Host, Purpose, ResourceLimits
from imagekit.hosts.mount_table import mount_of, on_network, read_mounts
from imagekit.inputs import read_regular
from imagekit.paths import home_of, temporary_place

_MAX_TEXT = 4 << 20
_PROGRAMS = ("buildah", "podman", "skopeo", "runc", "crun", "mmdebstrap", "mksquashfs")
_GATE = ("aiohttp", "bcrypt", "yarl")
_WITHOUT = b"Debian-local change: sigstore disabled"
_KEYRING = "usr/share/keyrings/debian-archive-keyring.gpg"


def glance(env: Mapping[str, str], root: Path = Path("/")) -> Host:
    """Return what can be seen of this host without starting a program.

    Versions, Podman's storage and ids of a directory are not known then.

    Args:
        env: for HOME and the XDG folders.
        root: where the host's files are.
    """
    superuser = os.geteuid() == 0
    runtime_dir = env.get("XDG_RUNTIME_DIR", "")
    folders = Folders.of(env)
    others = other_platforms(root / str(REGISTERED).lstrip("/"))
    return Host(
        root=superuser,
        system=_system(),
        kernel=platform.release(),
        cgroups=cgroups(root / "sys/fs/cgroup"),
        programs={name: "" for name in _PROGRAMS if shutil.which(name)},
        network_builds=next(on_network((folders.data,), root), None),
        namespaces=_number(root / "proc/sys/user/max_user_namespaces"),
        subuids=ids(root / "etc/subuid"),
        subgids=ids(root / "etc/subgid"),
        local_user=superuser or _is_local(root, user_name()),
        runtime_dir=runtime_dir.startswith("/") and os.access(runtime_dir, os.W_OK),
        fuse=os.access(root / "dev/fuse", os.R_OK | os.W_OK),
        network=_network(root, superuser=superuser),
        keyring=(root / _KEYRING).is_file(),
        emulated=tuple(str(platform) for platform, fault in others.items() if not fault),
        emulation_fault=next(filter(None, others.values()), ""),
        free=dict(_free(folders, env)),
        memory=None if os.access(_existing(folders.state), os.W_OK) else folders.state,
        gate_lacks=tuple(name for name in _GATE if find_spec(name) is None),
        open_files=_limits(resource.RLIMIT_NOFILE),
        processes=_limits(resource.RLIMIT_NPROC),
    )


def read(programs: Programs, env: Mapping[str, str], root: Path = Path("/")) -> Host:
    """Return what this host has.

    Args:
        programs: runs the programs that are asked for their version.
        env: for HOME and the XDG folders.
        root: where the host's files are.
    """
    from imagekit.hosts.engines.read_setup import read_engines

    seen = glance(env, root)
    storage = Podman(programs=programs).find_storage() if "podman" in seen.programs else None
    storage = storage or LocalStorage()
    return replace(
        seen,
        programs={name: _version(programs, name) for name in seen.programs},
        driver=storage.driver,
        noexec=tuple(_noexec((storage.root, temporary_place()), root)),
        subuids=_ids(programs, root, "subuid"),
        subgids=_ids(programs, root, "subgid"),
        without_sigstore=frozenset(n for n in ("podman", "skopeo") if _lacks_sigstore(n)),
        engines=read_engines(env, root, storage.root),
    )


def with_directory_ids(host: Host, programs: Programs, root: Path = Path("/")) -> Host:
    """Return the host with the ids that a directory gives this user, where the files give none."""
    if host.root or min(host.subuids, host.subgids):
        return host
    return replace(
        host,
        subuids=_ids(programs, root, "subuid"),
        subgids=_ids(programs, root, "subgid"),
    )


def _free(folders: Folders, env: Mapping[str, str]) -> Iterator[tuple[Purpose, tuple[Path, int]]]:
    """Yield where each purpose keeps what is large, with the bytes that are free there."""
    own = Path("/var/lib") if os.geteuid() == 0 else home_of(env) / ".local/share"
    places: tuple[tuple[Purpose, Path], ...] = (
        ("build", folders.data),
        ("run", own / "containers"),
        ("gate", folders.cache),
    )
    for purpose, path in places:
        with suppress(OSError):
            status = os.statvfs(_existing(path))
            yield purpose, (path, status.f_bavail * status.f_frsize)


def _existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that is there."""
    return next((place for place in (path, *path.parents) if place.exists()), path)


def cgroups(folder: Path) -> Cgroups:
    """Return which cgroups are mounted (cgroups(7))."""
    if (folder / "cgroup.controllers").exists():
        return "v2"
    if (folder / "unified/cgroup.controllers").exists():
        return "hybrid"
    return "v1" if (folder / "memory").is_dir() else "none"


def ids(file: Path) -> int:
    """Return how many ids a file gives this user (subuid(5), subgid(5))."""
    names = {str(os.getuid()), user_name()} - {""}
    total = 0
    for line in _text(file).splitlines():
        name, _, rest = line.partition(":")
        count = rest.rpartition(":")[2]
        if name in names and count.isdecimal():
            total += int(count)
    return total


def directory_ids(shown: str) -> int:
    """Return how many ids ``getsubids`` prints: lines of ``INDEX: OWNER FIRST COUNT``."""
    counts = (line.split()[-1] for line in shown.splitlines() if line.strip())
    return sum(int(count) for count in counts if count.isdecimal())


def user_name() -> str:
    """Return this user's name; empty where the system does not know it."""
    with suppress(KeyError):
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    return ""


def maps_others(programs: Programs, root: Path = Path("/")) -> bool:
    """Return whether this user's containers can have files of other users than this one.

    Args:
        programs: runs programs.
        root: where the host's files are.
    """
    return os.geteuid() == 0 or all(_ids(programs, root, f"sub{kind}id") for kind in "ug")


def _ids(programs: Programs, root: Path, name: str) -> int:
    """Count ids in the file, or in the directory that nsswitch.conf(5) names for them."""
    user, sources = user_name(), _field(root / "etc/nsswitch.conf", "subid:")
    if user and sources not in {"", "files"} and shutil.which("getsubids"):
        more = ("-g",) if name == "subgid" else ()
        with suppress(ToolError):
            return directory_ids(programs.run(("getsubids", *more, user), limit=10.0).stdout)
    return ids(root / "etc" / name)


def _field(file: Path, key: str) -> str:
    lines = (line.split("#")[0].split() for line in _text(file).splitlines())
    return next((" ".join(words[1:]) for words in lines if words[:1] == [key]), "")


def _is_local(root: Path, user: str) -> bool:
    return any(line.startswith(f"{user}:") for line in _text(root / "etc/passwd").splitlines())


def _noexec(folders: Iterable[Path | None], root: Path) -> Iterator[Path]:
    """Yield the folders from which the kernel runs no programs (mount(8), ``noexec``)."""
    mounts = read_mounts(root)
    for folder in folders:
        mount = mount_of(folder, mounts) if folder is not None else None
        if folder is not None and mount is not None and "noexec" in mount.options:
            yield folder


def _version(programs: Programs, name: str) -> str:
    try:
        shown = programs.run((name, "--version"), limit=10.0).stdout
    except ToolError:
        return ""
    words = shown.partition("\n")[0].split()
    return next((word for word in words if word[0].isdigit()), "")


def _network(root: Path, *, superuser: bool) -> bool:
    if superuser:
        helpers = ("usr/lib/podman/netavark", "usr/libexec/podman/netavark", "usr/lib/cni/bridge")
        # Each of them starts iptables, and fails where that is not installed.
        firewall = shutil.which("iptables") is not None
        return firewall and any((root / helper).exists() for helper in helpers)
    tun = os.access(root / "dev/net/tun", os.R_OK | os.W_OK)
    return tun and shutil.which("slirp4netns") is not None


def _lacks_sigstore(program: str) -> bool:
    executable = shutil.which(program)
    if executable is None:
        return False
    with (
        suppress(OSError, ValueError),
        Path(executable).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return content.find(_WITHOUT) >= 0
    return False


def _limits(which: int) -> ResourceLimits:
    soft, hard = resource.getrlimit(which)
    return ResourceLimits(soft=soft, hard=hard)


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "an unknown system"


def _number(file: Path) -> int:
    text = _text(file).strip()
    return int(text) if text.isdecimal() else 0


def _text(file: Path) -> str:
    try:
        return read_regular(file, limit=_MAX_TEXT).decode("utf-8", "replace")
    except OSError:
        return ""
