"""What a host has to offer for building and running images, as values."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from msgspec import Struct, field

Cgroups = Literal["v2", "hybrid", "v1", "none"]
Status = Literal["ok", "remark", "problem"]
Purpose = Literal["verify", "build", "gate", "run", "stage"]
"""What a host is used for."""
_NOTHING: Mapping[str, object] = MappingProxyType({})
NO_PLACES: Mapping[Purpose, tuple[Path, int]] = MappingProxyType({})


class ResourceLimits(Struct, frozen=True, kw_only=True):
    """Soft and hard limit of a process; -1 is unlimited."""

    soft: int
    hard: int


class EngineFile(Struct, frozen=True, kw_only=True):
    """A configuration file of an engine, as it reads it."""

    path: Path
    document: Mapping[str, object] = field(default_factory=lambda: _NOTHING)
    fault: str = ""
    """Why it cannot be read; the document is empty then."""


def last_text(files: Iterable[EngineFile], *keys: str) -> str:
    """Return a setting as the last file has it that has one, where drop-ins override; else ``""``.

    Args:
        files: in the order in which they are read.
        keys: the tables and the key, from the outside in.
    """
    last = ""
    for file in files:
        value: object = file.document
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        last = value if isinstance(value, str) else last
    return last


class EngineSetup(Struct, frozen=True, kw_only=True):
    """How the engines of a host are set up."""

    overrides: tuple[Path, ...] = ()
    """Files of users that override the site's policy.json or registries.conf."""
    registries: tuple[EngineFile, ...] = ()
    """registries.conf and its drop-ins, in the order in which they are read."""
    containerd: tuple[EngineFile, ...] = ()
    """The hosts.toml files."""
    crio: tuple[EngineFile, ...] = ()
    """crio.conf and its drop-ins, in the order in which they are read."""
    crio_policies: tuple[Path, ...] = ()
    """What CRI-O reads instead of policy.json for the pods of one namespace."""
    docker: EngineFile | None = None
    """daemon.json."""
    policy: EngineFile | None = None
    """policy.json of the host."""
    unverifying: tuple[str, ...] = ()
    """Engines that are installed and verify nothing."""
    network_stores: tuple[tuple[Path, str], ...] = ()
    """Image stores on network file systems, with the type; Podman's is where Podman says."""


class Host(Struct, frozen=True, kw_only=True):
    """What was found on a host."""

    root: bool
    system: str
    kernel: str
    cgroups: Cgroups
    programs: Mapping[str, str]
    """Version by name, for the programs that are installed."""
    driver: str = ""
    """Podman's storage driver; empty where Podman did not report it."""
    noexec: tuple[Path, ...] = ()
    """Of Podman's storage and the temporary folder, those on a mount that runs no programs."""
    network_builds: tuple[Path, str] | None = None
    """The storage of builds and the type of its file system, where that is a network's."""
    namespaces: int = 0
    """How many user namespaces the kernel allows."""
    subuids: int = 0
    subgids: int = 0
    local_user: bool = True
    """Whether this user is in /etc/passwd, and not in a directory such as LDAP only."""
    runtime_dir: bool = False
    """Whether XDG_RUNTIME_DIR is a folder that this user may write to."""
    fuse: bool = False
    network: bool = False
    """Whether Podman's default network can be made."""
    isolation: str = ""
    """How build steps are contained; empty where it was not tried, or cannot be done."""
    isolation_fault: str = ""
    """Why they cannot be."""
    keyring: bool = False
    emulated: tuple[str, ...] = ()
    """Further platforms whose programs run here, such as ``linux/arm64``."""
    emulation_fault: str = ""
    """What is missing to run those of others, where none do."""
    without_sigstore: frozenset[str] = frozenset()
    """Programs that Debian built without Sigstore."""
    engines: EngineSetup = field(default_factory=EngineSetup)
    free: Mapping[Purpose, tuple[Path, int]] = field(default_factory=lambda: NO_PLACES)
    """Where each purpose keeps what is large, and how many bytes are free there."""
    memory: Path | None = None
    """Where verifiers remember what they have seen, if it cannot be written."""
    gate_lacks: tuple[str, ...] = ()
    """Python packages of the gate that are not installed."""
    open_files: ResourceLimits = field(default_factory=lambda: ResourceLimits(soft=-1, hard=-1))
    processes: ResourceLimits = field(default_factory=lambda: ResourceLimits(soft=-1, hard=-1))


class HostCheck(Struct, frozen=True, kw_only=True):
    """One check, and the remedy where it found a problem."""

    name: str
    status: Status
    message: str
    hint: str = ""
