"""The configuration of a host's runtime hooks, to which runtimes pass no options."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from imagekit.oci.digest import Digest
from imagekit.oci.reference import Reference


class GateConfig(Struct, frozen=True, kw_only=True):
    """The running gate that judges instead of a policy of the host's own."""

    address: str
    """``HOST`` or ``HOST:PORT``."""
    tls: bool = True
    """False on loopback only."""
    ca_file: Path | None = None
    """The only certificate authorities (PEM) for the gate; None for the system's."""
    registries: Mapping[str, str]
    """The gate's name for each registry behind it; empty where it stands before this one only."""

    @property
    def url(self) -> str:
        """Where the gate answers."""
        return f"{'https' if self.tls else 'http'}://{self.address}"


class HookConfig(Struct, frozen=True, kw_only=True):
    """How a runtime's plugin verifies: by a policy, or by asking a gate."""

    policy: Path | None = None
    gate: GateConfig | None = None
    """Asked instead; exactly one of the two is set."""
    policy_keys: tuple[Path, ...] = ()
    """One of these must have signed the policy; none where it is empty."""
    state: Path = Path("/var/lib/imagekit/seen.db")
    """Where seen releases are recorded."""
    plain_http: bool = False
    ca_file: Path | None = None
    realms: tuple[str, ...] = ()
    """Hosts that may see this host's logins for tokens, besides a registry's own."""
    seconds: int = 8
    """Without a verdict after so long, the answer is no."""


class HookDecision(Struct, frozen=True, kw_only=True):
    """The answer to a runtime about one image."""

    allowed: bool
    digest: Digest | None
    """What was judged; None where it is not known."""
    reason: str
    """One printable line, as the runtime shows it to its user."""

    def allows(self, digest: Digest) -> bool:
        """Return whether it is these bytes that are allowed."""
        return self.allowed and self.digest == digest


class ImageJudge(Protocol):
    """Judges images for a host's runtimes: by its policy, or by asking a gate."""

    def __call__(self, reference: Reference) -> HookDecision:
        """Judge an image.

        Raises:
            ImagekitError: there is no verdict; the caller refuses.
        """
        ...
