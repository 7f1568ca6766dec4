"""A key that is opened when something is signed, and whose public half is remembered."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from imagekit.errors import SigningKeyError
from imagekit.sign.keyed import KeySigner
from imagekit.sign.shared_signer import SharedSigner
from imagekit.signatures.keys.key_files import FileKey, KeyFiles, generate
from imagekit.signatures.keys.sealed_key import SealedKey, sealed_key
from imagekit.signatures.signature import verify_signature


class Asking:
    """Says a password, and counts how often it was asked for."""

    def __init__(self, word: str = "secret") -> None:
        self.asked = 0
        self._word = word

    def __call__(self) -> str:
        """Return the password."""
        self.asked += 1
        return self._word


@pytest.fixture
def keys(tmp_path: Path) -> KeyFiles:
    """A key pair."""
    return generate(tmp_path, lambda: "secret")


def _key(keys: KeyFiles, asking: Asking, folder: str = "known") -> SealedKey | FileKey:
    return sealed_key(keys.private, asking, folder=keys.private.parent / folder)


def test_it_is_opened_once_and_with_the_first_signature(keys: KeyFiles) -> None:
    """The public half is that of the file, and what it signs verifies."""
    _ = _key(keys, Asking()).public_key
    asking = Asking()
    key = _key(keys, asking)

    assert (key.public_key, asking.asked) == (keys.public_key, 0)
    assert verify_signature(key.public_key, key.sign(b"message"), b"message")
    key.sign_legacy(b"payload")
    assert asking.asked == 1


def test_what_is_not_remembered_is_opened_for_it(keys: KeyFiles) -> None:
    """Nothing is taken from the public file beside it, which anybody may have put there."""
    keys.public.write_bytes(generate(keys.private.parent / "b", lambda: "x").public.read_bytes())
    asking = Asking()

    assert _key(keys, asking).public_key == keys.public_key
    assert asking.asked == 1


def test_another_file_is_another_key(keys: KeyFiles) -> None:
    """What is remembered goes by the bytes of the file, and not by its name."""
    _ = _key(keys, Asking()).public_key
    other = generate(keys.private.parent / "other", lambda: "secret")
    keys.private.write_bytes(other.private.read_bytes())

    assert _key(keys, Asking()).public_key == other.public_key


def test_a_wrong_password_is_found_when_it_is_opened(keys: KeyFiles) -> None:
    """Before anything is built, whoever asks: the signer, and one that several threads share."""
    _ = _key(keys, Asking()).public_key
    wrong = KeySigner(_key(keys, Asking("x")))
    for signer in (wrong, SharedSigner(wrong)):
        with pytest.raises(SigningKeyError) as caught:
            signer.open()

        assert caught.value.code == "WRONG_PASSWORD"


@pytest.mark.parametrize("bad", [b"", b"nonsense", b"x" * 1_000_000])
def test_a_record_that_is_no_key_is_none(keys: KeyFiles, bad: bytes) -> None:
    """The file is opened, and it is written again."""
    asking = Asking()
    _ = _key(keys, asking).public_key
    (record,) = (keys.private.parent / "known").iterdir()
    record.write_bytes(bad)

    assert _key(keys, asking).public_key == keys.public_key
    assert _key(keys, asking).public_key == keys.public_key
    assert asking.asked == 2


def test_where_nothing_can_be_remembered_it_works(keys: KeyFiles) -> None:
    """The folder is a file."""
    (keys.private.parent / "known").touch()

    assert _key(keys, Asking()).public_key == keys.public_key


def test_a_key_without_a_password_is_open(tmp_path: Path) -> None:
    """Reading it costs nothing."""
    raw = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = tmp_path / "plain.key"
    file.write_bytes(raw)
    asking = Asking()

    assert isinstance(sealed_key(file, asking, folder=tmp_path / "known"), FileKey)
    assert asking.asked == 0
