"""Typed access to JSON objects that others wrote; each fault is a DocumentError with its place."""

import base64
import binascii
from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct

from imagekit.errors import DocumentError

_SHOWN = 80


class Fields(Struct, frozen=True):
    """A JSON object, what it is, and the code that its faults are reported with."""

    values: Mapping[str, Any]
    what: str
    code: str

    @classmethod
    def of(cls, value: object, *, what: str, code: str) -> "Fields":
        """Take a value that must be an object.

        Raises:
            DocumentError: it is something else.
        """
        if not isinstance(value, dict):
            raise DocumentError(f"{what} is not a JSON object", code=code)
        return cls(value, what, code)

    def fault(self, message: str, *, hint: str = "") -> DocumentError:
        """Return the error to raise about this object."""
        return DocumentError(f"{self.what} {message}", hint=hint, code=self.code)

    def only(self, keys: Collection[str]) -> None:
        """Refuse every key that is not listed.

        Raises:
            DocumentError: there is another one.
        """
        unknown = sorted(set(self.values) - set(keys))
        if unknown:
            raise self.fault(f"has the unknown key {unknown[0][:_SHOWN]!r}")

    def exactly(self, keys: Collection[str]) -> None:
        """Refuse unknown and missing keys.

        Raises:
            DocumentError: the keys are others than these.
        """
        self.only(keys)
        missing = sorted(set(keys) - set(self.values))
        if missing:
            raise self.fault(f"has no {missing[0]!r}")

    def get(self, key: str) -> object:
        """Return the value, or None where there is none."""
        return self.values.get(key)

    def text(self, key: str) -> str:
        """Return a text that must be there.

        Raises:
            DocumentError: it is missing, no text, or holds half a surrogate pair.
        """
        value = self.values.get(key)
        if not isinstance(value, str):
            raise self.fault(f"has no text in {key!r}")
        # JSON can say "\ud800"; Go reads another character there than Python.
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise self.fault(f"has half a surrogate pair in {key!r}")
        return value

    def optional_text(self, key: str) -> str:
        """Return a text, or the empty one where it is missing or null.

        Raises:
            DocumentError: it is no text.
        """
        return "" if self.values.get(key) is None else self.text(key)

    def object(self, key: str) -> "Fields":
        """Return an object that must be there.

        Raises:
            DocumentError: it is missing or something else.
        """
        return Fields.of(self.values.get(key), what=f"{self.what}: {key}", code=self.code)

    def optional_object(self, key: str) -> "Fields":
        """Return an object, or an empty one where it is missing or null.

        Raises:
            DocumentError: it is something else.
        """
        if self.values.get(key) is None:
            return Fields({}, f"{self.what}: {key}", self.code)
        return self.object(key)

    def array(self, key: str, *, limit: int) -> list[Any]:
        """Return a list that must be there.

        Raises:
            DocumentError: it is missing, something else, or longer than ``limit``.
        """
        value = self.values.get(key)
        if not isinstance(value, list):
            raise self.fault(f"has no list in {key!r}")
        if len(value) > limit:
            raise self.fault(f"has {len(value)} entries in {key!r}; at most {limit} are read")
        return value

    def base64(self, key: str) -> bytes:
        """Return the bytes of a text in base64.

        Raises:
            DocumentError: it is missing or not strictly base64.
        """
        decoded = strict_base64(self.text(key))
        if decoded is None:
            raise self.fault(f"has no base64 in {key!r}")
        return decoded


def strict_base64(text: str) -> bytes | None:
    """Decode base64 (RFC 4648 section 4) that has exactly one way to be written, else None."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    # Bits that are dropped at the end could differ between two texts of the same bytes.
    return raw if base64.b64encode(raw).decode() == text else None


def base64_text(raw: bytes) -> str:
    """Encode bytes in base64."""
    return base64.b64encode(raw).decode()
