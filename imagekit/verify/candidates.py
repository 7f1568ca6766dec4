"""Turns candidates into evidence: the only place where signatures are verified.

What must hold before anything in a candidate is trusted:

1. Its bytes are a bundle or a payload that every reader reads alike.
2. A key of the policy verifies the signature over exactly these bytes, and nothing that came with
   the candidate takes part; or a certificate does, under a trusted root that the policy names.
3. What was signed is an in-toto statement with a subject, or a simple signing payload.
4. Log entries and timestamps that came along are of this very signature, where the policy names
   a trusted root to verify them by.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from imagekit.documents.fields import strict_base64
from imagekit.errors import DocumentError, VerificationError
from imagekit.oci.digest import Digest
from imagekit.signatures.authority import Authority, Need, TrustRoot
from imagekit.signatures.bundle import (
    CertificateBundle,
    KeyBundle,
    hinted_fingerprint,
    parse_bundle,
)
from imagekit.signatures.dsse import Envelope
from imagekit.signatures.intoto import COSIGN_SIGN, statement_of
from imagekit.signatures.ports import CertificateVerifier
from imagekit.signatures.publickey import PublicKey
from imagekit.signatures.results import Certified, Refusal, TransparencyResult
from imagekit.signatures.signature import verify_legacy_signature, verify_signature
from imagekit.signatures.simplesigning import (
    CERTIFICATE_ANNOTATION,
    SIGNATURE_ANNOTATION,
    parse_payload,
)
from imagekit.verify.evidence import Candidate, Evidence, Form

CandidateResult = Evidence | Refusal
_Verified = tuple[Certified, tuple[TransparencyResult, ...]]


class TrustedSigners(Struct, frozen=True, kw_only=True):
    """What candidates are verified by.

    ``certificates`` verifies keyless signatures, log entries and timestamps; without it none
    counts.
    """

    authorities: tuple[Authority, ...]
    digest: Digest
    """The image's."""
    certificates: CertificateVerifier | None = None

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """All keys that the policy lists for this image."""
        # Several authorities may name one key, which is tried once.
        return tuple(
            dict.fromkeys(
                authority.key for authority in self.authorities if authority.key is not None
            )
        )

    @property
    def certificate_roots(self) -> tuple[TrustRoot, ...]:
        """The trusted roots of those who sign keyless."""
        return _distinct(
            authority.trust_root for authority in self.authorities if authority.identities
        )

    def witnesses(
        self, key: PublicKey, judge: Callable[[CertificateVerifier, TrustRoot], TransparencyResult]
    ) -> tuple[TransparencyResult, ...]:
        """Judge what came along with a key's signature, by each trusted root that a policy has.

        A key without a trusted root, or whose logs and timestamps are not looked at, has none.
        """
        if self.certificates is None:
            return ()
        roots = _distinct(
            authority.trust_root
            for authority in self.authorities
            if authority.key == key and {authority.tlog, authority.timestamp} != {Need.OFF}
        )
        return tuple(judge(self.certificates, root) for root in roots)


def verify_candidates(
    candidates: Iterable[Candidate], trusted: TrustedSigners
) -> tuple[CandidateResult, ...]:
    """Judge each candidate: the evidence that it is, or why it is none."""
    return tuple(_weigh(candidate, trusted) for candidate in candidates)


def _weigh(candidate: Candidate, trusted: TrustedSigners) -> CandidateResult:
    try:
        if candidate.form is Form.LEGACY:
            return _legacy(candidate, trusted)
        return _bundle(candidate, trusted)
    except (DocumentError, VerificationError) as error:
        return Refusal(
            code=error.code or "BAD_DOCUMENT",
            message=f"{candidate.source.short}: {error.message}",
            hint=error.hint,
        )


def _bundle(candidate: Candidate, trusted: TrustedSigners) -> CandidateResult:
    bundle = parse_bundle(candidate.raw)
    # Sigstore bundle, VerificationMaterial: the hint of a key or a certificate, never both.
    if isinstance(bundle, CertificateBundle):
        return _certificate_bundle(candidate, bundle, trusted)
    key = _signer(bundle, trusted.keys)
    if key is None:
        return _unknown(
            candidate, claim=_claim(bundle.envelope), fingerprint=hinted_fingerprint(bundle.hint)
        )
    witnesses = trusted.witnesses(
        key, lambda verifier, root: verifier.key_bundle(bundle, key, root=root)
    )
    return _evidence(candidate, bundle.envelope, trusted, signatory=key, witnesses=witnesses)


def _certificate_bundle(
    candidate: Candidate, bundle: CertificateBundle, trusted: TrustedSigners
) -> CandidateResult:
    if not trusted.certificate_roots or trusted.certificates is None:
        return _keys_only(candidate, claim=_claim(bundle.envelope))
    verifier = trusted.certificates
    try:
        certified, witnesses = _certified(
            trusted.certificate_roots, lambda root: verifier.bundle(candidate.raw, root)
        )
    except VerificationError as error:
        return Refusal(
            code=error.code or "BAD_BUNDLE",
            message=f"{candidate.source.short}: {error.message}",
            hint=error.hint,
            claim=_claim(bundle.envelope),
        )
    return _evidence(candidate, bundle.envelope, trusted, signatory=certified, witnesses=witnesses)


def _evidence(
    candidate: Candidate,
    envelope: Envelope,
    trusted: TrustedSigners,
    *,
    signatory: PublicKey | Certified,
    witnesses: tuple[TransparencyResult, ...] = (),
) -> Evidence:
    statement = statement_of(envelope)
    # in-toto Statement v1, "subject": matched by digest alone. Names of other subjects say nothing
    # about this image.
    matching = [subject for subject in statement.subjects if subject.digest == trusted.digest]
    return Evidence(
        form=candidate.form,
        source=candidate.source,
        signatory=signatory,
        about=bool(matching),
        identities=tuple(subject.name for subject in matching if subject.name),
        predicate_type=statement.predicate_type,
        predicate=statement.predicate,
        witnesses=witnesses,
    )


