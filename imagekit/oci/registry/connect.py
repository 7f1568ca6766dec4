"""Chooses what reaches a repository: a layout on disk, or a registry by one of two transports."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from imagekit.errors import ToolError
from imagekit.oci.location import LayoutLocation, LocatedRepository, Location
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import CatalogReader, RegistryReader, RegistryWriter

if TYPE_CHECKING:
    from imagekit.oci.layout import LayoutRegistry
    from imagekit.oci.registry.client import RegistryClient
    from imagekit.oci.registry.credentials import CredentialFinder
    from imagekit.oci.registry.transport import Request, Response, Transport

_HELPER_SECONDS = 30.0


def reader(location: Location, options: RegistryOptions) -> RegistryReader:
    """Return what reads from all registries, or from the layout; it starts in milliseconds."""
    return light(location, options)


def writer(place: LocatedRepository, options: RegistryOptions) -> RegistryWriter:
    """Return what writes to the repository's registry or layout."""
    if isinstance(place.location, LayoutLocation):
        return _layout(place.location)
    return _client(options, _Writing(place.repository.host, options))


def light(location: Location, options: RegistryOptions) -> RegistryWriter:
    """Return what writes to registries without oras: for few bytes, where every start counts."""
    return _layout(location) if isinstance(location, LayoutLocation) else _client(options)


def catalog(location: Location, options: RegistryOptions) -> CatalogReader:
    """Return what reads from registries, or from the layout, and lists their repositories."""
    return _layout(location) if isinstance(location, LayoutLocation) else _client(options)


def credential_finder() -> "CredentialFinder":
    """Return what finds the logins that podman and docker keep."""
    from imagekit.oci.registry.credentials import CredentialFinder

    return CredentialFinder(_run_helper)


class _Writing:
    """Reads by the light transport and writes by oras, which is loaded with the first write.

    What is published already costs no import of oras: most of its time.
    """

    def __init__(self, host: str, options: RegistryOptions) -> None:
        from imagekit.oci.registry.stdlib_transport import StdlibTransport

        self._host = host
        self._options = options
        self._light = StdlibTransport(options)

    def send(self, request: "Request") -> "Response":
        """Send one request."""
        # RFC 9110, section 9.2.1: safe methods are those that read only.
        sender = self._light if request.method in {"GET", "HEAD"} else self._oras
        return sender.send(request)

    @cached_property
    def _oras(self) -> "Transport":
        from imagekit.oci.registry.oras import OrasTransport

        return OrasTransport(self._host, self._options)


def _layout(location: LayoutLocation) -> "LayoutRegistry":
    from imagekit.oci.layout import LayoutRegistry, LayoutStore

    return LayoutRegistry(LayoutStore(location.path))


def _client(options: RegistryOptions, transport: "Transport | None" = None) -> "RegistryClient":
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
