"""What the faces on a host are told by their configuration file: runtimes pass them no options."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceConfig:
    """How a runtime's plugin verifies."""

    policy: Path
    policy_keys: tuple[Path, ...] = ()
    """One of these must have signed the policy; none where it is empty."""
    state: Path = Path("/var/lib/imagekit/seen.db")
    """Where seen releases are remembered."""
    plain_http: bool = False
    ca_file: Path | None = None
    seconds: int = 8
    """Without a verdict after so long, the answer is no."""
