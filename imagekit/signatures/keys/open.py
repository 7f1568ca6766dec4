"""Private keys wherever they are: in files, on tokens (PKCS #11), in a cloud's KMS.

Tokens and clouds are reached through securesystemslib's signers, which come with extras of the
package: ``imagekit[pkcs11]``, ``imagekit[kms-aws]``, ``kms-gcp``, ``kms-azure``, ``kms-vault``.
"""

import re
from pathlib import Path

from imagekit.errors import SigningKeyError
from imagekit.signatures.keys.key_files import FileKey, Password
from imagekit.signatures.keys.remote import TokenKey
from imagekit.signatures.keys.uri import SCHEMES, is_key_uri, parse_key_uri
from imagekit.signatures.ports import PrivateKey

_OTHER_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def open_key(where: str | Path, password: Password) -> PrivateKey:
    """Open a private key to sign with, wherever it is.

    A key on a token or in a cloud signs something at once: a wrong PIN is found now and not when
    an image has been built for an hour.

    Args:
        where: a file, or a URI: ``hsm:``, ``pkcs11:``, ``awskms:``, ``gcpkms:``, ``azurekms:`` or
            ``hv:``.
        password: finds the password of a file or the PIN of a token; called where one is needed.

    Raises:
        SigningKeyError: the key does not open, or may not sign.
    """
    text = str(where)
    if is_key_uri(text):
        key = find_key(text, password)
        key.prove()
        return key
    if _OTHER_SCHEME.match(text) and not Path(where).exists():
        raise SigningKeyError(
            f"{text:.200} is neither a file nor a key that can be reached",
            hint=f"besides files, taken are {', '.join(f'{scheme}:' for scheme in SCHEMES)}",
            code="BAD_KEY",
        )
    return FileKey.from_file(where, password)


def find_key(text: str, password: Password) -> TokenKey:
    """Find a key by its URI; the PIN is asked for only where the public half is hidden, too.

    Raises:
        SigningKeyError: the URI is none, an extra is not installed, or there is no such key.
    """
    from imagekit.signatures.keys.kms import LibraryHolder

    return TokenKey(LibraryHolder(parse_key_uri(text), password), what=text.partition("?")[0])
