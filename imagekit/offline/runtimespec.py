"""config.json of an OCI bundle (runtime-spec v1.0.2), from an image's configuration.

As in conversion.md of the image-spec, and otherwise as little as a program needs: no capability,
no new privileges, a read-only root, and namespaces of its own except for the network.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.oci.types import ImageConfig
from imagekit.offline.stage_target import Bind

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# runtime-spec config-linux.md, Masked Paths and Readonly Paths: they show or set the host's state.
_MASKED = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware")
_READ_ONLY = (
    "/proc/asound",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)
MOUNT_POINTS = ("/proc", "/dev", "/sys", "/tmp")  # noqa: S108 - within the container
"""The folders of the root file system that something is mounted on."""
_SAFE = ["nosuid", "noexec", "nodev"]
_TERMINALS_GROUP = "gid=5"


class Mapped(Struct, frozen=True, kw_only=True):
    """The one user and group of a container, and who they are outside of it."""

    uid: int
    gid: int
    outer_uid: int
    outer_gid: int


def runtime_spec_bytes(
    config: ImageConfig,
    *,
    uid: int,
    gid: int,
    root: str,
    binds: Sequence[Bind] = (),
) -> bytes:
    """Return config.json: the same image gives the same bytes.

    Args:
        config: the image's configuration.
        uid: the user of the process, in the container.
        gid: its group.
        root: the path that the root file system will have.
        binds: folders of the nodes that the container sees.
    """
    namespaces = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]
    linux: dict[str, object] = {"maskedPaths": list(_MASKED), "readonlyPaths": list(_READ_ONLY)}
    document: dict[str, object] = {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": uid, "gid": gid},
            # conversion.md, Verbatim Fields: Cmd is appended to Entrypoint, and process.env gets
            # no variable that Env has.
            "args": [*config.entrypoint, *config.cmd] or ["/bin/sh"],
            "env": list(config.env) if _has_path(config.env) else [_PATH, *config.env],
            "cwd": config.workdir or "/",
            "noNewPrivileges": True,
        },
        "root": {"path": root, "readonly": True},
        "mounts": [*_mounts(), *(_bind(bind) for bind in binds)],
        "linux": linux | {"namespaces": namespaces},
    }
    if config.labels:
        # conversion.md, Annotation Fields: as they are.
        document["annotations"] = dict(config.labels)
    return strictjson.dumps(document)


def with_host_processes(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return config.json for a container that shares the process numbers of who starts it.

    Args:
        document: as it was staged, or made of that.
    """
    linux = document["linux"]
    # A /proc of its own shows the numbers of a namespace of its own.
    proc = {"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind", *_SAFE]}
    mounts = [proc if mount["type"] == "proc" else mount for mount in document["mounts"]]
    namespaces = [space for space in linux["namespaces"] if space["type"] != "pid"]
    return {**document, "mounts": mounts, "linux": {**linux, "namespaces": namespaces}}


def for_user(document: Mapping[str, Any], mapped: Mapped) -> dict[str, Any]:
    """Return config.json for an ordinary user: with a user namespace of one user and group.

    Args:
        document: as it was staged.
        mapped: who the process is.
    """
    process, linux = document["process"], document["linux"]
    return {
        **document,
        "process": {**process, "user": {"uid": mapped.uid, "gid": mapped.gid}},
        "mounts": [_for_user(mount) for mount in document["mounts"]],
        "linux": {
            **linux,
            "namespaces": [*linux["namespaces"], {"type": "user"}],
            # runtime-spec config-linux.md, User namespace mappings
            "uidMappings": [_mapping(mapped.uid, mapped.outer_uid)],
            "gidMappings": [_mapping(mapped.gid, mapped.outer_gid)],
        },
    }


def _mapping(inside: int, outside: int) -> dict[str, int]:
    return {"containerID": inside, "hostID": outside, "size": 1}


def _for_user(mount: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mount as a user may have it: the host's network has a /sys that is not theirs."""
    if mount["type"] == "sysfs":
        options = ["rbind", *_SAFE, "ro"]
        return {**mount, "type": "bind", "source": "/sys", "options": options}
    # The group of terminals is not mapped.
    options = [option for option in mount["options"] if option != _TERMINALS_GROUP]
    return {**mount, "options": options}


def _has_path(env: tuple[str, ...]) -> bool:
    return any(variable.startswith("PATH=") for variable in env)


def _mounts() -> list[dict[str, object]]:
    # runtime-spec config-linux.md, Default Filesystems, and /tmp, as the root is read-only.
    terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", _TERMINALS_GROUP]
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": _SAFE},
        _tmpfs("/dev", "nosuid", "strictatime", "mode=755", "size=65536k"),
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": terminals},
        _tmpfs("/dev/shm", *_SAFE, "mode=1777"),  # noqa: S108 - within the container
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": _SAFE},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*_SAFE, "ro"]},
        _tmpfs("/tmp", "nosuid", "nodev", "mode=1777"),  # noqa: S108 - within the container
    ]


def _bind(bind: Bind) -> dict[str, object]:
    return {
        "destination": bind.destination,
        "type": "bind",
        "source": bind.source,
        "options": ["rbind", "nosuid", "nodev"],
    }


def _tmpfs(destination: str, *options: str) -> dict[str, object]:
    return {
        "destination": destination,
        "type": "tmpfs",
        "source": "tmpfs",
        "options": list(options),
    }
