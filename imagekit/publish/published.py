"""Images that were published, as publish tells of them."""

from dataclasses import dataclass
from typing import Literal

from imagekit.oci.location import Location
from imagekit.oci.reference import PinnedReference

Status = Literal["published", "completed", "unchanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedImage:
    """An image that lies signed, attested and tagged in a registry or layout."""

    reference: PinnedReference
    location: Location
    """Where it lies: ``LocatedReference(location, reference)`` is what can be verified."""
    name: str
    version: str
    tags: tuple[str, ...]
    status: Status
    """``published`` now; ``completed`` where something was missing; ``unchanged`` where not."""
    written: tuple[str, ...] = ()
    """What was attached now: ``bundle``, ``legacy``, ``sbom`` ..."""
