"""What the bodies of requests to Docker's daemon may have: each member by name, with its values.

Docker matches the names of members without regard to case, by the folding of Go's encoding/json,
and accepts some of them at several places. So a member is allowed by its exact name and place, as
Docker's own clients write it, and everything else is refused. Members that bring or name code
outside of the judged image, or that lead out of the container to the host, have one harmless value,
or none.
"""

import string
from collections.abc import Callable, Mapping
from types import MappingProxyType

from imagekit.documents import strictjson
from imagekit.errors import DocumentError

_NAME = frozenset(string.ascii_letters + string.digits + "_.-")
_CODE = "docker/body"
_SHOWN = 80

Rule = Callable[[object, str], None]
"""Takes a value and its place; raises DocumentError where it is not allowed."""


def parse_body(raw: bytes | None, members: Mapping[str, Rule]) -> Mapping[str, object]:
    """Read a body that may have these members only.

    Raises:
        DocumentError: it was not passed on, can be read in two ways, or has other members.
    """
    if not raw:
        raise DocumentError(
            "the daemon did not pass on the request's body: it is empty, over 1 MiB, "
            "sent in chunks, or no application/json",
            code=_CODE,
        )
    document = strictjson.loads_object(raw, what="the request's body")
    _members(document, members, "")
    return document


def is_name(text: str) -> bool:
    """Return whether Docker reads this as the name of a container, network or volume."""
    return bool(text) and set(text) <= _NAME and text[0] not in "_.-"


def container_rules(binds: frozenset[str]) -> Mapping[str, Rule]:
    """Return the rules for the body of ``POST /containers/create``.

    Args:
        binds: the folders of the host that containers may mount, by exactly these paths.
    """
    host = dict(_HOST_CONFIG)
    host["Binds"] = _each(lambda value, place: _bind(value, place, binds))
    host["Mounts"] = _each(lambda value, place: _mount(value, place, binds))
    return MappingProxyType({**_CONFIG, "HostConfig": _object(host)})


def _any(value: object, place: str) -> None:
    """Allow every value: it concerns the container alone."""


def _one_of(*allowed: object, why: str) -> Rule:
    """Return the rule for a member with these values; null stands for none."""

    def rule(value: object, place: str) -> None:
        if value is not None and value not in allowed:
            raise _refusal(place, value, why)

    return rule


def _nothing(why: str) -> Rule:
    """Return the rule for a member that must be empty."""
    return _one_of("", [], {}, why=why)


def _null(why: str) -> Rule:
    """Return the rule for a member that must be null: an empty list has another meaning."""
    return _one_of(why=why)


def _object(members: Mapping[str, Rule]) -> Rule:
    def rule(value: object, place: str) -> None:
        if value is not None:
            _members(value, members, place)

    return rule


def _each(rule: Rule) -> Rule:
    def each(value: object, place: str) -> None:
        if value is None:
            return
        if not isinstance(value, list):
            raise DocumentError(f"{place} in the request's body is no list", code=_CODE)
        for number, element in enumerate(value):
            rule(element, f"{place}[{number}]")

    return each


def _members(value: object, members: Mapping[str, Rule], place: str) -> Mapping[str, object]:
    """Return the object, each of whose members its rule allows."""
    if not isinstance(value, dict):
        raise DocumentError(f"{place or 'the request'} is no object", code=_CODE)
    for name, member in value.items():
        where = f"{place}.{name}" if place else name
        rule = members.get(name)
        if rule is not None:
            rule(member, where)
        elif member is not None:
            raise _refusal(where, member, "its meaning is not known")
    return value


def _refusal(place: str, value: object, why: str) -> DocumentError:
    shown = strictjson.dumps(value).decode()
    return DocumentError(
        f"{place[:_SHOWN]} = {shown[:_SHOWN]} is not allowed here: {why}",
        hint="leave it out; docs/offline.md has what containers may be given",
        code=_CODE,
    )


def _network_mode(value: object, place: str) -> None:
    _own(value, place, "", resource="network", more=is_name)


def _namespace(*allowed: str) -> Rule:
    def rule(value: object, place: str) -> None:
        _own(value, place, *allowed, resource="namespace")

    return rule


def _own(
    value: object,
    place: str,
    *allowed: str,
    resource: str,
    more: Callable[[str], bool] | None = None,
) -> None:
    """Refuse what is the host's: a container has its own, or shares that of another container."""
    if value is None or value in allowed:
        return
    if isinstance(value, str) and value != "host":
        kind, colon, name = value.partition(":")
        if (kind, colon) == ("container", ":") and is_name(name):
            return
        if more is not None and more(value):
            return
    raise _refusal(place, value, f"only a {resource} of its own, or of another container")


def _networks(value: object, place: str) -> None:
    """Allow endpoints in every network but the host's."""
    if value is None:
        return
    if not isinstance(value, dict):
        raise DocumentError(f"{place} in the request's body is no object", code=_CODE)
    for name, endpoint in value.items():
        _network_mode(name, place)
        _object(_ENDPOINT)(endpoint, f"{place}.{name}")


