"""Whom a certificate of Fulcio names."""

from typing import TYPE_CHECKING

from imagekit.errors import VerificationError
from imagekit.signatures.results import Certified

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

# https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
_ISSUER_V1 = "1.3.6.1.4.1.57264.1.1"
_ISSUER_V2 = "1.3.6.1.4.1.57264.1.8"
_USER_NAME = "1.3.6.1.4.1.57264.1.7"


def certified(certificate: "Certificate") -> Certified:
    """Return whom a certificate of Fulcio names, and which issuer authenticated that.

    Raises:
        VerificationError: it names nobody, or several, or no issuer of the identity.
    """
    from cryptography.x509 import SubjectAlternativeName

    # RFC 5280, section 4.2.1.6, allows many names; Fulcio writes one. Which of several a policy
    # means could be read in two ways.
    names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    subjects = [_subject(name) for name in names]
    if len(subjects) != 1 or not subjects[0]:
        raise VerificationError(
            f"the certificate names {len(subjects)} subjects; exactly one counts",
            code="IDENTITY_MISMATCH",
        )
    return Certified(subject=subjects[0], issuer=_issuer(certificate))


def _subject(name: object) -> str:
    from cryptography.x509 import OtherName, RFC822Name, UniformResourceIdentifier

    match name:
        case RFC822Name() | UniformResourceIdentifier():
            return str(name.value)
        case OtherName() if name.type_id.dotted_string == _USER_NAME:
            return _utf8_string(name.value)
    return ""


def _issuer(certificate: "Certificate") -> str:
    """Return the OIDC issuer; where both extensions say one, they must agree."""
    from cryptography.x509 import UnrecognizedExtension

    # oid-info.md, Extension values: the first, which is deprecated, is bare text, the second DER.
    values = {}
    for extension in certificate.extensions:
        if isinstance(extension.value, UnrecognizedExtension):
            values[extension.oid.dotted_string] = extension.value.value
    issuers = set()
    if _ISSUER_V1 in values:
        issuers.add(values[_ISSUER_V1].decode())
    if _ISSUER_V2 in values:
        issuers.add(_utf8_string(values[_ISSUER_V2]))
    if len(issuers) != 1 or not min(issuers):
        raise VerificationError(
            "the certificate does not name one issuer of the identity", code="ISSUER_MISMATCH"
        )
    return issuers.pop()


def _utf8_string(raw: bytes) -> str:
    """Read a DER UTF8String (ITU-T X.690) that fills the bytes."""
    from cryptography.hazmat.asn1 import decode_der

    return decode_der(str, raw)
