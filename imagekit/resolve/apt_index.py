"""The indexes that apt fetched, by the digests of what they list."""

import re
from functools import cached_property
from pathlib import Path

from imagekit.errors import BuildError
from imagekit.oci.digest import Digest
from imagekit.resolve.dpkg_status import fields_of

_MAX_INDEX = 1 << 30
_PACKAGE = re.compile(r"^Package: (.+)$", re.MULTILINE)
_SHA256 = re.compile(r"^SHA256: ([0-9a-f]{64})$", re.MULTILINE)


class AptIndex:
    """Every package of the archives, found by the digest of its file.

    A name and a version do not do: two archives may have different files of both.

    Args:
        lists: the folder of apt's lists.

    Raises:
        BuildError: an index is larger than anything that is known.
    """

    def __init__(self, lists: Path) -> None:
        self._texts: list[str] = []
        self._places: dict[str, tuple[int, int]] = {}
        for path in sorted(lists.glob("*_Packages")):
            if path.stat().st_size > _MAX_INDEX:
                raise BuildError(f"the index {path.name} is too large", code="lock/no-index")
            text = path.read_text(encoding="utf-8", errors="replace")
            for found in _SHA256.finditer(text):
                self._places.setdefault(found[1], (len(self._texts), found.start()))
            self._texts.append(text)

    def stanza(self, sha256: Digest) -> str | None:
        """Return the stanza of a package; None where no archive has it."""
        place = self._places.get(sha256.hex)
        return None if place is None else self._stanza(place)

    def source(self, name: str) -> str:
        """Return the name of the source package that a package is built of; its own if not known.

        That of any version: the one that is looked for may have left the archive.
        """
        place = self._names.get(name)
        # deb-control(5), Source: left out where it is the package's own name, else NAME (VERSION).
        source = "" if place is None else fields_of(self._stanza(place)).get("source", "")
        return source.partition(" ")[0] or name

    @cached_property
    def _names(self) -> dict[str, tuple[int, int]]:
        return {
            found[1]: (number, found.start())
            for number, text in enumerate(self._texts)
            for found in _PACKAGE.finditer(text)
        }

    def _stanza(self, place: tuple[int, int]) -> str:
        text, at = self._texts[place[0]], place[1]
        start, end = text.rfind("\n\n", 0, at), text.find("\n\n", at)
        return text[0 if start < 0 else start + 2 : None if end < 0 else end].strip("\n")