def _bind(value: object, place: str, binds: frozenset[str]) -> None:
    """Allow ``VOLUME:PATH[:MODE]``, and ``FOLDER:PATH[:MODE]`` of the listed folders."""
    parts = value.split(":") if isinstance(value, str) else []
    if len(parts) not in {2, 3}:
        raise _refusal(place, value, "it is not SOURCE:PATH or SOURCE:PATH:MODE")
    _source(parts[0], place, binds)
    modes = parts[2].split(",") if parts[2:] else []
    if not set(modes) <= {"ro", "rw", "nocopy"}:
        raise _refusal(place, value, "its mode is not of ro, rw and nocopy")


def _mount(value: object, place: str, binds: frozenset[str]) -> None:
    """Allow volumes, memory, and binds of the listed folders."""
    mount = _members(value, _MOUNT, place)
    if mount.get("Source") or mount.get("Type") == "bind":
        _source(mount.get("Source"), place, binds)


def _source(source: object, place: str, binds: frozenset[str]) -> None:
    """Refuse what is neither the name of a volume nor a folder of the host that is listed."""
    if isinstance(source, str) and (source in binds or is_name(source)):
        return
    raise DocumentError(
        f"{place[:_SHOWN]} mounts {str(source)[:_SHOWN]!r}: folders of the host may hold programs "
        "that were not judged",
        hint="use a named volume, or ask who runs this host to list the folder by --bind",
        code=_CODE,
    )


_CODE_OUTSIDE = "it names code outside of the image"
_HOST_ACCESS = "it leads out of the container to the host"

