"""Keeping texts of the host out of layers.

A step sees the proxies of the host, as it may need them, and may write them anywhere. So the bytes
of the layer are searched.
"""

from collections.abc import Iterable

from msgspec import Struct

from imagekit.build.catalogued import shown
from imagekit.errors import BuildError


class Mark(Struct, frozen=True):
    """A text of the host that builds, which is no part of what is built."""

    text: bytes
    label: str
    """What it is, for messages: never the text itself."""
    secret: bool = False
    """Whether it is a credential; such a text is refused even where the recipe has it too."""


HOST_TEXT = "build/host-text"
"""Code of the error for a text of the host in a layer or a configuration."""


class Marks:
    """Searches what becomes a part of an image for texts of the host.

    Args:
        marks: the texts.
    """

    def __init__(self, marks: Iterable[Mark] = ()) -> None:
        self._marks = tuple(mark for mark in marks if mark.text)
        self._overlap = max((len(mark.text) for mark in self._marks), default=1) - 1

    def check(self, raw: bytes, *, where: str) -> None:
        """Refuse bytes that hold one of the texts.

        Args:
            raw: the bytes.
            where: what they are, for the message.

        Raises:
            BuildError: one of the texts is in them.
        """
        for mark in self._marks:
            if mark.text in raw:
                raise BuildError(
                    f"{where} holds {mark.label} of this host, which nobody who pulls may see",
                    hint="let the step that wrote it leave it out, or unset the variables of the "
                    "proxy there",
                    code=HOST_TEXT,
                )

    def check_entry(self, header: bytes, path: str) -> None:
        """Refuse the header of an archive's entry that holds one of the texts.

        Raises:
            BuildError: one of the texts is in it.
        """
        if any(mark.text in header for mark in self._marks):
            self.check(header, where=f"the name or a link of {shown(path)}")

    def following(self, before: bytes, piece: bytes, *, where: str) -> bytes:
        """Check a piece of a file, and return the bytes to put before the next piece.

        A text may begin in one piece and end in the next.

        Args:
            before: what the last call returned; nothing at the beginning.
            piece: the next bytes.
            where: the path of the file, for the message.

        Raises:
            BuildError: one of the texts is in the file.
        """
        if not self._marks:
            return b""
        joined = before + piece
        if any(mark.text in joined for mark in self._marks):
            self.check(joined, where=shown(where))
        return joined[len(joined) - self._overlap :] if self._overlap else b""
