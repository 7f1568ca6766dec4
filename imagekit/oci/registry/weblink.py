"""The Link header: where a registry's list goes on (RFC 8288 section 3).

Read by characters and in full, since what is passed over may be the way to a page with a withdrawal
on it: several links, tokens and quoted strings, any case of names and relations, several relations
in one value, commas and semicolons within quotes and brackets. What cannot be read is an error.
"""

from collections.abc import Iterator

from msgspec import Struct

from imagekit.errors import DocumentError

MAX_HEADER = 16 << 10
"""Longest header that is read, in characters."""
_SPACE = " \t"
# RFC 9110 section 5.6.2.
_TOKEN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~")


class Link(Struct, frozen=True, kw_only=True):
    """One link."""

    target: str
    """Where it leads: a reference, relative to the page."""
    relations: frozenset[str]
    """What lies there, in lower case."""
    anchor: str | None
    """What it is about, relative to the page, where that is not the page itself."""


def parse_links(header: str) -> tuple[Link, ...]:
    """Read a Link header; several of them are joined by commas.

    Raises:
        DocumentError: it is not of the grammar, or too long.
    """
    if len(header) > MAX_HEADER:
        raise DocumentError(f"it has {len(header)} characters; {MAX_HEADER} are the most")
    return tuple(_links(_Cursor(header)))


class _Cursor:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def next(self) -> str:
        """The next character; an empty text at the end."""
        return self._text[self._at : self._at + 1]

    def skip(self, characters: str) -> None:
        """Go past all that are of these."""
        while self.next and self.next in characters:
            self._at += 1

    def accept(self, character: str) -> bool:
        """Go past a character, if it is the next one."""
        good = self.next == character
        self._at += good
        return good

    def before(self, ends: str) -> str:
        """Return what stands before one of these characters, or before the end."""
        start = self._at
        while self.next and self.next not in ends:
            self._at += 1
        return self._text[start : self._at]

    def fault(self, what: str) -> DocumentError:
        """Return the error for what was found here."""
        return DocumentError(f"{what} at character {self._at + 1}")


def _links(cursor: _Cursor) -> Iterator[Link]:
    while True:
        # Empty elements of a list are allowed (RFC 9110 section 5.6.1.2).
        cursor.skip(_SPACE + ",")
        if not cursor.next:
            return
        if not cursor.accept("<"):
            raise cursor.fault("no link begins")
        target = cursor.before(">")
        if not cursor.accept(">"):
            raise cursor.fault("a link does not end")
        parameters: dict[str, str] = {}
        for name, value in _parameters(cursor):
            # Of several relations the first counts (RFC 8288 section 3.3).
            parameters.setdefault(name, value)
        yield Link(
            target=target,
            relations=frozenset(parameters.get("rel", "").lower().split()),
            anchor=parameters.get("anchor"),
        )


def _parameters(cursor: _Cursor) -> Iterator[tuple[str, str]]:
    while True:
        cursor.skip(_SPACE)
        if cursor.next in {"", ","}:
            return
        if not cursor.accept(";"):
            raise cursor.fault("no parameter begins")
        cursor.skip(_SPACE)
        if cursor.next in {"", ",", ";"}:
            continue
        name = cursor.before(_SPACE + "=;,")
        if not name or not _TOKEN.issuperset(name):
            raise cursor.fault("no name of a parameter")
        cursor.skip(_SPACE)
        if cursor.accept("="):
            cursor.skip(_SPACE)
            yield name.lower(), _value(cursor)
        else:
            yield name.lower(), ""


def _value(cursor: _Cursor) -> str:
    if not cursor.accept('"'):
        # Not only tokens: relations that are URIs, or several of them, are seen without quotes.
        bare = cursor.before(";,").strip(_SPACE)
        if '"' in bare:
            raise cursor.fault("a quote within a value")
        return bare
    value = ""
    while True:
        value += cursor.before('"\\')
        if cursor.accept("\\") and cursor.next:
            value += cursor.next
            cursor.accept(cursor.next)
        elif cursor.accept('"'):
            return value
        else:
            raise cursor.fault("a quoted value does not end")
