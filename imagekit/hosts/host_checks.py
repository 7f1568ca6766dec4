"""What this host can do and the remedy for what it cannot: values in, checks out."""

import re
from collections.abc import Callable

from imagekit.build.tools.podman_faults import LOCAL_BUILDS, LOCAL_STORAGE, OVERLAY, STAGED
from imagekit.hosts.engines.engine_checks import judge_engines
from imagekit.hosts.host import Host, HostCheck, Status
from imagekit.hosts.podman_options import container_options, runtime

_ENOUGH_IDS = 65_536
_LOCAL_IDS = "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"
# usermod(8) changes users of /etc/passwd only.
_DIRECTORY_IDS = (
    "echo USER:100000:65536 >> /etc/subuid and subgid, or `subid: sss` in nsswitch.conf where the "
    "directory has them"
)
_ROOTLESS_OVERLAY = (5, 13)
"""The kernel since which users may mount overlays."""


def judge(host: Host) -> tuple[HostCheck, ...]:
    """Return a check for each thing that building, running and trusting needs."""
    return (*(check(host) for check in _CHECKS), *judge_engines(host.engines))


def _check(name: str, status: Status, *texts: str) -> HostCheck:
    """Return a check with its message and, where there is one, its remedy."""
    message, hint = (*texts, "")[:2]
    return HostCheck(name=name, status=status, message=message, hint=hint)


def _program(name: str, missing: Status) -> Callable[[Host], HostCheck]:
    def check(host: Host) -> HostCheck:
        if name in host.programs:
            return _check(name, "ok", host.programs[name] or "installed")
        return _check(name, missing, "not installed", f"on Debian: apt-get install {name}")

    return check


def _cgroups(host: Host) -> HostCheck:
    match host.cgroups:
        case "v2":
            return _check("cgroups", "ok", "v2")
        case "hybrid" | "v1" if runtime(host):
            return _check("cgroups", "ok", f"{host.cgroups}: crun refuses them, runc is used")
        case "hybrid" | "v1":
            return _check(
                "cgroups",
                "problem",
                f"{host.cgroups}, which crun refuses",
                "apt-get install runc, or start the kernel with systemd.unified_cgroup_hierarchy=1",
            )
        case "none":
            return _check("cgroups", "problem", "none are mounted", "mount /sys/fs/cgroup")


def _isolation(host: Host) -> HostCheck:
    words = " ".join(container_options(host).words) or "nothing more"
    if host.isolation_fault:
        return _check("isolation", "problem", host.isolation_fault, "apt-get install runc")
    if host.isolation.startswith("chroot"):
        return _check(
            "isolation",
            "remark",
            f"builds: chroot only, which contains less; podman run needs: {words}",
            "apt-get install runc; in a container, allow it to make containers of its own",
        )
    builds = host.isolation or "not tried"
    return _check("isolation", "ok", f"builds: {builds}; podman run needs: {words}")


def _storage(host: Host) -> HostCheck:
    if host.driver == "vfs" and host.engines.network_stores:
        return _check(
            "storage",
            "remark",
            "Podman uses vfs on a network file system: every layer is copied whole",
            f'{STAGED}; {LOCAL_STORAGE}, with driver = "overlay"',
        )
    if host.driver == "vfs":
        old = not host.root and _kernel(host) < _ROOTLESS_OVERLAY
        return _check(
            "storage",
            "remark",
            "Podman uses vfs: every layer is copied whole",
            f"{STAGED}; or, on kernel {host.kernel}: apt-get install fuse-overlayfs"
            if old
            else OVERLAY,
        )
    if not host.driver:
        return _check("storage", "problem", "Podman reports no storage", "see: podman info")
    return _check("storage", "ok", host.driver)


def _builds(host: Host) -> HostCheck:
    if host.network_builds is None:
        return _check("builds", "ok", "their storage is on a local file system")
    path, kind = host.network_builds
    return _check(
        "builds",
        "remark",
        f"{path} is on {kind}, which refuses what containers need: builds fail there",
        LOCAL_BUILDS,
    )


