"""Making signers: with a key file, for now and for the library's users."""

from collections.abc import Callable
from pathlib import Path

from imagekit.sign.keyed import KeySigner


def open_signer(key: Path | str, password: Callable[[], str]) -> KeySigner:
    """Open a private key to sign with.

    Args:
        key: the key's file.
        password: asked where the key is encrypted, and not otherwise.

    Raises:
        SigningKeyError: the key does not open, or may not sign.
    """
    from imagekit.adapters.keys import FileKey

    return KeySigner(FileKey.from_file(key, password))
