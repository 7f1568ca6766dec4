"""Signatures verified by sigstore-python: offline, by a trusted root that is given.

Nothing here reads a home folder or opens a connection. Of certificates the library verifies the
chain and its SCT, the log entry with inclusion proof, checkpoint and promise, the times, and the
envelope's signature. What it leaves out and others check is added: that log and authority were
valid, by the trusted root, at the time that they prove, that a log's key counts for that log only,
and that each timestamp holds. Keys it does not know at all: see ``transparency``. Who signed, and
what, is for ``imagekit.verify`` to judge.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from imagekit.clock import Clock, SystemClock
from imagekit.documents import strictjson
from imagekit.documents.fields import Fields, strict_base64
from imagekit.errors import VerificationError
from imagekit.oci.digest import Digest
from imagekit.signatures.authority import TrustRoot
from imagekit.signatures.bundle import BAD_TIMESTAMP, KeyBundle, Proofs, parse_bundle
from imagekit.signatures.dsse import Envelope
from imagekit.signatures.logentry import BAD_TLOG_ENTRY, Signed
from imagekit.signatures.publickey import PublicKey, public_key_of
from imagekit.signatures.results import Certified, Refusal, ServiceResult, TransparencyResult
from imagekit.signatures.signature import verify_legacy_signature, verify_signature
from imagekit.signatures.sigstore.certificate import certified
from imagekit.signatures.sigstore.promise import InclusionPromise, check_certified_body
from imagekit.signatures.sigstore.timestamps import judge_timestamps, with_fault
from imagekit.signatures.sigstore.transparency import (
    TransparencyVerifier,
    check_logged,
    check_proofs,
)
from imagekit.signatures.sigstore.trustedroot import guarded, load_root, log_keys, within
from imagekit.signatures.simplesigning import (
    CERTIFICATE_ANNOTATION,
    LOG_ANNOTATION,
    SIGNATURE_ANNOTATION,
    TIMESTAMP_ANNOTATION,
    legacy_timestamps,
)

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import Bundle
    from sigstore.verify import Verifier

_BAD_BUNDLE, _BAD_CERTIFICATE, _BAD_SIGNATURE = "BAD_BUNDLE", "BAD_CERTIFICATE", "BAD_SIGNATURE"


class SigstoreVerifier:
    """An implementation of ``ports.CertificateVerifier``; each trusted root is read once."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._roots: dict[Digest, _Root] = {}

    def bundle(self, raw: bytes, root: TrustRoot) -> tuple[Certified, TransparencyResult]:
        """Verify a bundle by certificate.

        Raises:
            VerificationError: it does not hold; ``code`` says which part.
        """
        return guarded(lambda: self._root(root).bundle(raw), code=_BAD_BUNDLE)

    def artifact(
        self, raw: bytes, artifact: bytes | Digest, root: TrustRoot
    ) -> tuple[Certified, TransparencyResult]:
        """Verify a bundle with the signature of bare bytes, or of the digest given for them.

        No image is ever verified so: it says nothing of what the bytes are.

        Raises:
            VerificationError: it does not hold; ``code`` says which part.
        """
        return guarded(lambda: self._root(root).artifact(raw, artifact), code=_BAD_BUNDLE)

    def legacy(
        self, payload: bytes, annotations: Mapping[str, str], root: TrustRoot
    ) -> tuple[Certified, TransparencyResult]:
        """Verify a legacy signature by its certificate and the log's promise beside it.

        Raises:
            VerificationError: it does not hold; ``code`` says which part.
        """
        return guarded(lambda: self._root(root).legacy(payload, annotations), code=_BAD_SIGNATURE)

    def key_bundle(
        self, bundle: KeyBundle, key: PublicKey, *, root: TrustRoot
    ) -> TransparencyResult:
        """Judge log entries and timestamps of a bundle by a key; faults are in the result."""
        return self.key_proofs(bundle.proofs, _signed(bundle.envelope), key, root=root)

    def key_proofs(
        self, proofs: Proofs, signed: Signed, key: PublicKey, *, root: TrustRoot
    ) -> TransparencyResult:
        """Judge log entries and timestamps of whatever a key has signed; see ``key_bundle``."""
        if proofs.none:
            return TransparencyResult(root=root.digest)

        def judge(verifier: TransparencyVerifier) -> TransparencyResult:
            timestamps = verifier.timestamps(lambda: proofs.timestamps)
            log = verifier.log(lambda: proofs.log_entries, timestamps.times)
            return TransparencyResult(root=root.digest, log=log, timestamps=timestamps)

        return self._asked(signed, key, root, judge=judge)

    def key_legacy(
        self, payload: bytes, annotations: Mapping[str, str], key: PublicKey, *, root: TrustRoot
    ) -> TransparencyResult:
        """Judge the promise and the timestamp beside a legacy signature; see ``key_bundle``."""
        promise = annotations.get(LOG_ANNOTATION, "")
        if not (promise or annotations.get(TIMESTAMP_ANNOTATION)):
            return TransparencyResult(root=root.digest)

        def judge(verifier: TransparencyVerifier) -> TransparencyResult:
            timestamps = verifier.timestamps(lambda: legacy_timestamps(annotations))
            return TransparencyResult(
                root=root.digest, log=verifier.promise(promise), timestamps=timestamps
            )

        signature = strict_base64(annotations.get(SIGNATURE_ANNOTATION, "")) or b""
        return self._asked(Signed(signature=signature, message=payload), key, root, judge=judge)

    def _asked(
        self,
        signed: Signed,
        key: PublicKey,
        root: TrustRoot,
        /,
        *,
        judge: Callable[[TransparencyVerifier], TransparencyResult],
    ) -> TransparencyResult:
        try:
            trusted = self._root(root).trusted
        except VerificationError as error:
            refusal = Refusal(code=error.code, message=error.message, hint=error.hint)
            fault = ServiceResult(fault=refusal)
            return TransparencyResult(root=root.digest, log=fault, timestamps=fault)
        return judge(
            TransparencyVerifier(trusted=trusted, key=key, signed=signed, now=self._clock.now())
        )

    def _root(self, root: TrustRoot) -> "_Root":
        known = self._roots.get(root.digest)
        if known is None:
            known = self._roots[root.digest] = _Root(root)
        return known


