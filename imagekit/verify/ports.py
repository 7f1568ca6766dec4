"""What a verifier asks of its memory of releases."""

from typing import Protocol

from msgspec import Struct

from imagekit.oci.digest import Digest


class HighWaterMark(Struct, frozen=True, kw_only=True):
    """The highest that was seen under a name, and what it was."""

    sequence: int
    digest: Digest

    def goes_back_from(self, highest: "HighWaterMark") -> bool:
        """Return whether this is older than the highest, or another thing of the same sequence."""
        # Two images of one sequence could be exchanged for each other again and again.
        same = self.sequence == highest.sequence
        return self.sequence < highest.sequence or (same and self.digest != highest.digest)


class RollbackStore(Protocol):
    """What a verifier has seen before, so that no rollback goes unnoticed.

    A memory that cannot be read or written raises RollbackStoreError; whether that denies is the
    policy's to say.
    """

    def highest(self, name: str) -> HighWaterMark | None:
        """Return the highest that was seen under a name, or None where it is new."""
        ...

    def remember(self, name: str, seen: HighWaterMark) -> None:
        """Keep what was seen, unless the same or something higher is kept already."""
        ...
