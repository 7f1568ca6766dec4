"""Keys that never leave their holder: what is asked of it, and what is believed."""

import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from imagekit.errors import SigningKeyError
from imagekit.signatures.keys.open import open_key
from imagekit.signatures.keys.remote import PinNeededError, TokenKey
from imagekit.signatures.publickey import PublicKey, public_key_of
from imagekit.signatures.signature import verify_legacy_signature, verify_signature

HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "521": hashes.SHA512()}


class _LibraryError(Exception):
    """What a library raises."""


class _Holder:
    """A holder in memory: a card that wants a PIN, or a cloud with its own hash."""

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
        *,
        any_hash: bool = True,
        pin: str = "",
    ) -> None:
        self._key = key
        self.any_hash = any_hash
        self.pin = pin
        self.typed = ""
        self.asked = 0
        self.calls = 0

    def public(self) -> PublicKey:
        return public_key_of(self._key.public_key())

    def sign(self, message: bytes, scheme: str) -> bytes:
        self.calls += 1
        if self.pin and not self.typed:
            raise PinNeededError
        if self.pin != self.typed:
            raise _LibraryError("PinIncorrect")
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            assert scheme == "ed25519"
            return self._key.sign(message)
        assert scheme.startswith("ecdsa-sha2-nistp")
        return self._key.sign(message, ec.ECDSA(HASHES[scheme[-3:]]))

    def ask(self) -> None:
        self.asked += 1
        self.typed = "1234"

    def fault(self, error: Exception) -> SigningKeyError:
        wrong = str(error) == "PinIncorrect"
        return SigningKeyError(f"said {error}", code="WRONG_PASSWORD" if wrong else "NO_KEY")


def _curve(curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve)


def test_a_wrong_pin_reaches_the_token_once() -> None:
    """A token that counts wrong PINs is not asked again by the same key."""
    holder = _Holder(_curve(ec.SECP256R1()), pin="other")
    key = TokenKey(holder, what="hsm:2")

    for _ in range(3):
        with pytest.raises(SigningKeyError, match="PinIncorrect"):
            key.sign(b"m")

    assert holder.asked == 1
    assert holder.calls == 2


def test_a_signature_that_does_not_hold_is_not_returned() -> None:
    """A holder whose private half is another's has signed nothing."""

    class Swapped(_Holder):
        def public(self) -> PublicKey:
            return public_key_of(_curve(ec.SECP256R1()).public_key())

    key = TokenKey(Swapped(_curve(ec.SECP256R1())), what="hsm:2")

    with pytest.raises(SigningKeyError, match="does not hold"):
        key.sign(b"m")
    with pytest.raises(SigningKeyError, match="does not hold"):
        key.sign_legacy(b"m")


def test_a_holder_that_never_answers_is_left() -> None:
    """The wait ends; the message says what it may be waiting for."""
    forever = threading.Event()

    class Silent(_Holder):
        def sign(self, message: bytes, scheme: str) -> bytes:
            forever.wait(60)
            return super().sign(message, scheme)

    key = TokenKey(Silent(_curve(ec.SECP256R1())), what="hsm:2", seconds=0.05)

    with pytest.raises(SigningKeyError, match=r"hsm:2: no answer") as caught:
        key.sign(b"m")
    forever.set()

    assert "touch" in caught.value.hint


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_a_cloud_with_its_own_hash_has_no_legacy_form(curve: ec.EllipticCurve) -> None:
    """It is told when the key is opened, and nothing was asked of the cloud."""
    holder = _Holder(_curve(curve), any_hash=False)

    with pytest.raises(SigningKeyError, match="SHA-256") as caught:
        TokenKey(holder, what="awskms:a").prove()

    assert "P-256" in caught.value.hint
    assert holder.calls == 0


@pytest.mark.parametrize(
    ("private", "probes"),
    [
        (_curve(ec.SECP256R1()), 1),
        (_curve(ec.SECP384R1()), 2),
        (_curve(ec.SECP521R1()), 2),
        (ed25519.Ed25519PrivateKey.generate(), 1),
    ],
    ids=["P-256", "P-384", "P-521", "Ed25519"],
)
def test_every_kind_signs_in_both_forms(
    private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, probes: int
) -> None:
    """A probe for each scheme, and no more: each may be a touch of a finger."""
    holder = _Holder(private, pin="1234")
    holder.typed = "1234"
    key = TokenKey(holder, what="hsm:2")
    key.prove()
    assert holder.calls == probes

    assert verify_signature(key.public_key, key.sign(b"m"), b"m")
    assert verify_legacy_signature(key.public_key, key.sign_legacy(b"m"), b"m")


def test_the_pin_is_asked_once_and_where_the_caller_is() -> None:
    """Somebody who types has all the time, so that it is not the thread with the deadline."""
    threads = []

    class Typed(_Holder):
        def ask(self) -> None:
            threads.append(threading.current_thread())
            super().ask()

    key = TokenKey(Typed(_curve(ec.SECP256R1()), pin="1234"), what="hsm:2")
    key.sign(b"m")
    key.sign(b"n")

    assert threads == [threading.current_thread()]


def test_a_key_shows_no_secret() -> None:
    """What lands in a log is the fingerprint of the public half."""
    holder = _Holder(_curve(ec.SECP256R1()))

    assert repr(TokenKey(holder, what="a")) == f"TokenKey({holder.public().fingerprint})"


@pytest.mark.parametrize(
    "where",
    [
        "hashivault://images",
        "k8s://a/b",
        Path("gitlab://a/b"),
        "yubikey:slot-id=9c",
        "PKCS11:id=%01",
    ],
)
def test_other_schemes_are_told_from_files(where: str | Path) -> None:
    """The ones that are taken are listed."""
    with pytest.raises(SigningKeyError, match="neither a file") as caught:
        open_key(where, str)

    assert "awskms:" in caught.value.hint


def test_a_path_with_a_colon_is_a_file(tmp_path: Path) -> None:
    """Only the known schemes are taken for URIs."""
    with pytest.raises(SigningKeyError, match="No such file"):
        open_key(tmp_path / "hsm:2", str)
