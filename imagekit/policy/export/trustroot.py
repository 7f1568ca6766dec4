"""Certificates and keys of a Sigstore trusted root, in the forms that other tools want.

https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto
"""

import base64
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imagekit.documents import strictjson
from imagekit.documents.fields import strict_base64
from imagekit.errors import DocumentError, InputError, PolicyError
from imagekit.signatures.authority import TrustRoot
from imagekit.signatures.publickey import PublicKey, describe

_MOST = 64
"""Most services of one kind that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateAuthority:
    """A certificate authority: Fulcio, or one that signs timestamps."""

    uri: str
    organization: str
    common_name: str
    chain: str
    """Certificates in PEM, the root last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A log: Rekor, or one of certificates."""

    url: str
    key: str
    """Public key in PEM."""
    ecdsa: bool
    """Whether it is an ECDSA key on P-256, as Rekor v1 and CT logs have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What a trusted root trusts."""

    authorities: tuple[CertificateAuthority, ...]
    logs: tuple[Log, ...]
    certificate_logs: tuple[Log, ...]
    timestamps: tuple[CertificateAuthority, ...]


def services(root: TrustRoot) -> Services:
    """Read a trusted root.

    Raises:
        PolicyError: it is not one.
    """
    try:
        document = strictjson.loads_object(root.raw, what=f"the trusted root {root.name}")
        return Services(
            authorities=tuple(
                _authority(each) for each in _list(document, "certificateAuthorities")
            ),
            logs=tuple(_log(each) for each in _list(document, "tlogs")),
            certificate_logs=tuple(_log(each) for each in _list(document, "ctlogs")),
            timestamps=tuple(_authority(each) for each in _list(document, "timestampAuthorities")),
        )
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise PolicyError(
            f"the trusted root {root.name} cannot be exported: {error}",
            hint="is it the trusted_root.json of a Sigstore?",
            code="export/bad-trust-root",
        ) from error


def _list(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = document.get(name, [])
    if not isinstance(found, list) or len(found) > _MOST:
        raise DocumentError(f"{name} is not a list of at most {_MOST}")
    return found


def _authority(each: Mapping[str, Any]) -> CertificateAuthority:
    subject = each.get("subject", {})
    certificates = _list(each["certChain"], "certificates")
    return CertificateAuthority(
        uri=_text(each.get("uri", "")),
        organization=_text(subject.get("organization", "")),
        common_name=_text(subject.get("commonName", "")),
        chain="".join(_pem("CERTIFICATE", _bytes(one["rawBytes"])) for one in certificates),
    )


def _log(each: Mapping[str, Any]) -> Log:
    der = _bytes(each["publicKey"]["rawBytes"])
    return Log(
        url=_text(each.get("baseUrl", "")),
        key=_pem("PUBLIC KEY", der),
        ecdsa=describe(PublicKey(der)) == "ECDSA P-256",
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise DocumentError("a text in it is none")
    return value


def _bytes(value: object) -> bytes:
    found = strict_base64(value) if isinstance(value, str) else b""
    if not found:
        raise DocumentError("rawBytes is not base64")
    return found


def _pem(label: str, der: bytes) -> str:
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"
