"""Signing keys in files."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, assert_never

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from msgspec import Struct

from imagekit.errors import SigningKeyError
from imagekit.inputs import read_regular
from imagekit.signatures.keys.cosign import (
    NONCE_SIZE,
    SALT_SIZE,
    Signing,
    cosign_key_pem,
    is_encrypted,
    load_private_key,
)
from imagekit.signatures.publickey import (
    KINDS,
    MAX_KEY_FILE,
    PublicKey,
    parse_public_key,
    public_key_of,
    public_key_pem,
)
from imagekit.signatures.signature import bundle_hash

KEY_FILE = "imagekit.key"
PUBLIC_FILE = "imagekit.pub"

Password = Callable[[], str]
"""Finds the password of a key; it is only called where a key asks for one."""


class FileKey:
    """A private key in this process: an implementation of ``ports.PrivateKey``."""

    def __init__(self, key: Signing, *, what: str = "the key") -> None:
        self._key = key
        self._public = public_key_of(key.public_key(), what=what)

    @classmethod
    def from_file(cls, path: Path | str, password: Password) -> Self:
        """Open a private key file: cosign's format, PKCS#8, SEC1 or PKCS#1.

        Args:
            path: the file.
            password: asked where the key is encrypted, and not otherwise.

        Raises:
            SigningKeyError: there is no such file, the password is wrong, or the key may not sign.
        """
        raw = read_key_file(Path(path))
        asked = password() if is_encrypted(raw, what=str(path)) else None
        return cls(load_private_key(raw, password=asked, what=str(path)), what=str(path))

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a bundle: the hash goes with the curve, RSA is PKCS #1 v1.5."""
        return self._signed(message, legacy=False)

    def sign_legacy(self, message: bytes) -> bytes:
        """Return the signature of a ``.sig`` payload: SHA-256 whatever the curve."""
        return self._signed(message, legacy=True)

    def _signed(self, message: bytes, /, *, legacy: bool) -> bytes:
        # As ``signature.verify_signature`` verifies; see there for the specifications.
        match self._key:
            case ec.EllipticCurvePrivateKey() as key:
                hashed = hashes.SHA256() if legacy else bundle_hash(key.curve.name)
                return key.sign(message, ec.ECDSA(hashed))
            case rsa.RSAPrivateKey() as key:
                return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
            case ed25519.Ed25519PrivateKey() as key:
                return key.sign(message)
            case never:
                assert_never(never)

    def __repr__(self) -> str:
        return f"FileKey({self._public.fingerprint})"


class KeyFiles(Struct, frozen=True, kw_only=True):
    """A key pair that was generated."""

    private: Path
    public: Path
    public_key: PublicKey


def check_generate(folder: Path) -> None:
    """Refuse to generate where a key is already, before a password is asked for.

    Raises:
        SigningKeyError: one of the files exists.
    """
    for path in (folder / KEY_FILE, folder / PUBLIC_FILE):
        if path.is_symlink() or path.exists():
            raise _exists(path)


def generate(folder: Path, password: Password, *, kind: str = KINDS[0]) -> KeyFiles:
    """Make a key pair: ``imagekit.key``, encrypted and mode 0600, and ``imagekit.pub``.

    Nothing is ever overwritten: whoever lost a key has lost what it signed.

    Args:
        folder: where to; it is made if it does not exist.
        password: of the private key.
        kind: one of ``publickey.KINDS``.

    Raises:
        SigningKeyError: a file exists, or cannot be written, or the kind is none.
    """
    check_generate(folder)
    secret = password()
    key = _new(kind)
    public_key = public_key_of(key.public_key())
    sealed = cosign_key_pem(
        key,
        password=secret,
        salt=secrets.token_bytes(SALT_SIZE),
        nonce=secrets.token_bytes(NONCE_SIZE),
    )
    files = KeyFiles(private=folder / KEY_FILE, public=folder / PUBLIC_FILE, public_key=public_key)
    with _key_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _create(files.private, sealed, mode=0o600)
        try:
            _create(files.public, public_key_pem(public_key), mode=0o644)
        except BaseException:
            # Half a pair would block the next attempt, and it was not used yet.
            files.private.unlink(missing_ok=True)
            raise
    return files


def _new(kind: str, /) -> Signing:
    match kind:
        case "ecdsa-p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ecdsa-p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "rsa-3072":
            # FIPS 186-5 asks for an exponent from 65537 on; every verifier knows this one.
            return rsa.generate_private_key(public_exponent=65537, key_size=3072)
        case _:
            raise SigningKeyError(
                f"{kind!r} is no kind of key",
                hint=f"taken are {', '.join(KINDS)}",
                code="BAD_KEY",
            )


def read_public_key(path: Path) -> PublicKey:
    """Read a public key file.

    Raises:
        SigningKeyError: there is none, or it is of a kind that is not taken.
    """
    return parse_public_key(read_key_file(path), what=str(path))


def read_key_file(path: Path) -> bytes:
    """Read a small regular file; a FIFO or device is not waited for.

    Raises:
        SigningKeyError: there is none, it cannot be read, or is no key by its size.
    """
    with _key_faults(path):
        return read_regular(path, limit=MAX_KEY_FILE)


def _create(path: Path, raw: bytes, *, mode: int) -> None:
    """Write a file that did not exist, whole or not at all."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        # The mode before the content: nobody may open it in between.
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link fails where the name is taken.
        path.hardlink_to(temporary)
    except FileExistsError as error:
        raise _exists(path) from error
    finally:
        temporary.unlink(missing_ok=True)


def _exists(path: Path) -> SigningKeyError:
    return SigningKeyError(
        f"{path} exists and is not overwritten",
        hint="choose another folder with --out, or move the old pair to a safe place",
        code="KEY_EXISTS",
    )


@contextlib.contextmanager
def _key_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise SigningKeyError(
            f"{error.filename or path}: {reason}",
            hint="is the path right? imagekit key generate makes a key and its public half",
            code="BAD_KEY",
        ) from error
