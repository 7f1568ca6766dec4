"""URIs of private keys that never leave their holder: a token (PKCS #11), a cloud's KMS.

The spelling is that of securesystemslib's signers; a token may be named by RFC 7512 as well, as
p11tool and cosign print it, and what cosign writes with slashes is understood. A secret is refused
in a URI: command lines are visible to all users of a machine.
"""

import re
from collections.abc import Mapping
from typing import Final, NoReturn
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from imagekit.errors import SigningKeyError

MAX_URI: Final = 4096
SCHEMES: Final = ("hsm", "pkcs11", "awskms", "gcpkms", "azurekms", "hv")
"""The schemes that name a holder of keys, rather than a file."""

# The digital signature slot (9c) of a PIV card: securesystemslib's default.
_DEFAULT_IDENTIFIER = 2
_MAX_IDENTIFIER = _MAX_SLOT = 1 << 64
_CHECKED = {"serial": "serial", "model": "model", "manufacturer": "manufacturer_id"}
_PATH = {"token", "object", "id", "type", "slot-id", *_CHECKED}
_QUERY = {"module-path", "pin-source"}
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_GCP_NAME = re.compile(
    r"(projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+)"
    r"/(?:cryptoKeyVersions|versions)/([0-9]+)"
)
# A path of pathlib has one slash where a URI had two.
_AZURE_NAME = re.compile(
    r"//?([A-Za-z0-9-]+)\.vault\.azure\.net/keys/([A-Za-z0-9-]+)(?:/([0-9A-Za-z]+))?"
)
_VAULT_NAME = re.compile(r"([A-Za-z0-9._-]+)(?:/([0-9]+))?")


class TokenUri(Struct, frozen=True, kw_only=True):
    """A key on a PKCS #11 token; what is empty is not asked for."""

    text: str
    identifier: int | None = None
    """CKA_ID of the key, as a number."""
    label: str = ""
    """CKA_LABEL of the key."""
    token: str = ""
    """Label of the token."""
    slot: int | None = None
    """CK_SLOT_ID of the slot that the token is in."""
    checked: tuple[tuple[str, str], ...] = ()
    """What else the token must say about itself: python-pkcs11's name, and the value."""
    module: str = ""
    """Path of the PKCS #11 library."""
    pin_file: str = ""
    """File whose first line is the PIN."""


class CloudUri(Struct, frozen=True, kw_only=True):
    """A key that a service keeps."""

    text: str
    scheme: str
    parts: tuple[str, ...]
    """awskms: id, ARN or alias; gcpkms: resource name; azurekms: vault, key, version; hv: name,
    version. A version that was not given is empty."""


def is_key_uri(text: str) -> bool:
    """Return whether a text names a holder of keys, rather than a file."""
    return text.partition(":")[0] in SCHEMES and ":" in text


def parse_key_uri(text: str) -> TokenUri | CloudUri:
    """Read the URI of a private key.

    Raises:
        SigningKeyError: it is none, or names a key in a way that cannot be followed.
    """
    scheme, _, rest = text.partition(":")
    if len(text) > MAX_URI:
        raise SigningKeyError(f"a key URI of {len(text)} characters is too long", code="BAD_KEY")
    # RFC 7512, section 2.4, has ``pin-value``; others write ``pin``.
    if re.search(r"[?&;]pin(-value)?=", text):
        # The text is not shown: the secret is in it.
        raise SigningKeyError(
            f"the {scheme}: URI has a PIN in it, which all users of this machine can read",
            hint="leave it out and set IMAGEKIT_KEY_PASSWORD, or name a file: pin-source=file:PATH",
            code="BAD_KEY",
        )
    if _CONTROL.search(text) or not text.isprintable():
        _refuse(text, "has blanks or control characters in it", hint="write them as %20 and so on")
    match scheme:
        case "hsm":
            return _hsm(text, rest)
        case "pkcs11":
            return _pkcs11(text, rest)
        case "awskms":
            return _cloud(text, (_aws(text, rest),))
        case "gcpkms" if parts := _GCP_NAME.fullmatch(rest.lstrip("/")):
            return _cloud(text, ("/cryptoKeyVersions/".join(parts.groups()),))
        case "azurekms" if parts := _AZURE_NAME.fullmatch(rest):
            return _cloud(text, parts.groups(default=""))
        case "hv" if parts := _VAULT_NAME.fullmatch(rest):
            return _cloud(text, parts.groups(default=""))
        case _:
            hint = _EXPECTED.get(scheme, _EXPECTED[""])
            raise _refusal(text, "is not the URI of a key", hint=hint)


_EXPECTED: Mapping[str, str] = {
    "gcpkms": "gcpkms:projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V",
    "azurekms": "azurekms://VAULT.vault.azure.net/keys/KEY/VERSION",
    "hv": "hv:KEY/VERSION",
    "": "a file, or hsm:, pkcs11:, awskms:, gcpkms:, azurekms:, hv: and the key's name there",
}


def _cloud(text: str, parts: tuple[str, ...], /) -> CloudUri:
    return CloudUri(text=text, scheme=text.partition(":")[0], parts=parts)


