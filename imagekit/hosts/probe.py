"""Reading what this host has; it is judged elsewhere."""

import mmap
import os
import platform
import resource
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from imagekit.build.tools.podman import Podman, Programs
from imagekit.errors import ToolError
from imagekit.hosts.engines.read_setup import read_engines
from imagekit.hosts.host import Cgroups, Host, ResourceLimits
from imagekit.inputs import read_regular

_MAX_TEXT = 4 << 20
_PROGRAMS = ("buildah", "podman", "skopeo", "runc", "crun", "mmdebstrap")
_WITHOUT = b"Debian-local change: sigstore disabled"
_KEYRING = "usr/share/keyrings/debian-archive-keyring.gpg"


def read(programs: Programs, env: Mapping[str, str], root: Path = Path("/")) -> Host:
    """Return what this host has.

    Args:
        programs: runs the programs that are asked for their version.
        env: for HOME and XDG_RUNTIME_DIR.
        root: where the host's files are.
    """
    installed = {name: _version(programs, name) for name in _PROGRAMS if shutil.which(name)}
    superuser = os.geteuid() == 0
    runtime_dir = env.get("XDG_RUNTIME_DIR", "")
    return Host(
        root=superuser,
        system=_system(),
        kernel=platform.release(),
        cgroups=cgroups(root / "sys/fs/cgroup"),
        programs=installed,
        driver=Podman(programs=programs).find_driver() if "podman" in installed else "",
        namespaces=_number(root / "proc/sys/user/max_user_namespaces"),
        subuids=ids(root / "etc/subuid"),
        subgids=ids(root / "etc/subgid"),
        runtime_dir=runtime_dir.startswith("/") and os.access(runtime_dir, os.W_OK),
        fuse=os.access(root / "dev/fuse", os.R_OK | os.W_OK),
        network=_network(root, superuser=superuser),
        keyring=(root / _KEYRING).is_file(),
        without_sigstore=frozenset(n for n in ("podman", "skopeo") if _lacks_sigstore(n)),
        engines=read_engines(env, root),
        open_files=_limits(resource.RLIMIT_NOFILE),
        processes=_limits(resource.RLIMIT_NPROC),
    )


def cgroups(folder: Path) -> Cgroups:
    """Return which cgroups are mounted (cgroups(7))."""
    if (folder / "cgroup.controllers").exists():
        return "v2"
    if (folder / "unified/cgroup.controllers").exists():
        return "hybrid"
    return "v1" if (folder / "memory").is_dir() else "none"


def ids(file: Path) -> int:
    """Return how many ids a file gives this user (subuid(5), subgid(5))."""
    names = {str(os.getuid())}
    with suppress(KeyError):
        import pwd

        names.add(pwd.getpwuid(os.getuid()).pw_name)
    total = 0
    for line in _text(file).splitlines():
        name, _, rest = line.partition(":")
        count = rest.rpartition(":")[2]
        if name in names and count.isdecimal():
            total += int(count)
    return total


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
