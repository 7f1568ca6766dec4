"""What this host can do and the remedy for what it cannot: values in, checks out."""

import re
from collections.abc import Callable
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from imagekit.build.tools.podman_faults import (
    LOCAL_BUILDS,
    LOCAL_IDS,
    LOCAL_STORAGE,
    OVERLAY,
    STAGED,
)
from imagekit.documents.quantity import size
from imagekit.hosts.host import Host, HostCheck, Purpose, Status
from imagekit.hosts.podman_options import container_options, runtime

_ENOUGH_IDS = 65_536
_ENOUGH_BYTES = 2_000_000_000
# usermod(8) changes users of /etc/passwd only.
_DIRECTORY_IDS = (
    "echo USER:100000:65536 >> /etc/subuid and subgid, or `subid: sss` in nsswitch.conf where the "
    "directory has them"
)
_ROOTLESS_OVERLAY = (5, 13)
"""The kernel since which users may mount overlays."""


class CheckedFor(Struct, frozen=True, kw_only=True):
    """A check, and what it is for."""

    check: Callable[[Host], HostCheck]
    purposes: frozenset[Purpose]
    vital: frozenset[Purpose] = frozenset()
    """The purposes that cannot be served at all where it finds something."""
    seen: bool = False
    """Whether it needs no more than ``probe.glance`` knows, which starts no program."""


def judge(host: Host, purpose: Purpose | None = None) -> tuple[HostCheck, ...]:
    """Return a check for each thing that a host is used for.

    Args:
        host: this host.
        purpose: only what concerns this; None for all but what a gate alone needs.
    """
    from imagekit.hosts.engines.engine_checks import judge_engines

    rows = (row for row in CHECKS if _concerns(row, purpose))
    found = tuple(_for(row, host, purpose) for row in rows)
    engines = judge_engines(host.engines) if purpose in {None, "run"} else ()
    return (*found, *engines)


def _concerns(row: CheckedFor, purpose: Purpose | None) -> bool:
    return row.purposes != {"gate"} if purpose is None else purpose in row.purposes


def _for(row: CheckedFor, host: Host, purpose: Purpose | None) -> HostCheck:
    """Return a check, as grave as it is for the purpose."""
    found = row.check(host)
    vital = purpose in row.vital and found.status == "remark"
    return replace(found, status="problem") if vital else found


def _check(name: str, status: Status, *texts: str) -> HostCheck:
    """Return a check with its message and, where there is one, its remedy."""
    message, hint = (*texts, "")[:2]
    return HostCheck(name=name, status=status, message=message, hint=hint)


def _program(name: str, missing: Status, package: str = "") -> Callable[[Host], HostCheck]:
    def check(host: Host) -> HostCheck:
        if name in host.programs:
            return _check(name, "ok", host.programs[name] or "installed")
        return _check(
            name, missing, "not installed", f"on Debian: apt-get install {package or name}"
        )

    return check


def _podman(host: Host) -> HostCheck:
    others = sorted({"apptainer", "docker"} & set(host.engines.unverifying))
    if "podman" in host.programs or not others:
        return _program("podman", "problem")(host)
    return _check(
        "podman",
        "remark",
        "not installed",
        f"on Debian: apt-get install podman; or run --engine {others[0]}",
    )


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
        f"{STAGED}; or as root: {LOCAL_IDS if host.local_user else _DIRECTORY_IDS}",
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


def _free(purpose: Purpose, name: str, hint: str) -> Callable[[Host], HostCheck]:
    def check(host: Host) -> HostCheck:
        path, free = host.free.get(purpose, (None, _ENOUGH_BYTES))
        if path is None or free >= _ENOUGH_BYTES:
            return _check(name, "ok", f"{size(free)} are free" if path else "not known")
        return _check(name, "remark", f"{size(free)} are free in {path}", hint)

    return check


def _memory(host: Host) -> HostCheck:
    if host.memory is None:
        return _check("memory", "ok", "what was seen of images is remembered")
    return _check(
        "memory",
        "problem",
        f"{host.memory} cannot be written: no policy that asks for freshness can allow anything",
        "--state FILE in a folder that you may write to, or XDG_STATE_HOME",
    )


def _gate(host: Host) -> HostCheck:
    if not host.gate_lacks:
        return _check("gate", "ok", "its packages are installed")
    lacks = ", ".join(host.gate_lacks)
    return _check("gate", "problem", f"not installed: {lacks}", "pip install 'imagekit[gate]'")


def _emulation(host: Host) -> HostCheck:
    if host.emulated:
        return _check("emulation", "ok", f"builds for {', '.join(host.emulated)} as well")
    return _check(
        "emulation",
        "ok",
        f"builds for this host's platform only: {host.emulation_fault}",
        "for others, on Debian: apt-get install qemu-user-static binfmt-support arch-test",
    )


def _row(
    check: Callable[[Host], HostCheck],
    purposes: str,
    *,
    vital: str = "",
    seen: bool = True,
) -> CheckedFor:
    return CheckedFor(check=check, purposes=_purposes(purposes), vital=_purposes(vital), seen=seen)


def _purposes(words: str) -> frozenset[Purpose]:
    return frozenset(cast("list[Purpose]", words.split()))


_PRUNE = "imagekit prune, or XDG_DATA_HOME on a larger disk"
_REMOVE = "podman image prune, or graphroot in storage.conf on a larger disk"

CHECKS = (
    _row(_program("buildah", "problem"), "build", vital="build"),
    # What runs images may be another engine: `run` says whether it is to be this one.
    _row(_podman, "run stage", vital="stage"),
    _row(_program("runc", "remark"), "build run"),
    _row(_program("mmdebstrap", "problem"), "build"),
    _row(_emulation, "build"),
    _row(_program("mksquashfs", "remark", "squashfs-tools"), "stage", vital="stage"),
    _row(_cgroups, "run"),
    _row(_isolation, "build", seen=False),
    _row(_storage, "run", seen=False),
    _row(_builds, "build"),
    _row(_free("build", "disk: builds", _PRUNE), "build"),
    _row(_free("run", "disk: images", _REMOVE), "run"),
    _row(_free("gate", "disk: gate", "--cache FOLDER elsewhere, or less --cache-size"), "gate"),
    _row(_namespaces, "build run stage", vital="build run stage"),
    _row(_ids, "build run stage"),
    _row(_noexec, "run", seen=False),
    _row(_network, "run"),
    _row(_fuse, "run", seen=False),
    _row(_runtime_dir, "build run"),
    _row(_keyring, "build"),
    _row(_sigstore, "run", seen=False),
    _row(_memory, "verify run stage"),
    _row(_gate, "gate", vital="gate"),
)
"""Every check, with what it is for: the one table, for ``doctor`` and for ``preflight``."""
