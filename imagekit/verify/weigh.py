"""Turns candidates into evidence: pure, and the only place where signatures are verified.

What must hold before anything in a candidate is believed:

1. Its bytes are a bundle or a payload that every reader reads alike.
2. A key of the policy, and nothing that came with the candidate, verifies the signature over
   exactly these bytes.
3. What was signed is an in-toto statement with a subject, or a simple signing payload.
"""

from collections.abc import Iterable, Sequence

from imagekit.errors import DocumentError
from imagekit.formats.bundle import CertificateBundle, KeyBundle, parse_bundle
from imagekit.formats.dsse import Envelope
from imagekit.formats.fields import strict_base64
from imagekit.formats.intoto import statement_of
from imagekit.formats.signature import verify_legacy_signature, verify_signature
from imagekit.formats.simplesigning import parse_payload
from imagekit.model.digest import Digest
from imagekit.model.evidence import Candidate, Evidence, Form, Refusal
from imagekit.model.key import PublicKey
from imagekit.model.statement import COSIGN_SIGN

Weighed = Evidence | Refusal


def weigh(
    candidates: Iterable[Candidate], keys: Sequence[PublicKey], *, digest: Digest
) -> tuple[Weighed, ...]:
    """Judge each candidate by the keys of a policy.

    Args:
        candidates: what the registry offered.
        keys: all that the policy lists for this image.
        digest: the image's.

    Returns:
        For each candidate the evidence that it is, or why it is none.
    """
    return tuple(_weigh(candidate, keys, digest) for candidate in candidates)


def _weigh(candidate: Candidate, keys: Sequence[PublicKey], digest: Digest) -> Weighed:
    try:
        if candidate.form is Form.LEGACY:
            return _legacy(candidate, keys, digest)
        return _bundle(candidate, keys, digest)
    except DocumentError as error:
        return Refusal(
            code=error.code or "BAD_DOCUMENT",
            message=f"{candidate.source.short}: {error.message}",
            hint=error.hint,
        )


def _bundle(candidate: Candidate, keys: Sequence[PublicKey], digest: Digest) -> Weighed:
    bundle = parse_bundle(candidate.raw)
    if isinstance(bundle, CertificateBundle):
        return Refusal(
            code="UNTRUSTED_KEY",
            message=f"{candidate.source.short} is signed under a certificate; "
            "this policy lists keys only",
            claim=_claim(bundle.envelope),
        )
    key = _signer(bundle, keys)
    if key is None:
        return _unknown(candidate, claim=_claim(bundle.envelope))
    statement = statement_of(bundle.envelope)
    return Evidence(
        form=candidate.form,
        source=candidate.source,
        key=key,
        about=any(subject.digest == digest for subject in statement.subjects),
        identities=tuple(
            subject.name
            for subject in statement.subjects
            if subject.digest == digest and subject.name
        ),
        predicate_type=statement.predicate_type,
        predicate=statement.predicate,
    )


def _signer(bundle: KeyBundle, keys: Sequence[PublicKey]) -> PublicKey | None:
    message = bundle.envelope.signed_bytes
    # The hint saves time where it is right, and decides nothing.
    for key in sorted(keys, key=lambda key: key.hint != bundle.hint):
        if any(verify_signature(key, each, message) for each in bundle.envelope.signatures):
            return key
    return None


def _legacy(candidate: Candidate, keys: Sequence[PublicKey], digest: Digest) -> Weighed:
    signature = strict_base64(candidate.signature)
    if not signature:
        return Refusal(
            code="BAD_PAYLOAD",
            message=f"{candidate.source.short}: the layer carries no signature in base64",
        )
    for key in keys:
        if verify_legacy_signature(key, signature, candidate.raw):
            payload = parse_payload(candidate.raw)
            about = payload.digest == digest
            return Evidence(
                form=candidate.form,
                source=candidate.source,
                key=key,
                about=about,
                identities=(payload.identity,) if about else (),
                predicate_type=COSIGN_SIGN,
                predicate={},
            )
    return _unknown(candidate, claim=COSIGN_SIGN)


def _unknown(candidate: Candidate, *, claim: str) -> Refusal:
    return Refusal(
        code="UNTRUSTED_KEY",
        message=f"{candidate.source.short} ({candidate.form}) is signed by a key that the policy "
        "does not list",
        claim=claim,
    )


def _claim(envelope: Envelope) -> str:
    """Return the predicate type that an unverified statement claims; for the message only."""
    try:
        return statement_of(envelope).predicate_type
    except DocumentError:
        return ""