def _signer(bundle: KeyBundle, keys: Sequence[PublicKey]) -> PublicKey | None:
    # DSSE protocol: signed are PAE(type, body) of the very bytes that are read afterwards.
    message = bundle.envelope.signed_bytes
    # The hint saves time where it is right, and decides nothing (DSSE protocol, KEYID).
    for key in sorted(keys, key=lambda key: key.hint != bundle.hint):
        if any(
            verify_signature(key, signature, message) for signature in bundle.envelope.signatures
        ):
            return key
    return None


def _certified(
    roots: Sequence[TrustRoot], verify: Callable[[TrustRoot], tuple[Certified, TransparencyResult]]
) -> _Verified:
    """Verify under each trusted root; it holds where one of them verifies it.

    Raises:
        VerificationError: none does; the first one's reason.
    """
    verified, faults = [], []
    for root in roots:
        try:
            verified.append(verify(root))
        except VerificationError as error:
            faults.append(error)
    if not verified:
        raise faults[0]
    return verified[0][0], tuple(transparency for _, transparency in verified)


def _legacy(candidate: Candidate, trusted: TrustedSigners) -> CandidateResult:
    # cosign SIGNATURE_SPEC, "Signature": an annotation of the layer, in base64.
    signature = strict_base64(candidate.annotations.get(SIGNATURE_ANNOTATION, ""))
    if not signature:
        return Refusal(
            code="BAD_PAYLOAD",
            message=f"{candidate.source.short}: the layer carries no signature in base64",
        )
    # cosign SIGNATURE_SPEC, "Properties": where there is a certificate, its key is the one that
    # verifies.
    if CERTIFICATE_ANNOTATION in candidate.annotations:
        return _legacy_certificate(candidate, trusted)
    # cosign SIGNATURE_SPEC, "Signature Schemes": nothing beside it says by which key it was made.
    for key in trusted.keys:
        # cosign SIGNATURE_SPEC, "Properties": the signature is detached, over the payload as it is
        # stored.
        if verify_legacy_signature(key, signature, candidate.raw):
            return _legacy_evidence(
                candidate, trusted, key, witnesses=_legacy_witnesses(candidate, trusted, key)
            )
    return _unknown(candidate, claim=COSIGN_SIGN)


def _legacy_witnesses(
    candidate: Candidate, trusted: TrustedSigners, key: PublicKey
) -> tuple[TransparencyResult, ...]:
    def judge(verifier: CertificateVerifier, root: TrustRoot) -> TransparencyResult:
        return verifier.key_legacy(candidate.raw, candidate.annotations, key, root=root)

    return trusted.witnesses(key, judge)


def _legacy_certificate(candidate: Candidate, trusted: TrustedSigners) -> CandidateResult:
    if not trusted.certificate_roots or trusted.certificates is None:
        return _keys_only(candidate, claim=COSIGN_SIGN)
    verifier = trusted.certificates
    certified, witnesses = _certified(
        trusted.certificate_roots,
        lambda root: verifier.legacy(candidate.raw, candidate.annotations, root),
    )
    return _legacy_evidence(candidate, trusted, certified, witnesses=witnesses)


def _legacy_evidence(
    candidate: Candidate,
    trusted: TrustedSigners,
    signatory: PublicKey | Certified,
    /,
    *,
    witnesses: tuple[TransparencyResult, ...] = (),
) -> Evidence:
    # containers-signature(5), "The cryptographic signature": nothing of the payload is parsed
    # before its signature was verified.
    payload = parse_payload(candidate.raw)
    about = payload.digest == trusted.digest
    return Evidence(
        form=candidate.form,
        source=candidate.source,
        signatory=signatory,
        about=about,
        # cosign takes no notice of this name (SIGNATURE_SPEC, "Simple Signing").
        # containers-policy.json(5) compares it with the reference that was asked for, and so does
        # ``identity``.
        identities=(payload.identity,) if about else (),
        # Such a payload has no predicate: its ``critical.type``, which is checked, says the same.
        predicate_type=COSIGN_SIGN,
        predicate={},
        witnesses=witnesses,
    )


def _unknown(candidate: Candidate, *, claim: str, fingerprint: str = "") -> Refusal:
    """Return the refusal of a key that is not listed, with the fingerprint that it claims to have.

    A signature does not hold the key: who signed is what the bundle says, and only said.
    """
    says = f", which its hint calls {fingerprint}" if fingerprint else ""
    return Refusal(
        code="UNTRUSTED_KEY",
        message=f"{candidate.source.short} ({candidate.form}) is signed by a key that the policy "
        f"does not list{says}",
        claim=claim,
        fingerprint=fingerprint,
    )


def _keys_only(candidate: Candidate, *, claim: str) -> Refusal:
    return Refusal(
        code="UNTRUSTED_KEY",
        message=f"{candidate.source.short} is signed under a certificate; "
        "this policy lists keys only",
        claim=claim,
    )


def _claim(envelope: Envelope) -> str:
    """Return the predicate type that an unverified statement claims; for the message only."""
    try:
        return statement_of(envelope).predicate_type
    except DocumentError:
        return ""


def _distinct(roots: Iterable[TrustRoot | None]) -> tuple[TrustRoot, ...]:
    by_digest = {root.digest: root for root in roots if root is not None}
    return tuple(by_digest.values())
