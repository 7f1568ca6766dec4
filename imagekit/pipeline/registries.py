"""Chooses what reaches a repository: a layout on disk, or a registry by one of two transports."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.errors import ToolError
from imagekit.model.reference import Repository
from imagekit.model.registry import RegistryOptions
from imagekit.ports import RegistryReader, RegistryWriter

if TYPE_CHECKING:
    from imagekit.adapters.registry.credentials import CredentialFinder

_HELPER_SECONDS = 30.0


def reader(repository: Repository, options: RegistryOptions) -> RegistryReader:
    """Return what reads from the repository's registry or layout; it starts in milliseconds."""
    return light(repository, options)


def writer(repository: Repository, options: RegistryOptions) -> RegistryWriter:
    """Return what writes to the repository's registry or layout."""
    return _layout() if repository.layout is not None else _client(repository, options, oras=True)


def light(repository: Repository, options: RegistryOptions) -> RegistryWriter:
    """Return what writes to a registry without oras: for few bytes, where every start counts."""
    return _layout() if repository.layout is not None else _client(repository, options, oras=False)


def saved_reader(folder: Path) -> RegistryReader:
    """Return what reads saved evidence as if it were every reference's registry.

    Args:
        folder: a layout that ``imagekit policy save`` or another tool wrote.
    """
    from imagekit.adapters.saved import SavedReader

    return SavedReader(folder)


def recorder(inner: RegistryReader, folder: Path) -> RegistryReader:
    """Return a reader that keeps what is read through it, for ``saved_reader``.

    Raises:
        RegistryError: the folder cannot be made.
    """
    from imagekit.adapters.saved import Recorder

    return Recorder(inner, folder)


def credential_finder() -> "CredentialFinder":
    """Return what finds the logins that podman and docker keep."""
    from imagekit.adapters.registry.credentials import CredentialFinder

    return CredentialFinder(_run_helper)


def _layout() -> RegistryWriter:
    from imagekit.adapters.layout import LayoutRegistry

    return LayoutRegistry()


def _client(repository: Repository, options: RegistryOptions, *, oras: bool) -> RegistryWriter:
    from imagekit.adapters.registry.client import RegistryClient
    from imagekit.adapters.registry.light import LightTransport
    from imagekit.adapters.registry.session import Session
    from imagekit.adapters.registry.transport import Transport

    light = LightTransport(options)
    transport: Transport = light
    if oras:
        from imagekit.adapters.registry.oras import OrasTransport

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
