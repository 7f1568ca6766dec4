"""What a judge works with."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct, field

from imagekit.oci.location import REGISTRY, Location
from imagekit.oci.registry.ports import RegistryReader
from imagekit.signatures.ports import CertificateVerifier
from imagekit.verify.image_evidence import ImageEvidence
from imagekit.verify.ports import RollbackStore
from imagekit.verify.rollback import NoRollbackStore

if TYPE_CHECKING:
    from imagekit.needs.compare import FindLacks


class VerifyContext(Struct, frozen=True, kw_only=True):
    """What a judge needs besides the reference and the policy."""

    now: datetime
    """The present time, with its zone."""
    open_reader: Callable[[], RegistryReader]
    """Makes the way to the registry; called only where it is needed."""
    location: Location = REGISTRY
    """Where that way leads, for whoever reads the verdict."""
    certificates: CertificateVerifier | None = None
    """Verifies keyless signatures; without it none counts."""
    memory: RollbackStore = field(default_factory=NoRollbackStore)
    """What was seen before; without it a rule that wants ``monotonic`` says so."""
    watch: Callable[[ImageEvidence], None] | None = None
    """Is shown each manifest or index with what was found beside it: see ``account``."""
    find_lacks: "FindLacks | None" = None
    """Compares the node that is to run the image with what it needs; None where there is none, as
    at a gate."""
    horizon: datetime | None = None
    """How far ahead the end of the verdict is looked for: see ``Now``."""
    at_once: int = 1
    """How many requests about one image are under way at the same time."""
