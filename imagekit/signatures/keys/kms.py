"""securesystemslib's signers as holders of private keys: PKCS #11 and the clouds' KMS."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.documents.quantity import count
from imagekit.errors import SigningKeyError
from imagekit.signatures.keys.key_files import Password, read_key_file
from imagekit.signatures.keys.remote import PinNeededError
from imagekit.signatures.keys.uri import CloudUri, TokenUri
from imagekit.signatures.publickey import PublicKey, public_key_of, verifying_key

if TYPE_CHECKING:
    from pkcs11 import ObjectClass, Session, Token
    from securesystemslib.signer import Signer, SSlibKey

Secrets = Callable[[str], str]

MODULE = "PYKCS11LIB"
"""The variable with the PKCS #11 library, where the URI names none: securesystemslib's name."""
_LONGEST_PIN = 255
_EXTRAS = {
    "hsm": "pkcs11",
    "pkcs11": "pkcs11",
    "awskms": "kms-aws",
    "gcpkms": "kms-gcp",
    "azurekms": "kms-azure",
    "hv": "kms-vault",
}
_HINTS = {
    "awskms": "AWS_REGION and credentials as for the aws command; kms:GetPublicKey and kms:Sign "
    "must be allowed",
    "gcpkms": "GOOGLE_APPLICATION_CREDENTIALS, and the roles cloudkms.publicKeyViewer and signer",
    "azurekms": "log in as for the az command; the role Key Vault Crypto User is needed, and the "
    "key must be on an elliptic curve",
    "hv": "VAULT_ADDR and VAULT_TOKEN; of Vault's keys only Ed25519 is taken",
}
_LOOK = (
    "ECDSA P-256 and P-384 are taken, both halves of the key; see what is there: "
    "p11tool --list-all, pkcs11-tool --list-objects, ykman piv info"
)
_WRONG_PIN = (
    "the PIN does not open {what}",
    "set IMAGEKIT_KEY_PASSWORD, or give --password-file; a few wrong ones lock a token",
    "WRONG_PASSWORD",
)
_LOCKED_PIN = (
    "{what}: the token takes no PIN any more ({name})",
    "its security officer can set a new one",
    "WRONG_PASSWORD",
)
_GONE = (
    "{what}: the token is gone, or has failed ({name})",
    "put it in, and try again",
    "NO_KEY",
)
# What python-pkcs11 raises, by name: it need not be installed here.
_TOKEN_FAULTS = {
    **dict.fromkeys(("PinIncorrect", "PinInvalid", "PinLenRange"), _WRONG_PIN),
    **dict.fromkeys(("PinLocked", "PinExpired", "PinTooWeak"), _LOCKED_PIN),
    **dict.fromkeys(("DeviceError", "DeviceRemoved", "GeneralError", "SessionClosed"), _GONE),
    **dict.fromkeys(("SessionHandleInvalid", "SlotIDInvalid", "TokenNotPresent"), _GONE),
    "TokenNotRecognised": _GONE,
    "NoSuchToken": ("{what}: there is no such token", _LOOK, "NO_KEY"),
    "MultipleTokensReturned": (
        "{what}: there are several tokens, and it must be one",
        "name it by its label: pkcs11:token=LABEL;..., hsm:ID?label=LABEL",
        "NO_KEY",
    ),
}
# securesystemslib takes the library's path from the environment at every signature.
_environment = threading.RLock()


