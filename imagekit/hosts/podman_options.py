"""What Podman needs on this host, so that a container starts at all."""

from collections.abc import Sequence

from msgspec.structs import replace

from imagekit.build.tools.podman import ContainerOptions
from imagekit.hosts.host import Host, ResourceLimits
from imagekit.hosts.podman_args import checked
from imagekit.hosts.run_options import RunOptions

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


def with_choices(
    container: ContainerOptions, options: RunOptions, more: Sequence[str]
) -> ContainerOptions:
    """Return the options of containers, with what the caller chose.

    Args:
        container: what this host needs.
        options: what was chosen.
        more: options of Podman's own.

    Raises:
        UsageError: what was chosen would undo the verdict, or is malformed.
        InputError: Podman would take a path for something else.
    """
    options.check()
    words = [f"--volume={volume}" for volume in options.all_volumes]
    words += [f"--env={variable}" for variable in options.all_env]
    words += [f"--device={device}" for device in options.all_devices]
    single = {"workdir": options.workdir, "user": options.user, "userns": options.userns}
    words += [f"--{name}={value}" for name, value in single.items() if value]
    words += ["--pid=host"] if options.host_processes else []
    return replace(
        container,
        chosen=(*words, *checked(more)),
        entrypoint=options.entrypoint,
        descriptor=options.descriptor,
    )


def _limit(name: str, limits: ResourceLimits) -> tuple[str, int, int]:
    return name, limits.soft, limits.hard


def _bounded(limits: ResourceLimits) -> ResourceLimits:
    def bound(value: int) -> int:
        return _PROCESSES if value < 0 else min(value, _PROCESSES)

    return ResourceLimits(soft=bound(limits.soft), hard=bound(limits.hard))
