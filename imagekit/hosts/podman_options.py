"""What Podman needs on this host, so that a container starts at all."""

from imagekit.build.tools.podman import ContainerOptions
from imagekit.hosts.host import Host, ResourceLimits

_PODMAN_OPEN_FILES = 1_048_576
# Seen with Podman 4.3: 32768 was allowed under a hard limit of 96365, 65536 was refused.
_PROCESSES = 32_768


def runtime(host: Host) -> str:
    """Return the OCI runtime to name; empty where Podman's own choice works.

    crun refuses the hybrid cgroups of older systems, runc accepts them.
    """
    return "runc" if host.cgroups in {"hybrid", "v1"} and "runc" in host.programs else ""


def container_options(host: Host, *, network: str = "") -> ContainerOptions:
    """Return the options of containers on this host.

    Args:
        host: this host.
        network: the value of Podman's option ``--network``; empty for Podman's own choice.
    """
    limits = []
    if host.root and 0 <= host.open_files.hard < _PODMAN_OPEN_FILES:
        # Podman gives root's containers its own limits, which this root may not raise.
        limits += [_limit("nofile", host.open_files), _limit("nproc", _bounded(host.processes))]
    return ContainerOptions(runtime=runtime(host), limits=tuple(limits), network=network)


def _limit(name: str, limits: ResourceLimits) -> tuple[str, int, int]:
    return name, limits.soft, limits.hard


def _bounded(limits: ResourceLimits) -> ResourceLimits:
    def bound(value: int) -> int:
        return _PROCESSES if value < 0 else min(value, _PROCESSES)

    return ResourceLimits(soft=bound(limits.soft), hard=bound(limits.hard))