def _namespaces(host: Host) -> HostCheck:
    if host.root or host.namespaces > 0:
        return _check("namespaces", "ok", "root needs none" if host.root else "user namespaces")
    return _check(
        "namespaces",
        "problem",
        "the kernel allows no user namespaces",
        "as root: sysctl user.max_user_namespaces=65536",
    )


def _ids(host: Host) -> HostCheck:
    least = min(host.subuids, host.subgids)
    if host.root or least >= _ENOUGH_IDS:
        return _check("subuids", "ok", "root needs none" if host.root else f"{least} ids")
    return _check(
        "subuids",
        "problem",
        f"{host.subuids} subuids and {host.subgids} subgids, images need {_ENOUGH_IDS}",
        f"{STAGED}; or as root: {_LOCAL_IDS if host.local_user else _DIRECTORY_IDS}",
    )


def _noexec(host: Host) -> HostCheck:
    if host.driver != "vfs" or not host.noexec:
        return _check("noexec", "ok", "programs of images can be run")
    return _check(
        "noexec",
        "problem",
        f"{host.noexec[0]} is mounted noexec: with vfs no program of an image runs there",
        f"{STAGED}; or {OVERLAY}, or TMPDIR and graphroot elsewhere",
    )


def _kernel(host: Host) -> tuple[int, ...]:
    """Return the first two numbers of the kernel's release; of one without them, zeros."""
    first = re.match(r"(\d{1,4})\.(\d{1,4})", host.kernel)
    return tuple(map(int, first.groups())) if first else (0, 0)


def _network(host: Host) -> HostCheck:
    if host.network:
        return _check("network", "ok", "run uses the host's; Podman's own work too")
    need = (
        "iptables, and netavark or CNI plugins"
        if host.root
        else "slirp4netns and access to /dev/net/tun"
    )
    return _check(
        "network",
        "remark",
        "Podman's own networks do not start; run uses the host's",
        f"for --network bridge or slirp4netns it needs {need}",
    )


def _fuse(host: Host) -> HostCheck:
    if host.root or host.fuse or host.driver == "overlay":
        return _check("fuse", "ok", "/dev/fuse" if host.fuse else "not needed")
    return _check(
        "fuse",
        "remark",
        "/dev/fuse is not yours: no fuse-overlayfs",
        "overlay needs none: kernel 5.13",
    )


def _runtime_dir(host: Host) -> HostCheck:
    if host.root or host.runtime_dir:
        return _check("runtime dir", "ok", "root needs none" if host.root else "XDG_RUNTIME_DIR")
    return _check(
        "runtime dir",
        "remark",
        "XDG_RUNTIME_DIR is not set to a folder of yours: a folder in /tmp is used",
        "log in with a session (loginctl enable-linger USER), or set it",
    )


def _keyring(host: Host) -> HostCheck:
    if host.keyring:
        return _check("keyring", "ok", "Debian's archive keys")
    return _check(
        "keyring",
        "problem",
        "Debian's archive keys are missing: no base can be bootstrapped",
        "apt-get install debian-archive-keyring",
    )


def _sigstore(host: Host) -> HostCheck:
    if not host.without_sigstore:
        return _check("sigstore", "ok", "no known problem")
    names = " and ".join(sorted(host.without_sigstore))
    return _check(
        "sigstore",
        "remark",
        f"{names}: built without Sigstore, so policy.json cannot ask for signatures",
        "pull by `imagekit pull` and run by `imagekit run`, which verify by themselves",
    )


_CHECKS: tuple[Callable[[Host], HostCheck], ...] = (
    _program("buildah", "problem"),
    _program("podman", "problem"),
    _program("runc", "remark"),
    _program("mmdebstrap", "problem"),
    _cgroups,
    _isolation,
    _storage,
    _builds,
    _namespaces,
    _ids,
    _noexec,
    _network,
    _fuse,
    _runtime_dir,
    _keyring,
    _sigstore,
)
