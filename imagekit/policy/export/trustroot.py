"""Certificates and keys of a Sigstore trusted root, in the forms that other tools want.

https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto
"""

import base64
import textwrap
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.documents.fields import strict_base64
from imagekit.errors import DocumentError, InputError, PolicyError
from imagekit.signatures.authority import TrustRoot
from imagekit.signatures.publickey import PublicKey, describe

_MOST = 64
"""Most services of one kind that are read."""


class Services(Struct, frozen=True, kw_only=True):
    """What a trusted root trusts, in PEM."""

    chains: tuple[str, ...]
    """The certificates of each certificate authority, the root last."""
    logs: tuple[str, ...]
    """Keys of the logs that have an ECDSA key on P-256, as Rekor v1 has."""


def services(root: TrustRoot) -> Services:
    """Read a trusted root.

    Raises:
        PolicyError: it is not one.
    """
    try:
        document = strictjson.loads_object(root.raw, what=f"the trusted root {root.name}")
        keys = [_bytes(log["publicKey"]["rawBytes"]) for log in _list(document, "tlogs")]
        return Services(
            chains=tuple(
                _chain(authority) for authority in _list(document, "certificateAuthorities")
            ),
            logs=tuple(_pem("PUBLIC KEY", key) for key in keys if _is_p256(key)),
        )
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise PolicyError(
            f"the trusted root {root.name} cannot be exported: {error}",
            hint="is it the trusted_root.json of a Sigstore?",
            code="export/bad-trust-root",
        ) from error


def _list(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = document.get(name, [])
    if not isinstance(entries, list) or len(entries) > _MOST:
        raise DocumentError(f"{name} is not a list of at most {_MOST}")
    return entries


def _chain(authority: Mapping[str, Any]) -> str:
    certificates = _list(authority["certChain"], "certificates")
    return "".join(
        _pem("CERTIFICATE", _bytes(certificate["rawBytes"])) for certificate in certificates
    )


def _is_p256(der: bytes) -> bool:
    return describe(PublicKey(der)) == "ECDSA P-256"


def _bytes(value: object) -> bytes:
    decoded = strict_base64(value) if isinstance(value, str) else b""
    if not decoded:
        raise DocumentError("rawBytes is not base64")
    return decoded


def _pem(label: str, der: bytes) -> str:
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"
