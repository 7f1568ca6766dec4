"""Content digests (OCI image-spec, descriptor.md "Digests")."""

import hashlib
from typing import Self

from msgspec import Struct

from imagekit.errors import IntegrityError, InvalidReferenceError

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_HEX = frozenset("0123456789abcdef")


class Digest(Struct, frozen=True, order=True):
    """An algorithm and the lower-case hexadecimal value, such as ``sha256:9f2c...``."""

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        """Check the pair, so that no malformed digest exists.

        Raises:
            InvalidReferenceError: unknown algorithm, wrong length or characters.
        """
        # descriptor.md, "SHA-256" and "SHA-512": hexadecimal in lower case. By "Digests", unknown
        # algorithms should pass; here content is always verified, so that they are refused.
        length = _HEX_LENGTH.get(self.algorithm)
        if length is None or len(self.hex) != length or not _HEX.issuperset(self.hex):
            shown = f"{self.algorithm[:16]}:{self.hex[:140]}"
            raise InvalidReferenceError(
                f"{shown!r} is not a digest",
                hint="a digest is sha256: and 64 lower-case hexadecimal digits",
                code="INVALID_DIGEST",
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``ALGORITHM:HEX``.

        Raises:
            InvalidReferenceError: the text is not a digest of a known algorithm.
        """
        algorithm, _, value = text.partition(":")
        return cls(algorithm, value)

    @classmethod
    def of(cls, raw: bytes) -> Self:
        """Return the SHA-256 digest of the bytes."""
        return cls("sha256", hashlib.sha256(raw).hexdigest())

    @classmethod
    def all_of(cls, raw: bytes) -> tuple[Self, ...]:
        """Return all digests of the bytes, by every algorithm that is known."""
        return tuple(cls(name, hashlib.new(name, raw).hexdigest()) for name in _HEX_LENGTH)

    @property
    def short(self) -> str:
        """A form for screens; never for decisions."""
        return f"{self.algorithm}:{self.hex[:12]}"

    def check(self, raw: bytes, *, what: str) -> None:
        """Compare the bytes with this digest.

        Args:
            raw: the bytes that were received.
            what: what they should be, for the message.

        Raises:
            IntegrityError: they differ.
        """
        actual = hashlib.new(self.algorithm, raw).hexdigest()
        if actual != self.hex:
            raise IntegrityError(
                f"{what} has the digest {self.algorithm}:{actual} and not {self}",
                hint="something between here and the store altered it: do not use it",
                code="CONTENT_DIGEST_MISMATCH",
            )

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"
