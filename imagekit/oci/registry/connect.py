"""Chooses what reaches a repository: a layout on disk, or a registry by one of two transports."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.errors import ToolError
from imagekit.oci.reference import Repository
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryReader, RegistryWriter

if TYPE_CHECKING:
    from imagekit.oci.registry.credentials import CredentialFinder

_HELPER_SECONDS = 30.0


def reader(repository: Repository, options: RegistryOptions) -> RegistryReader:
    """Return what reads from the repository's registry or layout; it starts in milliseconds."""
    return light(repository, options)


def writer(repository: Repository, options: RegistryOptions) -> RegistryWriter:
    """Return what writes to the repository's registry or layout."""
    if repository.layout is not None:
        return _layout(repository.layout)
    return _client(repository, options, oras=True)


def light(repository: Repository, options: RegistryOptions) -> RegistryWriter:
    """Return what writes to a registry without oras: for few bytes, where every start counts."""
    if repository.layout is not None:
        return _layout(repository.layout)
    return _client(repository, options, oras=False)


def credential_finder() -> "CredentialFinder":
    """Return what finds the logins that podman and docker keep."""
    from imagekit.oci.registry.credentials import CredentialFinder

    return CredentialFinder(_run_helper)


def _layout(folder: Path) -> RegistryWriter:
    from imagekit.oci.layout import LayoutRegistry, LayoutStore

    return LayoutRegistry(LayoutStore(folder))


def _client(repository: Repository, options: RegistryOptions, *, oras: bool) -> RegistryWriter:
    from imagekit.oci.registry.client import RegistryClient
    from imagekit.oci.registry.session import Session
    from imagekit.oci.registry.stdlib_transport import LightTransport
    from imagekit.oci.registry.transport import Transport

    light = LightTransport(options)
    transport: Transport = light
    if oras:
        from imagekit.oci.registry.oras import OrasTransport

        transport = OrasTransport(repository.host, options)
    session = Session(transport, light, options=options, credentials=credential_finder().find)
    return RegistryClient(session)


def _run_helper(argv: Sequence[str], given: bytes) -> bytes:
    """Ask a credential helper (docker-credential-helpers, "get"); no event tells its answer."""
    from imagekit.process import Runner

    outcome = Runner().run(argv, stdin=given, limit=_HELPER_SECONDS, check=False)
    if outcome.status != 0:
        raise ToolError(
            f"{argv[0]} ended with {outcome.status}",
            hint="log in again, or name another login file in REGISTRY_AUTH_FILE",
            output=outcome.last_lines,
        )
    return outcome.stdout.encode()