class _Root:
    """One trusted root, as the library has it."""

    def __init__(self, root: TrustRoot) -> None:
        self._digest = root.digest
        self.trusted = load_root(root)

    @cached_property
    def _verifier(self) -> "Verifier":
        """The library's; it wants an authority in the root, which keys do without."""
        from sigstore.verify import Verifier

        return Verifier(trusted_root=self.trusted)

    def bundle(self, raw: bytes) -> tuple[Certified, TransparencyResult]:
        """Verify a bundle with an envelope."""
        from sigstore.models import Bundle

        from imagekit.signatures.sigstore.internals import entry_message

        parsed = parse_bundle(raw)
        check_proofs(parsed.proofs)
        bundle, signed = Bundle.from_json(raw), _signed(parsed.envelope)
        result, certificate = self._certified(bundle), bundle.signing_certificate
        if not verify_signature(_key_of(certificate), signed.signature, signed.message):
            raise _not_signed()
        body = bytes(entry_message(bundle.log_entry).canonicalized_body)
        check_certified_body(body, signed, certificate)
        # Who signed is judged afterwards, by the policy and not in this library's words. What is
        # left for it to refuse is about the entry, such as a kind that it does not know.
        guarded(lambda: self._verifier.verify_dsse(bundle, _AnyIdentity()), code=BAD_TLOG_ENTRY)
        return result

    def artifact(
        self, raw: bytes, artifact: bytes | Digest
    ) -> tuple[Certified, TransparencyResult]:
        """Verify a bundle with the signature of bare bytes."""
        from sigstore.hashes import Hashed
        from sigstore.models import Bundle
        from sigstore_models.common.v1 import HashAlgorithm

        fields = Fields.of(strictjson.loads(raw, what="the bundle"), what="it", code=_BAD_BUNDLE)
        check_proofs(Proofs(material=fields.object("verificationMaterial")))
        bundle = Bundle.from_json(raw)
        digest = artifact if isinstance(artifact, Digest) else Digest.of(artifact)
        hashed = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=bytes.fromhex(digest.hex))
        result = self._certified(bundle)
        guarded(lambda: _verify_digest(bundle, hashed.digest), code=_BAD_SIGNATURE)
        guarded(
            lambda: self._verifier.verify_artifact(hashed, bundle, _AnyIdentity()),
            code=BAD_TLOG_ENTRY,
        )
        return result

    def _certified(self, bundle: "Bundle") -> tuple[Certified, TransparencyResult]:
        """Check certificate, times and log, part by part; return who signed and when.

        The library checks most of it once more, as a whole; it does not say in a way for programs
        which part does not hold, and leaves out when a service was valid.
        """
        from imagekit.signatures.sigstore.internals import bundle_message, entry_message

        entry, certificate = bundle.log_entry, bundle.signing_certificate
        message = entry_message(entry)
        # sigstore_rekor.proto: without an inclusion promise, integrated_time must not be trusted.
        promised: tuple[datetime, ...] = ()
        if message.inclusion_promise is not None and message.integrated_time:
            promised = (datetime.fromtimestamp(message.integrated_time, UTC),)
        data = bundle_message(bundle).verification_material.timestamp_verification_data
        timestamps = self._timestamps(
            lambda: (
                [bytes(stamp.signed_timestamp) for stamp in data.rfc3161_timestamps] if data else []
            ),
            bundle.signature,
        )
        # The promised time is a mere claim until the promise has been verified below, with the
        # entry; nothing is returned before.
        self._check_authority(certificate, promised + timestamps.times)
        keys = log_keys(self.trusted, message.log_id.key_id, promised or timestamps.times)
        guarded(lambda: check_logged(entry, keys, promised=bool(promised)), code=BAD_TLOG_ENTRY)
        return certified(certificate), self._transparency(promised, timestamps)

    def legacy(
        self, payload: bytes, annotations: Mapping[str, str]
    ) -> tuple[Certified, TransparencyResult]:
        """Verify a payload that a certificate's key signed, with the promise of Rekor v1."""
        from cryptography.x509 import load_pem_x509_certificate

        signature = strict_base64(annotations.get(SIGNATURE_ANNOTATION, "")) or b""
        pem = annotations.get(CERTIFICATE_ANNOTATION, "").encode()
        certificate = guarded(lambda: load_pem_x509_certificate(pem), code=_BAD_CERTIFICATE)
        promise = InclusionPromise.parse(annotations.get(LOG_ANNOTATION, ""))
        signed = Signed(signature=signature, message=payload)
        check_certified_body(promise.body, signed, certificate)
        # This form has no inclusion proof: the promise stands in for it, as an SCT does in RFC
        # 6962, section 3.2.
        promise.check_signature(log_keys(self.trusted, promise.log_id, [promise.time]))
        timestamps = self._timestamps(lambda: legacy_timestamps(annotations), signature)
        self._check_authority(certificate, (promise.time, *timestamps.times))
        if not verify_legacy_signature(_key_of(certificate), signature, payload):
            raise _not_signed()
        return certified(certificate), self._transparency((promise.time,), timestamps)

    def _timestamps(self, read: Callable[[], Sequence[bytes]], signature: bytes) -> ServiceResult:
        return with_fault(
            lambda: judge_timestamps(self.trusted, read(), signature), code=BAD_TIMESTAMP
        )

    def _transparency(
        self, promised: tuple[datetime, ...], timestamps: ServiceResult
    ) -> TransparencyResult:
        log = ServiceResult(there=True, times=promised)
        return TransparencyResult(root=self._digest, log=log, timestamps=timestamps)

    def _check_authority(self, certificate: "Certificate", times: Sequence[datetime]) -> None:
        """Check the certificate: chain and authority at each time, its SCT and its usage."""
        if not times:
            raise VerificationError(
                "no service of the trusted root proves when it was signed",
                code="NO_TRUSTED_TIME",
            )
        guarded(lambda: self._check_certificate(certificate, times), code=_BAD_CERTIFICATE)

    def _check_certificate(self, certificate: "Certificate", times: Sequence[datetime]) -> None:
        from cryptography.x509 import ExtendedKeyUsage, KeyUsage
        from cryptography.x509.oid import ExtendedKeyUsageOID

        from imagekit.signatures.sigstore.internals import verify_chain, verify_embedded_sct

        # RFC 5280, section 6.1: the chain must be valid at every time that is proven.
        chain: list[Certificate] = []
        for time in times:
            chain = verify_chain(self._verifier, certificate, time)
            self._check_period(chain[0], time)
        # RFC 6962, section 3.3. Its subject could not notice a certificate that was never logged.
        verify_embedded_sct(self.trusted, certificate, chain)
        # RFC 5280, sections 4.2.1.3 (digitalSignature) and 4.2.1.12 (id-kp-codeSigning). A
        # certificate of the same authority for something else signs no images.
        usage = certificate.extensions.get_extension_for_class(KeyUsage).value
        extended = certificate.extensions.get_extension_for_class(ExtendedKeyUsage).value
        if not usage.digital_signature or ExtendedKeyUsageOID.CODE_SIGNING not in extended:
            raise VerificationError(
                "the certificate is not for signing code", code=_BAD_CERTIFICATE
            )

    def _check_period(self, issuer: "Certificate", time: datetime) -> None:
        from imagekit.signatures.sigstore.internals import root_message

        # CertificateAuthority.valid_for: clients must check it besides the chain. One certificate
        # may belong to several chains of the root.
        der = _der(issuer)
        periods = [
            authority.valid_for
            for authority in root_message(self.trusted).certificate_authorities
            if der
            in [bytes(certificate.raw_bytes) for certificate in authority.cert_chain.certificates]
        ]
        if not any(within(period, time) for period in periods):
            raise VerificationError(
                f"the certificate's authority was not valid at {time.isoformat()}, "
                "as the trusted root says",
                code=_BAD_CERTIFICATE,
            )


class _AnyIdentity:
    """A policy of the library's that leaves the judgement of the identity to ours."""

    def verify(self, cert: "Certificate") -> None:
        """Accept every certificate that names one subject."""
        certified(cert)


def _der(certificate: "Certificate") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def _signed(envelope: Envelope) -> Signed:
    return Signed(
        signature=envelope.signatures[0], message=envelope.signed_bytes, payload=envelope.payload
    )


def _key_of(certificate: "Certificate") -> PublicKey:
    return public_key_of(certificate.public_key(), what="the certificate's key")


def _verify_digest(bundle: "Bundle", digest: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    from cryptography.hazmat.primitives.hashes import SHA256

    # ECDSA signs the digest of the artifact, which is all that may be at hand. It is the caller's:
    # by the bundle's own message_digest clients must not verify (sigstore_common.proto,
    # MessageSignature).
    key = bundle.signing_certificate.public_key()
    if not isinstance(key, EllipticCurvePublicKey):
        raise _not_signed()
    key.verify(bundle.signature, digest, ECDSA(Prehashed(SHA256())))


def _not_signed() -> VerificationError:
    return VerificationError("the certificate's key did not sign this", code=_BAD_SIGNATURE)
