"""A signing key whose file asks for a password: opened when something is signed, and not before.

Opening one is made slow on purpose, and what is published already needs the public half only. That
is remembered by the digest of the file, in a folder of the user's own: whoever can write there can
also write what signs.
"""

import hashlib
import threading
from contextlib import suppress
from pathlib import Path

from imagekit.errors import ImagekitError
from imagekit.inputs import read_regular
from imagekit.oci.layout import write_whole
from imagekit.signatures.keys.cosign import is_encrypted, load_private_key
from imagekit.signatures.keys.key_files import FileKey, Password, read_key_file
from imagekit.signatures.publickey import (
    MAX_KEY_FILE,
    PublicKey,
    parse_public_key,
    public_key_pem,
)


class SealedKey:
    """A private key in a file: an implementation of ``ports.PrivateKey``.

    Args:
        raw: the file.
        password: asked when it is opened.
        what: the name of the file, for messages.
        folder: where public halves are remembered.
    """

    def __init__(self, raw: bytes, password: Password, *, what: str, folder: Path) -> None:
        self._raw = raw
        self._password = password
        self._what = what
        self._record = folder / f"{hashlib.sha256(raw).hexdigest()}.pub"
        self._public = _remembered(self._record)
        self._key: FileKey | None = None
        self._turn = threading.Lock()

    @property
    def public_key(self) -> PublicKey:
        """The public half; where it is not remembered, the file is opened for it.

        Raises:
            SigningKeyError: the password is wrong, or the key may not sign.
        """
        return self._public or self.open().public_key

    def open(self) -> FileKey:
        """Open the file, if it is not open: a wrong password is found now.

        Raises:
            SigningKeyError: the password is wrong, or the key may not sign.
        """
        with self._turn:
            if self._key is None:
                key = load_private_key(self._raw, password=self._password(), what=self._what)
                self._key = FileKey(key, what=self._what)
                self._public = self._key.public_key
                _remember(self._record, self._public)
            return self._key

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a bundle."""
        return self.open().sign(message)

    def sign_legacy(self, message: bytes) -> bytes:
        """Return the signature of a ``.sig`` payload."""
        return self.open().sign_legacy(message)

    def __repr__(self) -> str:
        return f"SealedKey({self._what})"


def sealed_key(path: Path, password: Password, *, folder: Path) -> SealedKey | FileKey:
    """Return the key in a file, unopened where it asks for a password.

    Args:
        path: the file.
        password: asked where the key is encrypted, and not otherwise.
        folder: where public halves are remembered.

    Raises:
        SigningKeyError: there is no such file, or it holds no private key.
    """
    raw = read_key_file(path)
    if is_encrypted(raw, what=str(path)):
        return SealedKey(raw, password, what=str(path), folder=folder)
    return FileKey.from_file(path, password)


def _remembered(record: Path) -> PublicKey | None:
    try:
        return parse_public_key(read_regular(record, limit=MAX_KEY_FILE), what=str(record))
    except (OSError, ImagekitError):
        return None


def _remember(record: Path, key: PublicKey) -> None:
    with suppress(OSError):
        record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(record, public_key_pem(key))
