"""Chooses what reaches a repository: a layout on disk, or a registry by one of two transports."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imagekit.errors import ToolError
from imagekit.oci.location import LayoutLocation, LocatedRepository, Location
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryReader, RegistryWriter

if TYPE_CHECKING:
    from imagekit.oci.registry.credentials import CredentialFinder
    from imagekit.oci.registry.transport import Transport

_HELPER_SECONDS = 30.0


def reader(location: Location, options: RegistryOptions) -> RegistryReader:
    """Return what reads from all registries, or from the layout; it starts in milliseconds."""
    return light(location, options)


def writer(place: LocatedRepository, options: RegistryOptions) -> RegistryWriter:
    """Return what writes to the repository's registry or layout."""
    if isinstance(place.location, LayoutLocation):
        return _layout(place.location)
    from imagekit.oci.registry.oras import OrasTransport

    return _client(options, OrasTransport(place.repository.host, options))


def light(location: Location, options: RegistryOptions) -> RegistryWriter:
    """Return what writes to registries without oras: for few bytes, where every start counts."""
    return _layout(location) if isinstance(location, LayoutLocation) else _client(options)


def credential_finder() -> "CredentialFinder":
    """Return what finds the logins that podman and docker keep."""
    from imagekit.oci.registry.credentials import CredentialFinder

    return CredentialFinder(_run_helper)


def _layout(location: LayoutLocation) -> RegistryWriter:
    from imagekit.oci.layout import LayoutRegistry, LayoutStore

    return LayoutRegistry(LayoutStore(location.path))


def _client(options: RegistryOptions, transport: "Transport | None" = None) -> RegistryWriter:
    from imagekit.oci.registry.client import RegistryClient
    from imagekit.oci.registry.session import Session
    from imagekit.oci.registry.stdlib_transport import StdlibTransport

    light = StdlibTransport(options)
    find = credential_finder().find
    return RegistryClient(Session(transport or light, light, options=options, credentials=find))


def _run_helper(argv: Sequence[str], stdin: bytes) -> bytes:
    """Ask a credential helper (docker-credential-helpers, "get"); no event shows its answer."""
    from imagekit.process import Runner

    outcome = Runner().run(argv, stdin=stdin, limit=_HELPER_SECONDS, check=False)
    if outcome.status != 0:
        raise ToolError(
            f"{argv[0]} ended with {outcome.status}",
            hint="log in again, or name another login file in REGISTRY_AUTH_FILE",
            output=outcome.last_lines,
        )
    return outcome.stdout.encode()
