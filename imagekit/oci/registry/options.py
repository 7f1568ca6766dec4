"""How registries are reached, and what is shown to them."""

from pathlib import Path
from typing import Self

from msgspec import Struct
from msgspec.structs import replace


class Credential(Struct, frozen=True, kw_only=True):
    """What a registry knows a user by: name and password, or an identity token."""

    username: str = ""
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return f"Credential(username={self.username!r})"


class RegistryOptions(Struct, frozen=True, kw_only=True):
    """What a user said about registries, and how long is waited for them."""

    plain_http: bool = False
    """Speak HTTP without TLS; a registry on loopback needs no such word."""
    plain_hosts: frozenset[str] | None = None
    """The registries that ``plain_http`` speaks of; None for all."""
    ca_file: Path | None = None
    """Certificate authorities to trust besides the system's."""
    connect_seconds: float = 10
    read_seconds: float = 30
    """The longest silence within an answer."""
    deadline_seconds: float = 60
    """The longest that one answer may take, more for what is large."""
    attempts: int = 4
    """How often a request is made whose fault may pass by itself."""
    settle_seconds: float = 3
    """How long is waited for other writers of a tag, where a registry has no conditions."""
    realms: tuple[str, ...] = ()
    """Hosts that may see logins for tokens, besides the registry's own and those below it."""

    def of(self, host: str) -> Self:
        """Return the options for one registry."""
        if self.plain_hosts is None or host in self.plain_hosts:
            return self
        return replace(self, plain_http=False)
