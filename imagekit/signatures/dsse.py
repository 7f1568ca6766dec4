"""Dead Simple Signing Envelopes: what is signed, and the envelope's values.

https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

from msgspec import Struct


class Envelope(Struct, frozen=True, kw_only=True):
    """A payload with its type and the signatures over both."""

    payload: bytes
    payload_type: str
    # Their key ids are left out: unauthenticated, and nothing may be decided by them (protocol.md,
    # Signature Definition, KEYID).
    signatures: tuple[bytes, ...]

    @property
    def signed_bytes(self) -> bytes:
        """The bytes that each signature is over."""
        return pae(self.payload_type, self.payload)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding, PAE (protocol.md, Signature Definition).

    Lengths are those of the UTF-8 bytes.
    """
    # The lengths make it unambiguous: no other type and payload are encoded as the same bytes, so
    # that a signature over one statement is none over another document.
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
