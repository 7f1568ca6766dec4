"""Which words Podman needs on this host, so that a container starts at all."""

from imagekit.hosts.host import Host, ResourceLimits

_PODMAN_OPEN_FILES = 1_048_576
# Seen with Podman 4.3: 32768 was allowed under a hard limit of 96365, 65536 was refused.
_PROCESSES = 32_768


def runtime(host: Host) -> str:
    """Return the OCI runtime to name; empty where Podman's own choice is good.

    crun refuses the hybrid cgroups of older set-ups, runc takes them.
    """
    return "runc" if host.cgroups in {"hybrid", "v1"} and "runc" in host.programs else ""


def run_options(host: Host) -> tuple[str, ...]:
    """Return the options of ``podman run`` for this host."""
    options: list[str] = []
    if name := runtime(host):
        options += ["--runtime", name]
    if host.root and 0 <= host.open_files.hard < _PODMAN_OPEN_FILES:
        # Podman gives root's containers its own limits, which this root may not raise.
        options += ["--ulimit", f"nofile={_limit(host.open_files)}"]
        options += ["--ulimit", f"nproc={_limit(_bounded(host.processes))}"]
    return tuple(options)


def _limit(limits: ResourceLimits) -> str:
    return f"{limits.soft}:{limits.hard}"


def _bounded(limits: ResourceLimits) -> ResourceLimits:
    def bound(value: int) -> int:
        return _PROCESSES if value < 0 else min(value, _PROCESSES)

    return ResourceLimits(soft=bound(limits.soft), hard=bound(limits.hard))
