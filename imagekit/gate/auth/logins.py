"""Files of clients: htpasswd with bcrypt, and tokens by their SHA-256."""

from pathlib import Path

from imagekit.errors import InputError
from imagekit.gate.auth.authenticate import Grant, Rights
from imagekit.inputs import read_regular

_MAX_FILE = 4 << 20
_HEX = 64


def load_rights(
    *,
    htpasswd: Path | None,
    tokens: Path | None,
    certificates: bool,
    grants: tuple[Grant, ...],
) -> Rights:
    """Read who may log in, and return the rights of all.

    Raises:
        InputError: a file cannot be read or understood.
    """
    return Rights(
        passwords={} if htpasswd is None else _passwords(htpasswd),
        tokens={} if tokens is None else _tokens(tokens),
        certificates=certificates,
        grants=grants,
    )


def _passwords(file: Path) -> dict[str, bytes]:
    passwords: dict[str, bytes] = {}
    for number, line in _lines(file):
        user, colon, hashed = line.partition(":")
        if not colon or not user or not hashed.startswith(("$2y$", "$2b$", "$2a$")):
            raise InputError(
                f"{file}:{number}: is no name with a bcrypt hash",
                hint="write it by: htpasswd -B FILE NAME",
                code="gate/htpasswd",
            )
        # The three letters name one function; the library knows two of them.
        passwords[user] = b"$2b$" + hashed[4:].encode()
    return passwords


def _tokens(file: Path) -> dict[bytes, str]:
    tokens: dict[bytes, str] = {}
    for number, line in _lines(file):
        name, _, digest = line.partition(":sha256:")
        try:
            # Tokens are to be random and long: unlike passwords they need no salt and no slow hash.
            raw = bytes.fromhex(digest)
        except ValueError:
            raw = b""
        if not name or len(digest) != _HEX or not raw:
            raise InputError(
                f"{file}:{number}: is no name with the SHA-256 of a token",
                hint="write NAME:sha256:HEX; HEX is: printf %s TOKEN | sha256sum",
                code="gate/tokens",
            )
        tokens[raw] = name
    return tokens


def _lines(file: Path) -> list[tuple[int, str]]:
    try:
        lines = read_regular(file, limit=_MAX_FILE).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}", code="gate/unreadable") from error
    stripped = ((number, line.strip()) for number, line in enumerate(lines, 1))
    return [(number, line) for number, line in stripped if line and not line.startswith("#")]
