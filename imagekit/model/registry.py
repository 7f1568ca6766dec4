"""How registries are reached, and what is shown to them."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a registry knows a user by: name and password, or an identity token."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryOptions:
    """What a user said about registries, and how long is waited for them."""

    plain_http: bool = False
    """Speak HTTP without TLS; a registry on loopback needs no such word."""
    ca_file: Path | None = None
    """Certificate authorities to trust besides the system's."""
    connect_seconds: float = 10
    read_seconds: float = 30
    """The longest silence within an answer."""
    deadline_seconds: float = 60
    """The longest that one answer may take, more for what is large."""
    attempts: int = 4
    """How often a request is made whose fault may pass by itself."""
    realms: tuple[str, ...] | None = None
    """Hosts that may see logins for tokens, besides the registry's own; None for any by TLS."""
