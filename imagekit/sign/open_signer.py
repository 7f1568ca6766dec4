"""Making signers: with a private key, or keyless with an identity token."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from imagekit.errors import SigningKeyError, ToolError, UsageError
from imagekit.inputs import read_input
from imagekit.sign.keyed import KeySigner
from imagekit.signatures.ports import Signer

if TYPE_CHECKING:
    from imagekit.signatures.sigstore.keyless import TrustConfig

_MAX_TOKEN = 64 << 10
_JWT_DOTS = 2


class KeylessOptions(Struct, frozen=True, kw_only=True):
    """How to sign keyless."""

    identity_token: str = ""
    """A token (JWT) or the path of a file that holds one; empty to find one."""
    trust_config: Path | None = None
    """Sigstore's ClientTrustConfig; None for the public good instance."""
    interactive: bool = False
    """Whether the user may be asked to log in by a browser."""


def open_signer(key: Path | str, password: Callable[[], str]) -> KeySigner:
    """Open a private key to sign with.

    Args:
        key: the key's file, or its URI where it never leaves a token or a cloud.
        password: asked where the key is encrypted or a token has a PIN, and not otherwise.

    Raises:
        SigningKeyError: the key does not open, or may not sign.
    """
    from imagekit.signatures.keys.open import open_key

    return KeySigner(open_key(key, password))


def signer_opened_later(key: Path | str, password: Callable[[], str]) -> KeySigner:
    """Return the signer of a key whose file is not opened yet: see ``KeySigner.open``.

    Keys on tokens and in clouds are, as they cost nothing like it.

    Args:
        key: as for ``open_signer``.
        password: as for ``open_signer``.

    Raises:
        SigningKeyError: there is no such key.
    """
    from imagekit.build.tools.storage import Folders
    from imagekit.signatures.keys.sealed_key import sealed_key
    from imagekit.signatures.keys.uri import is_key_uri

    path = Path(key)
    try:
        folder = Folders.of(os.environ).cache / "public-keys"
    except ToolError:
        # Without a home nothing is remembered.
        return open_signer(key, password)
    if is_key_uri(str(key)) or not path.exists():
        return open_signer(key, password)
    return KeySigner(sealed_key(path, password, folder=folder))


def keyless_signer(options: KeylessOptions) -> Signer:
    """Return a signer with a short-lived key, certified for an identity.

    A token is looked for before anything is built: the one that is given, then that of the CI
    that this runs in, then by a browser where there is a terminal.

    Raises:
        InputError: the trust configuration is malformed.
        SigningKeyError: there is no token.
        ToolError: a service does not answer.
    """
    from imagekit.signatures.sigstore.keyless import KeylessSigner, TrustConfig

    path = options.trust_config
    config = TrustConfig.public() if path is None else TrustConfig.from_file(path)
    return KeylessSigner(config, _token_source(options, config))


def _token_source(options: KeylessOptions, config: "TrustConfig") -> Callable[[], str]:
    from imagekit.signatures.sigstore.keyless import ambient_token, interactive_token

    if options.identity_token:
        given = _given(options.identity_token)
        return lambda: given
    if ambient_token() is not None:
        # It is requested again: a CI's token is valid for minutes, and a build may take an hour.
        return lambda: ambient_token() or ""
    if options.interactive:
        return lambda: interactive_token(config)
    raise SigningKeyError(
        "there is no identity token to sign keyless with",
        hint="give one with --identity-token or SIGSTORE_ID_TOKEN; in GitHub Actions allow "
        "`id-token: write`, in GitLab declare `id_tokens: SIGSTORE_ID_TOKEN: aud: sigstore`; "
        "or sign with --key FILE",
        code="NO_TOKEN",
    )


def _given(text: str) -> str:
    """Return the token, or what the file of that name holds."""
    # RFC 7519, section 3: three parts with dots between them; the first begins with `{"` in base64.
    if text.startswith("eyJ") and text.count(".") == _JWT_DOTS:
        return text
    try:
        raw = read_input(Path(text), limit=_MAX_TOKEN)
    except OSError as error:
        raise SigningKeyError(
            f"--identity-token is neither a token nor a file that can be read: {error.strerror}",
            hint="a token is a JWT: three parts with dots between them",
            code="BAD_TOKEN",
        ) from error
    return raw.decode("ascii", "replace").strip()


def choose(
    *,
    key: Path | None,
    keyless: bool,
    options: KeylessOptions,
    password: Callable[[], str],
    opener: Callable[[Path | str, Callable[[], str]], KeySigner] = open_signer,
) -> Signer:
    """Return the signer that a command line asks for; other processes cannot read this one then.

    Raises:
        UsageError: it asks for both or neither.
    """
    from imagekit.process import hide_memory

    # Before the password is asked for, and for as long as this process lives.
    hide_memory()
    wants = keyless or bool(options.identity_token) or options.trust_config is not None
    if key is None and not wants:
        raise UsageError(
            "nothing says what to sign with",
            hint="--key FILE signs with a key (imagekit key generate makes one), --key URI with "
            "one on a token or in a key service, and --keyless with an identity, such as a CI's; "
            "IMAGEKIT_KEY, or `key` in imagekit.toml, names a key for every call",
        )
    if key is not None and wants:
        raise UsageError(
            "one signature is made by a key or keyless, and not by both",
            hint="leave out --key, or all of --keyless, --identity-token and --trust-config",
        )
    return opener(key, password) if key is not None else keyless_signer(options)


def at_terminal() -> bool:
    """Return whether there is a user at a terminal, who can log in by a browser."""
    return sys.stdin.isatty() and sys.stderr.isatty()
