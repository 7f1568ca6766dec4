"""Timestamps (RFC 3161) of signatures, by the authorities of a trusted root.

What must hold, whether a key signed or a certificate: a timestamp is over this very signature, by
an authority of the trusted root in the time that the root gives it, and none is there twice. What
is by an authority that the root does not know proves nothing, and is no fault.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from imagekit.errors import VerificationError
from imagekit.signatures.bundle import BAD_TIMESTAMP
from imagekit.signatures.results import Refusal, ServiceResult
from imagekit.signatures.sigstore.trustedroot import guarded, within

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse
    from sigstore.models import TrustedRoot


def judge_timestamps(
    trusted: "TrustedRoot", raws: Sequence[bytes], signature: bytes
) -> ServiceResult:
    """Judge timestamps.

    Args:
        trusted: who the authorities are.
        raws: the responses (RFC 3161, section 2.4.2), in DER.
        signature: what they must be over.

    Raises:
        Exception: one that names a known authority does not hold; see ``with_fault``.
    """
    # One that is repeated would count twice where several are wanted.
    if len(set(raws)) != len(raws):
        raise VerificationError("a timestamp is there twice", code=BAD_TIMESTAMP)
    judged = [_time(trusted, raw, signature) for raw in raws]
    times = tuple(sorted(time for time in judged if time is not None))
    return ServiceResult(there=bool(times), times=times, foreign=None in judged)


def with_fault(judge: Callable[[], ServiceResult], *, code: str) -> ServiceResult:
    """Return what does not hold as a fault of the result: the policy may not ask for it."""
    try:
        return guarded(judge, code=code)
    except VerificationError as error:
        return ServiceResult(fault=Refusal(code=code, message=error.message, hint=error.hint))


def _time(trusted: "TrustedRoot", raw: bytes, signature: bytes) -> datetime | None:
    """Return the time of a timestamp, or None where the root does not know its authority."""
    from rfc3161_client import decode_timestamp_response

    response = decode_timestamp_response(raw)
    known = [
        authority
        for authority in trusted.get_timestamp_authorities()
        if _is_by(response, authority)
    ]
    if not known:
        return None
    # A root may have one authority twice, by other chains or for other times, which may overlap
    # (sigstore_trustroot.proto, TrustedRoot): one of them has to do.
    faults = [_fault(response, authority, signature) for authority in known]
    if all(faults):
        raise VerificationError(faults[0], code=BAD_TIMESTAMP)
    time: datetime = response.tst_info.gen_time
    return time


def _is_by(response: "TimeStampResponse", authority: Any) -> bool:
    """Return whether a timestamp claims to be by this authority: by its issuer and number."""
    # RFC 5652, section 5.3: a SignerInfo names the certificate of its signer in this way. It is a
    # claim, which ``_fault`` verifies.
    leaf = authority.certificates(allow_expired=True)[0]
    signers = response.signed_data.signer_infos
    return any(
        signer.issuer == leaf.issuer and signer.serial_number == leaf.serial_number
        for signer in signers
    )


def _fault(response: "TimeStampResponse", authority: Any, signature: bytes) -> str:
    """Return why a timestamp of the signature does not hold by this authority, or nothing."""
    from rfc3161_client import VerificationError as Refused
    from rfc3161_client import VerifierBuilder

    from imagekit.signatures.sigstore.internals import authority_period

    # CertificateAuthority.cert_chain: the last certificate is the trust anchor. An expired one
    # counts for its time, hence below the chain is verified at the time of the stamp.
    leaf, *above = authority.certificates(allow_expired=True)
    if not above:
        return "the trusted root has nothing above the timestamp authority"
    builder = VerifierBuilder().tsa_certificate(leaf).add_root_certificate(above[-1])
    for intermediate in above[:-1]:
        builder = builder.add_intermediate_certificate(intermediate)
    # What the library verifies: status, message imprint, and signature (RFC 3161, section 2.4.2),
    # the chain at genTime, and that the leaf is for timestamps, by a critical extension (2.3).
    # There is no nonce to compare (2.4.1): the signer asked, not we.
    try:
        builder.build().verify_message(response, signature)
    except Refused as error:
        return f"the timestamp is not of this signature, or not by its authority: {error}"
    # CertificateAuthority.valid_for: besides the chain, clients must check this range.
    time: datetime = response.tst_info.gen_time
    if not within(authority_period(authority), time):
        return (
            f"the timestamp authority was not valid at {time.isoformat()}, as the trusted root says"
        )
    return ""