_RESOURCES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "CpuShares",
                "Memory",
                "NanoCpus",
                "BlkioWeight",
                "BlkioWeightDevice",
                "BlkioDeviceReadBps",
                "BlkioDeviceWriteBps",
                "BlkioDeviceReadIOps",
                "BlkioDeviceWriteIOps",
                "CpuPeriod",
                "CpuQuota",
                "CpuRealtimePeriod",
                "CpuRealtimeRuntime",
                "CpusetCpus",
                "CpusetMems",
                "KernelMemory",
                "KernelMemoryTCP",
                "MemoryReservation",
                "MemorySwap",
                "MemorySwappiness",
                "OomKillDisable",
                "PidsLimit",
                "Ulimits",
                "CpuCount",
                "CpuPercent",
                "IOMaximumIOps",
                "IOMaximumBandwidth",
            ),
            _any,
        ),
        "CgroupParent": _nothing(_HOST_ACCESS),
        "Devices": _nothing(_HOST_ACCESS),
        "DeviceCgroupRules": _nothing(_HOST_ACCESS),
        # A driver of devices is a program that the daemon or the runtime calls.
        "DeviceRequests": _nothing(_CODE_OUTSIDE),
    }
)
_CAPABILITIES = (
    # Docker's default set, and what MPI, debuggers and real-time programs ask for.
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_RAW"),
    *("NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    *("IPC_LOCK", "SYS_NICE", "SYS_PTRACE"),
)
_ENDPOINT: Mapping[str, Rule] = MappingProxyType(
    dict.fromkeys(
        (
            "IPAMConfig",
            "Links",
            "Aliases",
            "MacAddress",
            "GwPriority",
            "NetworkID",
            "EndpointID",
            "Gateway",
            "IPAddress",
            "IPPrefixLen",
            "IPv6Gateway",
            "GlobalIPv6Address",
            "GlobalIPv6PrefixLen",
            "DNSNames",
        ),
        _any,
    )
    | {"DriverOpts": _nothing(_CODE_OUTSIDE)}
)
_LOG_DRIVERS = ("", "none", "json-file", "local", "journald")
_HOST_CONFIG: Mapping[str, Rule] = MappingProxyType(
    {
        **_RESOURCES,
        **dict.fromkeys(
            (
                "ContainerIDFile",
                "PortBindings",
                "RestartPolicy",
                "AutoRemove",
                # Volumes of another container, which was created under these rules.
                "VolumesFrom",
                "ConsoleSize",
                "CapDrop",
                "Dns",
                "DnsOptions",
                "DnsSearch",
                "ExtraHosts",
                "GroupAdd",
                "Links",
                "OomScoreAdj",
                "PublishAllPorts",
                "ReadonlyRootfs",
                "StorageOpt",
                "Tmpfs",
                # The runtime refuses those that are not of a namespace of the container's own.
                "Sysctls",
                "ShmSize",
                "Init",
            ),
            _any,
        ),
        "LogConfig": _object(
            {"Type": _one_of(*_LOG_DRIVERS, why=_CODE_OUTSIDE), "Config": _any},
        ),
        "NetworkMode": _network_mode,
        "IpcMode": _namespace("", "none", "private", "shareable"),
        "PidMode": _namespace(""),
        "UTSMode": _namespace(""),
        "UsernsMode": _namespace(""),
        "CgroupnsMode": _namespace("", "private"),
        "Cgroup": _nothing(_HOST_ACCESS),
        "Privileged": _one_of(False, why=_HOST_ACCESS),
        "CapAdd": _each(
            _one_of(*_CAPABILITIES, *(f"CAP_{name}" for name in _CAPABILITIES), why=_HOST_ACCESS)
        ),
        "SecurityOpt": _each(
            _one_of(
                "no-new-privileges",
                "no-new-privileges:true",
                "no-new-privileges=true",
                why="only no-new-privileges may be set",
            )
        ),
        "VolumeDriver": _one_of("", "local", why=_CODE_OUTSIDE),
        "Runtime": _nothing(_CODE_OUTSIDE),
        "Annotations": _nothing("runtimes act on them"),
        "Isolation": _one_of("", "default", why="it is not Linux's"),
        "MaskedPaths": _null(_HOST_ACCESS),
        "ReadonlyPaths": _null(_HOST_ACCESS),
    }
)
_CONFIG: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "Hostname",
                "Domainname",
                "User",
                "AttachStdin",
                "AttachStdout",
                "AttachStderr",
                "ExposedPorts",
                "Tty",
                "OpenStdin",
                "StdinOnce",
                "Env",
                "Cmd",
                "Healthcheck",
                "ArgsEscaped",
                "Image",
                # Anonymous volumes, by their paths in the container.
                "Volumes",
                "WorkingDir",
                "Entrypoint",
                "NetworkDisabled",
                "MacAddress",
                "OnBuild",
                "Labels",
                "StopSignal",
                "StopTimeout",
                "Shell",
            ),
            _any,
        ),
        "NetworkingConfig": _object({"EndpointsConfig": _networks}),
    }
)
_MOUNT: Mapping[str, Rule] = MappingProxyType(
    {
        "Type": _one_of("volume", "tmpfs", "bind", why=_CODE_OUTSIDE),
        "Source": _any,
        "Target": _any,
        "ReadOnly": _any,
        "Consistency": _any,
        "BindOptions": _object(
            {
                "Propagation": _one_of("", "private", "rprivate", why=_HOST_ACCESS),
                "NonRecursive": _any,
                "CreateMountpoint": _one_of(False, why=_HOST_ACCESS),
                "ReadOnlyNonRecursive": _any,
                "ReadOnlyForceRecursive": _any,
            }
        ),
        "VolumeOptions": _object(
            {
                "NoCopy": _any,
                "Labels": _any,
                "Subpath": _any,
                "DriverConfig": _object(
                    {
                        "Name": _one_of("", "local", why=_CODE_OUTSIDE),
                        "Options": _nothing(_HOST_ACCESS),
                    }
                ),
            }
        ),
        "TmpfsOptions": _object({"SizeBytes": _any, "Mode": _any}),
    }
)
EXEC: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "User",
                "Tty",
                "ConsoleSize",
                "AttachStdin",
                "AttachStdout",
                "AttachStderr",
                "Detach",
                "DetachKeys",
                "Env",
                "WorkingDir",
                "Cmd",
            ),
            _any,
        ),
        "Privileged": _one_of(False, why=_HOST_ACCESS),
    }
)
"""The rules for the body of ``POST /containers/ID/exec``."""
EXEC_START: Mapping[str, Rule] = MappingProxyType(
    {"Detach": _any, "Tty": _any, "ConsoleSize": _any}
)
"""The rules for the body of ``POST /exec/ID/start``."""
UPDATE: Mapping[str, Rule] = MappingProxyType({**_RESOURCES, "RestartPolicy": _any})
"""The rules for the body of ``POST /containers/ID/update``."""
NETWORK: Mapping[str, Rule] = MappingProxyType(
    {
        "Name": _any,
        "CheckDuplicate": _any,
        "Driver": _one_of("", "bridge", "ipvlan", "macvlan", why=_CODE_OUTSIDE),
        "Scope": _one_of("", "local", why="it is of a swarm"),
        "Internal": _any,
        "Attachable": _any,
        "Ingress": _one_of(False, why="it is of a swarm"),
        "EnableIPv4": _any,
        "EnableIPv6": _any,
        "ConfigOnly": _one_of(False, why="it is of a swarm"),
        "ConfigFrom": _object({"Network": _nothing("it is of a swarm")}),
        "IPAM": _object(
            {
                "Driver": _one_of("", "default", why=_CODE_OUTSIDE),
                "Options": _nothing(_CODE_OUTSIDE),
                "Config": _any,
            }
        ),
        "Options": _any,
        "Labels": _any,
    }
)
"""The rules for the body of ``POST /networks/create``."""
CONNECT: Mapping[str, Rule] = MappingProxyType(
    {"Container": _any, "EndpointConfig": _object(_ENDPOINT)}
)
"""The rules for the body of ``POST /networks/ID/connect``."""
DISCONNECT: Mapping[str, Rule] = MappingProxyType({"Container": _any, "Force": _any})
"""The rules for the body of ``POST /networks/ID/disconnect``."""
VOLUME: Mapping[str, Rule] = MappingProxyType(
    {
        "Name": _any,
        "Driver": _one_of("", "local", why=_CODE_OUTSIDE),
        # The local driver mounts what these name: a folder or a disk of the host.
        "DriverOpts": _nothing(_HOST_ACCESS),
        "Labels": _any,
    }
)
"""The rules for the body of ``POST /volumes/create``."""
