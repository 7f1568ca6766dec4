"""A private key on a token or in a cloud, whatever reaches it."""

import threading
from collections.abc import Callable
from typing import Final, Protocol, TypeVar, assert_never

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from imagekit.errors import SigningKeyError
from imagekit.signatures.publickey import PublicKey, verifying_key
from imagekit.signatures.signature import verify_legacy_signature, verify_signature
from imagekit.signatures.sigstore.deadline import within

DEADLINE: Final = 60.0
"""Seconds for one answer of a holder; the user may have to touch a token in this time."""

_Result = TypeVar("_Result")
_SHA256 = "ecdsa-sha2-nistp256"
# securesystemslib's schemes, each with the hash of its curve, as bundles have it.
_BY_CURVE = {
    "secp256r1": _SHA256,
    "secp384r1": "ecdsa-sha2-nistp384",
    "secp521r1": "ecdsa-sha2-nistp521",
}
# Neither an encoded envelope nor a legacy payload: a signature of it is good for nothing.
_PROBE = b"imagekit: does this key sign?\n"


class PinNeededError(Exception):
    """The holder wants a PIN that was not asked for yet."""


class KeyBackend(Protocol):
    """What keeps a private key and signs with it; it raises whatever its library raises."""

    @property
    def any_hash(self) -> bool:
        """Whether the hash is computed here, so that it need not be the one of the curve."""
        ...

    def public(self) -> PublicKey:
        """Return the public half."""
        ...

    def sign(self, message: bytes, scheme: str) -> bytes:
        """Sign by one of securesystemslib's schemes; ECDSA in ASN.1 DER."""
        ...

    def ask(self) -> None:
        """Ask for the PIN; what needs it raises PinNeededError before.

        Raises:
            SigningKeyError: there is none.
        """
        ...

    def fault(self, error: Exception) -> SigningKeyError:
        """Return what to say about an error of the library."""
        ...


class TokenKey:
    """A private key that never leaves its holder: an implementation of ``ports.PrivateKey``.

    Args:
        backend: who keeps it.
        what: what messages call it.
        seconds: how long to wait for one answer of the holder.
    """

    def __init__(self, backend: KeyBackend, *, what: str, seconds: float = DEADLINE) -> None:
        self._backend = backend
        self._what = what
        self._seconds = seconds
        # A token knows one login at a time, and counts the wrong ones.
        self._lock = threading.Lock()
        self._refused: SigningKeyError | None = None
        self._public = self._asked(backend.public)

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a bundle: the hash goes with the curve, RSA is PKCS #1 v1.5."""
        return self._signed(message, _scheme(self._public), verify_signature)

    def sign_legacy(self, message: bytes) -> bytes:
        """Return the signature of a ``.sig`` payload: SHA-256 whatever the curve."""
        scheme = _legacy_scheme(self._public)
        if scheme != _scheme(self._public) and not self._backend.any_hash:
            raise SigningKeyError(
                f"{self._what} signs with the hash of its curve only, and podman wants SHA-256",
                hint="make a key on the curve P-256",
                code="BAD_KEY",
            )
        return self._signed(message, scheme, verify_legacy_signature)

    def prove(self) -> None:
        """Sign something in both forms, so that what is wrong is found before it matters.

        Raises:
            SigningKeyError: it does not sign, or another key than the public one says.
        """
        self.sign_legacy(_PROBE)
        if _scheme(self._public) != _legacy_scheme(self._public):
            self.sign(_PROBE)

    def _signed(
        self,
        message: bytes,
        scheme: str,
        verified: Callable[[PublicKey, bytes, bytes], bool],
        /,
    ) -> bytes:
        signature = self._asked(lambda: self._backend.sign(message, scheme))
        if not verified(self._public, signature, message):
            raise SigningKeyError(
                f"a signature of {self._what} does not hold under its own public half",
                hint="do the two halves belong together?",
                code="BAD_KEY",
            )
        return signature

    def _asked(self, call: Callable[[], _Result], /) -> _Result:
        with self._lock:
            if self._refused is not None:
                raise self._refused
            try:
                return self._answer(call)
            except Exception as error:  # the libraries raise what theirs raise, without one base
                fault = self._fault(error)
                if fault.code == "WRONG_PASSWORD":
                    # The same PIN again would lock the token.
                    self._refused = fault
                raise fault from error

    def _answer(self, call: Callable[[], _Result], /) -> _Result:
        try:
            return within(self._seconds, call)
        except PinNeededError:
            # Here and not in the other thread: typing it has no time limit.
            self._backend.ask()
            return within(self._seconds, call)

    def _fault(self, error: Exception, /) -> SigningKeyError:
        if isinstance(error, SigningKeyError):
            return error
        if isinstance(error, TimeoutError):
            return SigningKeyError(
                f"{self._what}: {error}",
                hint="is it there, and does it wait for a touch?",
                code="NO_ANSWER",
            )
        return self._backend.fault(error)

    def __repr__(self) -> str:
        return f"TokenKey({self._public.fingerprint})"


def _scheme(public_key: PublicKey, /) -> str:
    match verifying_key(public_key):
        case ec.EllipticCurvePublicKey() as key:
            return _BY_CURVE[key.curve.name]
        case rsa.RSAPublicKey():
            return "rsa-pkcs1v15-sha256"
        case ed25519.Ed25519PublicKey():
            return "ed25519"
        case never:
            assert_never(never)


def _legacy_scheme(public_key: PublicKey, /) -> str:
    # The scheme says the hash only: securesystemslib does not compare it with the key's curve.
    scheme = _scheme(public_key)
    return _SHA256 if scheme.startswith("ecdsa-") else scheme
