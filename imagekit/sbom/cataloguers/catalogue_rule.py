"""How much is read of a file that a cataloguer asks for."""

from collections.abc import Callable
from typing import BinaryIO, Literal

from msgspec import Struct

KIB, MIB = 1 << 10, 1 << 20


class CatalogueRule(Struct, frozen=True):
    """How much of a file is read, and what happens to a larger one."""

    limit: int
    """Most bytes of the file."""
    excess: Literal["cut", "skip"]
    border: bytes = b""
    """What ends an entry, where a file that is cut may lose whole entries only."""
    extract: Callable[[BinaryIO, int], bytes] | None = None
    """For a file that is no text and read at any place: makes the small document that is kept of
    it, from the open file and its size in bytes. What it cannot read it says in that document."""

    def whole(self, raw: bytes) -> bytes:
        """Return the first bytes of a larger file without an entry that was cut in two."""
        if not self.border:
            return raw
        head, border, _ = raw.rpartition(self.border)
        return head + border

    def kept(self, size: int) -> int | None:
        """Return how many bytes of a file of a size are kept; None to leave it out."""
        if size > self.limit and self.excess == "skip":
            return None
        return min(size, self.limit)


TEXT = CatalogueRule(MIB, "skip")
METADATA = CatalogueRule(MIB, "cut")
LIST = CatalogueRule(32 * MIB, "skip")
