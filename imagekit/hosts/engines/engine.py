"""The files that make a host's engines ask the gate, as values."""

from enum import StrEnum
from pathlib import PurePosixPath

from msgspec import Struct

from imagekit.oci.digest import Digest


class Engine(StrEnum):
    """What pulls images on a host, or shares the configuration of what does."""

    CONTAINERS = "containers"
    """Podman, Buildah, Skopeo, CRI-O and Apptainer: /etc/containers."""
    CONTAINERD = "containerd"
    DOCKER = "docker"


class Route(Struct, frozen=True, kw_only=True):
    """A registry that is reached through the gate only."""

    registry: str
    """As references name it: ``registry.example.org``, or with a port."""
    below: str = ""
    """The gate's name for it, where the gate stands before several."""


class GateAddress(Struct, frozen=True, kw_only=True):
    """The gate that engines are sent to."""

    address: str
    """``HOST`` or ``HOST:PORT``."""
    routes: tuple[Route, ...]
    tls: bool = True
    """False for plain HTTP: for a gate on loopback."""
    authority: bytes = b""
    """Certificate authorities (PEM) for the gate; empty for the system's."""

    @property
    def url(self) -> str:
        """Where the gate answers."""
        return f"{'https' if self.tls else 'http'}://{self.address}"


class SystemFile(Struct, frozen=True, kw_only=True):
    """A file of the host as it should be."""

    path: PurePosixPath
    """From the root of the host."""
    content: bytes
    why: str
    """What it makes which engine do, for the reader of the plan."""


class Installed(Struct, frozen=True, kw_only=True):
    """A file that was installed, and how to undo that."""

    path: PurePosixPath
    digest: Digest
    """Of what was written."""
    before: Digest | None
    """Of what was there; its bytes are kept. None where there was nothing."""


class PlanRemark(Struct, frozen=True, kw_only=True):
    """What an admin has to know of the plan, or has to do beside it."""

    code: str
    message: str
    hint: str = ""