def _aws(text: str, rest: str, /) -> str:
    # cosign: awskms://ENDPOINT/KEY, mostly with an empty endpoint.
    rest = rest.removeprefix("///")
    if not rest or rest.startswith("/"):
        _refuse(
            text,
            "names no key",
            hint="awskms:KEY-ID, awskms:ARN or awskms:alias/NAME; for another endpoint set "
            "AWS_ENDPOINT_URL_KMS",
        )
    return rest


def _hsm(text: str, rest: str, /) -> TokenUri:
    path, _, query = rest.partition("?")
    identifier = _DEFAULT_IDENTIFIER
    if path:
        if not path.isascii() or not path.isdecimal() or int(path) >= _MAX_IDENTIFIER:
            _refuse(text, "names no key", hint="hsm:ID?label=TOKEN, where ID is a number")
        identifier = int(path)
    values = _attributes(text, query.replace("+", "%20"), "&")
    _only(text, values, {"label"})
    return TokenUri(text=text, identifier=identifier, token=_word(text, values, "label"))


def _pkcs11(text: str, rest: str, /) -> TokenUri:
    # RFC 7512, section 2.3: the path says which object, by attributes between semicolons; the
    # query, between ampersands, how to reach it.
    path, _, query = rest.partition("?")
    named, asked = _attributes(text, path, ";"), _attributes(text, query, "&")
    _only(text, named, _PATH)
    _only(text, asked, _QUERY)
    if named.get("type", b"private") != b"private":
        _refuse(text, "names an object that cannot sign", hint="type=private, or no type")
    # A URI may name a whole token, which is no key.
    if not {"id", "object"} & set(named):
        _refuse(text, "names no key", hint="add id=%01 or object=LABEL; see p11tool --list-all")
    return TokenUri(
        text=text,
        identifier=_identifier(text, named["id"]) if "id" in named else None,
        label=_word(text, named, "object"),
        token=_word(text, named, "token"),
        slot=_slot(text, named["slot-id"]) if "slot-id" in named else None,
        checked=tuple((_CHECKED[key], _word(text, named, key)) for key in _CHECKED if key in named),
        module=_word(text, asked, "module-path"),
        pin_file=_pin_file(text, _word(text, asked, "pin-source")),
    )


def _identifier(text: str, raw: bytes, /) -> int:
    if not raw or raw[0] == 0 or int.from_bytes(raw) >= _MAX_IDENTIFIER:
        _refuse(
            text,
            "has an id that securesystemslib cannot name",
            hint="name the key by its label (object=LABEL), or give it an id of 1 to 8 bytes that "
            "does not begin with a zero byte",
        )
    return int.from_bytes(raw)


def _slot(text: str, raw: bytes, /) -> int:
    # RFC 7512, 2.3: 1*DIGIT
    if not raw.isdigit() or int(raw) >= _MAX_SLOT:
        _refuse(text, "has a slot-id that is no number", hint="leave it out, or write slot-id=0")
    return int(raw)


def _pin_file(text: str, source: str, /) -> str:
    # RFC 7512, section 2.4: an absolute path behind a bar is a command to run.
    if source.startswith("|"):
        _refuse(text, "takes the PIN from a command, which is not run", hint="pin-source=file:PATH")
    if not source.startswith("file:"):
        return source
    # ``file:/PATH`` and ``file:///PATH`` are the same (RFC 8089, section 2).
    path = source.removeprefix("file:")
    return "/" + path.lstrip("/") if path.startswith("/") else path


def _attributes(text: str, part: str, separator: str, /) -> dict[str, bytes]:
    values: dict[str, bytes] = {}
    for attribute in filter(None, part.split(separator)):
        key, sign, value = attribute.partition("=")
        # RFC 7512, section 2.3: at most once in the path; here the query is read as strictly.
        if not sign or key in values or _BAD_ESCAPE.search(value):
            _refuse(text, f"has {attribute!r} in it", hint="each NAME=VALUE once, escaped by %XX")
        values[key] = unquote_to_bytes(value)
    return values


def _only(text: str, values: Mapping[str, bytes], known: set[str], /) -> None:
    for key in values:
        if key not in known:
            _refuse(
                text,
                f"has the attribute {key!r}, which is not taken here",
                hint=f"taken are {', '.join(sorted(known))}",
            )


def _word(text: str, values: Mapping[str, bytes], key: str, /) -> str:
    word = values.get(key, b"").decode("utf-8", "replace")
    if (key in values and not word) or "\ufffd" in word or not word.isprintable():
        _refuse(text, f"has no readable value for {key!r}", hint="UTF-8, escaped by %XX")
    return word


def _refuse(text: str, message: str, /, *, hint: str) -> NoReturn:
    raise _refusal(text, message, hint=hint)


def _refusal(text: str, message: str, /, *, hint: str) -> SigningKeyError:
    shown = text.encode("ascii", "backslashreplace").decode()
    printable = "".join(
        character if character.isprintable() else f"\\x{ord(character):02x}" for character in shown
    )
    return SigningKeyError(f"{printable:.200} {message}", hint=hint, code="BAD_KEY")
