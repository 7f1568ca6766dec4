"""Keyless signatures verified by sigstore-python: offline, by a trusted root that is given.

Nothing here reads a home folder or opens a connection. The library verifies the certificate chain
and its SCT, the log entry with inclusion proof, checkpoint and promise, the times, and the
envelope's signature. What it leaves out and others check is added: that log and authority were
valid, by the trusted root, at the time that they testify of. Who signed, and what, is for
``imagekit.verify`` to judge.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from imagekit.adapters.promise import Promise
from imagekit.errors import ImagekitError, VerificationError
from imagekit.formats.fields import strict_base64
from imagekit.formats.pem import public_key_of
from imagekit.formats.signature import verify_legacy_signature
from imagekit.formats.simplesigning import (
    CERTIFICATE_ANNOTATION,
    LOG_ANNOTATION,
    SIGNATURE_ANNOTATION,
)
from imagekit.model.digest import Digest
from imagekit.model.evidence import Certified, Witness
from imagekit.model.policy import TrustRoot

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import Bundle, TrustedRoot

_Result = TypeVar("_Result")
_Time = tuple[datetime, bool]
"""A moment, and whether a timestamp authority testifies of it; else it is a log."""

# https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
_ISSUER_V1 = "1.3.6.1.4.1.57264.1.1"
_ISSUER_V2 = "1.3.6.1.4.1.57264.1.8"
_USER_NAME = "1.3.6.1.4.1.57264.1.7"
_UTF8_STRING = 0x0C
_LONG_FORM = 0x80

# Which part a message of the library is about; the first that fits names the code.
_CODES = (
    ("SCT", "BAD_CERTIFICATE"),
    ("log entry", "BAD_TLOG_ENTRY"),
    ("ransparency log", "BAD_TLOG_ENTRY"),
    ("inclusion", "BAD_TLOG_ENTRY"),
    ("checkpoint", "BAD_TLOG_ENTRY"),
    ("log type", "BAD_TLOG_ENTRY"),
    ("certificate chain", "BAD_CERTIFICATE"),
    ("signing cert", "BAD_CERTIFICATE"),
    ("usage", "BAD_CERTIFICATE"),
    ("imestamp", "NO_TRUSTED_TIME"),
    ("verified time", "NO_TRUSTED_TIME"),
    ("signature", "BAD_SIGNATURE"),
    ("certificate", "BAD_CERTIFICATE"),
)


class SigstoreVerifier:
    """An implementation of ``ports.CertificateVerifier``; each trusted root is read once."""

    def __init__(self) -> None:
        self._roots: dict[Digest, _Root] = {}

    def bundle(self, raw: bytes, root: TrustRoot) -> tuple[Certified, Witness]:
        """Verify a bundle by certificate.

        Raises:
            VerificationError: it does not hold; ``code`` says which part.
        """
        return _guarded(lambda: self._root(root).bundle(raw))

    def legacy(
        self, payload: bytes, annotations: Mapping[str, str], root: TrustRoot
    ) -> tuple[Certified, Witness]:
        """Verify a legacy signature by its certificate and the log's promise beside it.

        Raises:
            VerificationError: it does not hold; ``code`` says which part.
        """
        return _guarded(lambda: self._root(root).legacy(payload, annotations))

    def _root(self, root: TrustRoot) -> "_Root":
        known = self._roots.get(root.digest)
        if known is None:
            known = self._roots[root.digest] = _Root(root)
        return known


class _Root:
    """One trusted root, as the library has it."""

    def __init__(self, root: TrustRoot) -> None:
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier
        from sigstore_models.trustroot.v1 import TrustedRoot as Document

        self._digest = root.digest
        self._trusted = TrustedRoot(Document.from_json(root.raw))
        self._verifier = Verifier(trusted_root=self._trusted)

    def bundle(self, raw: bytes) -> tuple[Certified, Witness]:
        """Verify a bundle with an envelope."""
        from sigstore.models import Bundle

        bundle = Bundle.from_json(raw)
        # Who signed is judged afterwards, by the policy and not in this library's words.
        self._verifier.verify_dsse(bundle, _Anybody())
        times = self._times(bundle)
        entry = bundle.log_entry._inner  # noqa: SLF001  # the library has no public way to it
        log_times = [time for time, stamped in times if not stamped]
        _check_log(self._trusted, entry.log_id.key_id, log_times or [t for t, _ in times])
        self._check_authority(bundle.signing_certificate, [time for time, _ in times])
        return certified(bundle.signing_certificate), self._witness(times)

    def legacy(self, payload: bytes, annotations: Mapping[str, str]) -> tuple[Certified, Witness]:
        """Verify a payload that a certificate's key signed, with the promise of Rekor v1."""
        from cryptography.x509 import load_pem_x509_certificate

        signature = strict_base64(annotations.get(SIGNATURE_ANNOTATION, "")) or b""
        pem = annotations.get(CERTIFICATE_ANNOTATION, "").encode()
        certificate = load_pem_x509_certificate(pem)
        promise = Promise.parse(annotations.get(LOG_ANNOTATION, ""))
        promise.check_entry(certificate, signature=signature, payload=payload)
        promise.check_signature(self._trusted)
        _check_log(self._trusted, promise.log_id, [promise.time])
        chain = self._check_authority(certificate, [promise.time])
        self._check_leaf(certificate, chain)
        key = public_key_of(certificate.public_key(), what="the certificate's key")
        if not verify_legacy_signature(key, signature, payload):
            raise VerificationError(
                "the certificate's key did not sign this payload", code="BAD_SIGNATURE"
            )
        return certified(certificate), self._witness([(promise.time, False)])

    def _witness(self, times: Iterable[_Time]) -> Witness:
        found = tuple(times)
        return Witness(
            root=self._digest,
            logged=True,
            times=tuple(sorted(time for time, _ in found)),
            timestamped=any(stamped for _, stamped in found),
        )

    def _times(self, bundle: "Bundle") -> tuple[_Time, ...]:
        """Return the times that the library has verified the bundle by."""
        from sigstore._internal.timestamp import TimestampSource

        # There is no public way to them; were this one gone, nothing would verify any more.
        found = self._verifier._establish_time(bundle)  # noqa: SLF001
        authority = TimestampSource.TIMESTAMP_AUTHORITY
        return tuple((each.time, each.source is authority) for each in found)

    def _check_authority(
        self, certificate: "Certificate", times: Iterable[datetime]
    ) -> list["Certificate"]:
        """Check chain and authority at each time; return the chain above the certificate."""
        from sigstore._internal.timestamp import TimestampSource, TimestampVerificationResult

        chain: list[Certificate] = []
        authorities = self._trusted._inner.certificate_authorities  # noqa: SLF001  # see _times
        for time in times:
            source = TimestampSource.TRANSPARENCY_SERVICE
            moment = TimestampVerificationResult(source=source, time=time)
            chain = self._verifier._verify_chain_at_time(certificate, moment)  # noqa: SLF001
            issuer = _der(chain[0])
            periods = [
                each.valid_for
                for each in authorities
                if issuer in [bytes(one.raw_bytes) for one in each.cert_chain.certificates]
            ]
            if not any(_within(period, time) for period in periods):
                raise VerificationError(
                    f"the certificate's authority was not valid at {time.isoformat()}, "
                    "as the trusted root says",
                    code="BAD_CERTIFICATE",
                )
        return chain

    def _check_leaf(self, certificate: "Certificate", chain: list["Certificate"]) -> None:
        """Check what the library checks of a bundle's certificate: its SCT and its usage."""
        from cryptography.x509 import ExtendedKeyUsage, KeyUsage
        from cryptography.x509.oid import ExtendedKeyUsageOID
        from sigstore._internal.sct import verify_sct
        from sigstore._internal.trust import KeyringPurpose

        verify_sct(certificate, chain, self._trusted.ct_keyring(KeyringPurpose.VERIFY))
        usage = certificate.extensions.get_extension_for_class(KeyUsage).value
        extended = certificate.extensions.get_extension_for_class(ExtendedKeyUsage).value
        if not usage.digital_signature or ExtendedKeyUsageOID.CODE_SIGNING not in extended:
            raise VerificationError(
                "the certificate is not for signing code", code="BAD_CERTIFICATE"
            )


