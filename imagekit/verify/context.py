"""What a judge works with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from imagekit.oci.registry.ports import RegistryReader
from imagekit.signatures.ports import CertificateVerifier
from imagekit.verify.fresh import NoMemory
from imagekit.verify.image_evidence import Case
from imagekit.verify.ports import Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a judge needs besides the reference and the policy."""

    now: datetime
    """The present time, with its zone."""
    open_reader: Callable[[], RegistryReader]
    """Makes the way to the registry; called only where it is needed."""
    certificates: CertificateVerifier | None = None
    """Verifies keyless signatures; without it none counts."""
    memory: Memory = field(default_factory=NoMemory)
    """What was seen before; without it a rule that wants ``monotonic`` says so."""
    watch: Callable[[Case], None] | None = None
    """Is shown each manifest or index with what was found beside it: see ``account``."""
    at_once: int = 1
    """How many requests about one image are under way at the same time."""