class LibraryHolder:
    """A holder that securesystemslib reaches: an implementation of ``remote.KeyBackend``.

    Args:
        uri: the key.
        password: finds the PIN of a token; it is asked once.
    """

    def __init__(self, uri: TokenUri | CloudUri, password: Password) -> None:
        self._uri = uri
        self._password = password
        self._pin: str | None = None
        self._signers: dict[str, Signer] = {}
        self._imported: tuple[str, PublicKey] | None = None

    @property
    def any_hash(self) -> bool:
        """Tokens sign what was hashed here; a cloud's key has its own hash."""
        return isinstance(self._uri, TokenUri)

    def public(self) -> PublicKey:
        """Return the public half."""
        return self._import()[1]

    def sign(self, message: bytes, scheme: str) -> bytes:
        """Sign by one of securesystemslib's schemes."""
        with self._module():
            if scheme not in self._signers:
                self._signers[scheme] = self._connect(scheme)
            # securesystemslib has signatures in hexadecimal digits, ECDSA's in DER within (RFC
            # 3279, section 2.2.3), as bundles and cosign have them.
            return bytes.fromhex(self._signers[scheme].sign(message).signature)

    def ask(self) -> None:
        """Ask for the PIN."""
        pin = self._of_file() or self._password()
        if not 0 < len(pin) <= _LONGEST_PIN:
            raise SigningKeyError(
                f"a PIN of {count(len(pin), 'character')} opens no token",
                hint="set IMAGEKIT_KEY_PASSWORD, or give --password-file",
                code="WRONG_PASSWORD",
            )
        self._pin = pin

    def fault(self, error: Exception) -> SigningKeyError:
        """Return what to say about an error of the library."""
        from securesystemslib.exceptions import UnsupportedLibraryError

        name, uri = type(error).__name__, self._uri.text.partition("?")[0]
        scheme = uri.partition(":")[0]
        if isinstance(error, (ImportError, UnsupportedLibraryError)):
            return SigningKeyError(
                f"{scheme}: keys need a library that is not installed ({error})",
                hint=f"pip install 'imagekit[{_EXTRAS[scheme]}]'",
                code="NO_EXTRA",
            )
        if scheme in {"hsm", "pkcs11"} and name in _TOKEN_FAULTS:
            message, hint, code = _TOKEN_FAULTS[name]
            return SigningKeyError(message.format(what=uri, name=name), hint=hint, code=code)
        reason = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
        # The libraries' own classes tell more than their texts, which may be empty.
        kind = "" if reason and type(error) in {ValueError, RuntimeError} else f"{name}: "
        return SigningKeyError(
            f"{uri}: {kind}{reason:.400}".removesuffix(": "),
            hint=_HINTS.get(scheme, _LOOK),
            code="NO_MODULE" if name == "PKCS11Error" else "NO_KEY",
        )

    def _import(self) -> tuple[str, PublicKey]:
        """Return where the key is, in securesystemslib's words, and its public half."""
        if self._imported is None:
            with self._module():
                where, key = self._found()
            self._imported = where, public_key_of(_loaded(key), what=self._uri.text)
        return self._imported

    def _connect(self, scheme: str, /) -> "Signer":
        from securesystemslib.signer import Signer, SSlibKey

        where, public_key = self._import()
        key = SSlibKey.from_crypto(verifying_key(public_key), scheme=scheme)
        return Signer.from_priv_key_uri(where, key, self._secret)

    def _found(self) -> tuple[str, "SSlibKey"]:
        from securesystemslib.signer import HSMSigner

        if isinstance(self._uri, CloudUri):
            return _of_cloud(self._uri)
        identifier, token = self._uri.identifier, self._uri.token or None
        if not self._uri.text.startswith("hsm:"):
            identifier, token = _on_token(self._uri, os.environ[MODULE], self._secret)
        return HSMSigner.import_(identifier, token, self._secret)

    def _secret(self, _: str) -> str:
        if self._pin is None:
            raise PinNeededError
        return self._pin

    def _of_file(self) -> str:
        if isinstance(self._uri, CloudUri) or not self._uri.pin_file:
            return ""
        line = read_key_file(Path(self._uri.pin_file)).partition(b"\n")[0].removesuffix(b"\r")
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            message = f"{self._uri.pin_file} is not text in UTF-8"
            raise SigningKeyError(message, code="NO_PASSWORD") from error

    @contextlib.contextmanager
    def _module(self) -> Iterator[None]:
        """Name the PKCS #11 library to securesystemslib, which looks into the environment only."""
        if isinstance(self._uri, CloudUri):
            yield
            return
        with _environment:
            before = os.environ.get(MODULE)
            os.environ[MODULE] = _checked_module(self._uri.module or before or "")
            try:
                yield
            finally:
                if before is None:
                    del os.environ[MODULE]
                else:
                    os.environ[MODULE] = before


def _checked_module(path: str, /) -> str:
    if not path:
        raise SigningKeyError(
            "no PKCS #11 library is named",
            hint=f"set {MODULE}=/usr/lib/.../libsofthsm2.so (that of your token), or write "
            "pkcs11:...?module-path=PATH",
            code="NO_MODULE",
        )
    # Without a slash the dynamic linker looks for it.
    if "/" in path and not Path(path).is_file():
        raise SigningKeyError(
            f"{path} is no PKCS #11 library: there is no such file",
            hint=f"is the token's software installed? {MODULE} or module-path names its library",
            code="NO_MODULE",
        )
    return path


