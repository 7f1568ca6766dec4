"""Images that were published, as values."""

from typing import Literal

from msgspec import Struct

from imagekit.oci.location import Location
from imagekit.oci.reference import PinnedReference

Status = Literal["published", "completed", "unchanged", "stale"]


class PublishedImage(Struct, frozen=True, kw_only=True):
    """An image that is signed, attested and tagged in a registry or layout."""

    reference: PinnedReference
    location: Location
    """Where it is, so that ``LocatedReference(location, reference)`` can be verified."""
    name: str
    version: str
    tags: tuple[str, ...]
    status: Status
    """``published`` now; ``completed`` where something was missing; ``unchanged`` where not;
    ``stale`` where it was built from something else than a build would use now."""
    moved: tuple[str, ...] = ()
    """What is another one since a stale image was built."""
    changes: str = ""
    """What it changes since the release before it, in one line; empty where that is not known."""
    written: tuple[str, ...] = ()
    """What was attached now: ``bundle``, ``legacy``, ``sbom`` ..."""