class _Anybody:
    """A policy of the library's that leaves the judgement of the identity to ours."""

    def verify(self, cert: "Certificate") -> None:
        """Accept whoever can be named at all."""
        certified(cert)


def certified(certificate: "Certificate") -> Certified:
    """Return whom a certificate of Fulcio names, and who vouched for that.

    Raises:
        VerificationError: it names nobody, or several, or no issuer of the identity.
    """
    from cryptography.x509 import SubjectAlternativeName

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

    found = {}
    for extension in certificate.extensions:
        if isinstance(extension.value, UnrecognizedExtension):
            found[extension.oid.dotted_string] = extension.value.value
    said = set()
    if _ISSUER_V1 in found:
        said.add(found[_ISSUER_V1].decode())
    if _ISSUER_V2 in found:
        said.add(_utf8_string(found[_ISSUER_V2]))
    if len(said) != 1 or not min(said):
        raise VerificationError(
            "the certificate does not name one issuer of the identity", code="ISSUER_MISMATCH"
        )
    return said.pop()


def _utf8_string(raw: bytes) -> str:
    """Read a DER UTF8String (ITU-T X.690) that fills the bytes."""
    from cryptography.hazmat.asn1 import decode_der

    return decode_der(str, raw)


def _check_log(trusted: "TrustedRoot", log_id: bytes, times: Iterable[datetime]) -> None:
    """Check that the trusted root had the log for valid at these times.

    Raises:
        VerificationError: it did not, or does not know the log.
    """
    logs = [
        log
        for log in trusted._inner.tlogs  # noqa: SLF001  # the library has no public way to it
        if bytes(log.log_id.key_id) == bytes(log_id)
    ]
    if not logs:
        raise VerificationError(
            "the log entry is of a log that the trusted root does not know", code="UNKNOWN_LOG"
        )
    for time in times:
        if not any(_within(log.public_key.valid_for, time) for log in logs):
            raise VerificationError(
                f"the log was not valid at {time.isoformat()}, as the trusted root says",
                code="BAD_TLOG_ENTRY",
            )


def _within(period: Any, time: datetime) -> bool:
    """Tell whether a time is in a period, of which the end may be open; no period has none."""
    if period is None or period.start is None:
        return False
    return bool(period.start <= time and (period.end is None or time <= period.end))


def _der(certificate: "Certificate") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def _guarded(verify: Callable[[], _Result]) -> _Result:
    """Let every fault be a refusal.

    Strangers' bytes go through other people's parsers here: whatever one of these raises means
    that the signature does not hold.
    """
    try:
        return verify()
    except VerificationError:
        raise
    except ImagekitError as error:
        raise VerificationError(error.message, hint=error.hint, code=error.code) from error
    except Exception as error:  # see above
        said = " ".join(str(error).split()) or type(error).__name__
        code = next((code for word, code in _CODES if word in said), "BAD_BUNDLE")
        raise VerificationError(f"{said:.300}", code=code) from error