def _of_cloud(uri: CloudUri, /) -> tuple[str, "SSlibKey"]:
    from securesystemslib import signer

    match uri.scheme, uri.parts:
        case "awskms", (name,):
            return signer.AWSSigner.import_(name)
        case "gcpkms", (name,):
            return signer.GCPSigner.import_(name)
        case "azurekms", (vault, name, version):
            return _newest(uri, version, signer.AzureSigner.import_(vault, name))
        case "hv", (name, version):
            return _newest(uri, version, signer.VaultSigner.import_(name))
        case _:
            raise SigningKeyError(f"{uri.text} names no key", code="BAD_KEY")


def _newest(
    uri: CloudUri, version: str, imported: tuple[str, "SSlibKey"], /
) -> tuple[str, "SSlibKey"]:
    """Refuse a version that is not the newest: the library reads the public half of no other."""
    newest = imported[0].rpartition("/")[2]
    if version and version != newest:
        raise SigningKeyError(
            f"{uri.text} is not the newest version of its key, which is {newest}",
            hint="only the newest version signs; name that one, or none",
            code="BAD_KEY",
        )
    return imported


def _on_token(uri: TokenUri, module: str, secret: Secrets, /) -> tuple[int, str]:
    """Return the id of the key that a ``pkcs11:`` URI names, and the label of its token."""
    import pkcs11

    token = _token(uri, module)
    _check_token(uri, token)
    # Public objects are seen without a login (PKCS #11, CKA_PRIVATE), and a PIN need not be asked
    # for; some tokens hide the public half as well.
    public = pkcs11.ObjectClass.PUBLIC_KEY
    with token.open() as session:
        identifiers = _identifiers(uri, session, public)
    if not identifiers:
        with token.open(user_pin=secret("pin")) as session:
            identifiers = _identifiers(uri, session, public)
    if len(identifiers) != 1:
        raise SigningKeyError(
            f"{uri.text.partition('?')[0]} names {len(identifiers)} public keys, and must name one",
            hint=_LOOK,
            code="NO_KEY",
        )
    (raw,) = identifiers
    if not raw or raw[0] == 0:
        raise SigningKeyError(
            f"{uri.text.partition('?')[0]} has the id {raw.hex() or 'of no bytes'}, which "
            "securesystemslib cannot name",
            hint="give the key an id that does not begin with a zero byte",
            code="BAD_KEY",
        )
    return int.from_bytes(raw), token.label


def _token(uri: TokenUri, module: str, /) -> "Token":
    import pkcs11

    library = pkcs11.lib(module)
    flags = pkcs11.TokenFlag.TOKEN_INITIALIZED
    if uri.slot is None:
        return library.get_token(token_label=uri.token or None, token_flags=flags)
    for slot in library.get_slots(token_present=True):
        token = slot.get_token() if slot.slot_id == uri.slot else None
        if token is not None and uri.token in {"", token.label}:
            # securesystemslib signs by the token of this label, which must be the only one.
            return library.get_token(token_label=token.label, token_flags=flags)
    raise pkcs11.NoSuchToken


def _check_token(uri: TokenUri, token: "Token", /) -> None:
    # RFC 7512, section 2.5: every attribute that the URI has must match.
    for name, wanted in uri.checked:
        value = getattr(token, name)
        shown = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        if shown.strip() != wanted:
            raise SigningKeyError(
                f"the token {token.label!r} has the {name} {shown.strip()!r} and not {wanted!r}",
                hint=_LOOK,
                code="NO_KEY",
            )


def _identifiers(uri: TokenUri, session: "Session", kind: "ObjectClass", /) -> set[bytes]:
    from pkcs11 import Attribute

    # RFC 7512, section 2.3: ``object`` is CKA_LABEL and ``id`` is CKA_ID.
    template: dict[Attribute, object] = {Attribute.CLASS: kind}
    if uri.label:
        template[Attribute.LABEL] = uri.label
    if uri.identifier is not None:
        # The bytes as they were in the URI: ``uri`` refuses an id that begins with a zero byte.
        size = (uri.identifier.bit_length() + 7) // 8
        template[Attribute.ID] = uri.identifier.to_bytes(size)
    return {bytes(token_object[Attribute.ID]) for token_object in session.get_objects(template)}


def _loaded(key: "SSlibKey", /) -> object:
    """Return the key as cryptography has it: PEM, or the hexadecimal digits of Ed25519."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    public = str(key.keyval["public"])
    if key.keytype == "ed25519":
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    return load_pem_public_key(public.encode())
