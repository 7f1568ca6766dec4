"""Signed policies: who wrote the policy that a verifier obeys, and that it never goes back.

A policy's signature is a Sigstore bundle in a file beside it, over an in-toto statement of the type
``https://imagekit.dev/policy/v1``. What must hold before a signed policy is obeyed:

1. The bundle is by one of the signers that the verifier names, by key or keyless, as the signature
   of an image would be: nothing that the policy itself says has a part in it.
2. Among the statement's subjects is the digest of the policy's bytes, and, by path and digest, each
   file that the policy names: whoever exchanges a key file exchanges the policy.
3. The statement's predicate has the name, version and expiry that the policy has, and the name is
   one that these signers may give.
4. The version is not below the highest that was accepted here under the name, and a version that
   was accepted is still the same.
"""

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from imagekit.errors import RollbackStoreError
from imagekit.oci.digest import Digest
from imagekit.policy.findings import Finding, error, ok, warning
from imagekit.policy.now import Now
from imagekit.policy.ruleset import Deny, Policy
from imagekit.policy.signers import PolicySigners
from imagekit.signatures.bundle import parse_bundle
from imagekit.signatures.intoto import Statement, StatementSubject, statement_of
from imagekit.signatures.ports import CertificateVerifier
from imagekit.signatures.release import moment_text
from imagekit.signatures.results import Refusal
from imagekit.verify.candidates import TrustedSigners, verify_candidates
from imagekit.verify.evidence import Candidate, Evidence, Form
from imagekit.verify.image_evidence import ORDINARY
from imagekit.verify.ports import HighWaterMark, RollbackStore
from imagekit.verify.signer_trust import counting, name_of

POLICY_TYPE = "https://imagekit.dev/policy/v1"
SUFFIX = ".sigstore.json"
"""What the name of the signature's file has behind that of the policy."""
MAX_SIGNATURE = 4 << 20

_CHECK = "policy"


def policy_statement(policy: Policy) -> Statement:
    """Return what is signed of a policy."""
    files = tuple(StatementSubject(name=path, digest=digest) for path, digest in policy.files)
    return Statement(
        subjects=(StatementSubject(name=policy.name, digest=policy.digest), *files),
        predicate_type=POLICY_TYPE,
        predicate=_predicate(policy),
    )


def check_signature(
    policy: Policy,
    bundle: bytes | None,
    signers: PolicySigners,
    /,
    *,
    now: datetime,
    certificates: CertificateVerifier | None = None,
) -> Finding:
    """Return the finding on a policy's signature.

    Args:
        policy: the policy, with the digests of the files that it names.
        bundle: the bytes of its signature; None where it has none.
        signers: who may have signed it.
        now: the present time.
        certificates: verifies keyless signatures; without it none counts.
    """
    if bundle is None:
        return error(
            _CHECK,
            "POLICY_NOT_SIGNED",
            f"the policy {policy.name} has no signature, and this verifier obeys signed ones only",
            hint=f"get its file {SUFFIX}, too; or sign it: imagekit policy sign FILE --key KEY",
        )
    trusted = TrustedSigners(
        authorities=signers.authorities, digest=policy.digest, certificates=certificates
    )
    # By the same code that verifies the bundles of images.
    candidate = Candidate(form=Form.BUNDLE, source=Digest.of(bundle), raw=bundle)
    (result,) = verify_candidates((candidate,), trusted)
    fault = _refused(result, signers, now=now)
    if isinstance(result, Evidence) and not fault:
        fault = _fault(policy, result, bundle, signers=signers)
        if not fault:
            who = name_of(result.signatory, signers.authorities)
            return ok(_CHECK, f"{policy.name} version {policy.version} is signed by {who}")
    return error(
        _CHECK,
        "BAD_POLICY_SIGNATURE",
        f"the signature of the policy {policy.name} does not hold: {fault}",
        hint="get policy, signature and the files that it names anew, from whoever signs policies; "
        "if you do: imagekit policy sign FILE --key KEY",
    )


def check_version(
    policy: Policy, memory: RollbackStore, *, slot: str, signed: bool
) -> tuple[Finding, ...]:
    """Return what is wrong with a policy's version, and remember it where nothing is.

    Args:
        policy: the policy; accepted but for this.
        memory: what was accepted here before.
        slot: the name that it is remembered under.
        signed: whether it is signed: then one version is one policy for ever, and a verifier that
            cannot remember says so. Of one that is not, versions must not fall.
    """
    mark = HighWaterMark(sequence=policy.version, digest=seal(policy))
    try:
        highest = memory.highest(slot)
        if highest is not None:
            # A policy without a signature may be edited in place: only its version is compared.
            known = mark if signed else replace(mark, digest=highest.digest)
            if known.goes_back_from(highest):
                return (_went_back(policy, highest),)
        if highest is None or policy.version > highest.sequence:
            memory.remember(slot, mark)
    except RollbackStoreError as fault:
        return (_unremembered(policy, fault),) if signed else ()
    return ()


def seal(policy: Policy) -> Digest:
    """Return one digest of the policy and of all files that it names."""
    if not policy.files:
        return policy.digest
    lines = [str(policy.digest), *(f"{digest} {path}" for path, digest in policy.files)]
    return Digest.of("\n".join(lines).encode())


def _refused(result: Evidence | Refusal, signers: PolicySigners, *, now: datetime) -> str:
    """Return why the signature is none of the signers', or an empty text."""
    judged: object = result
    if isinstance(result, Evidence):
        # Not by the policy's own deny list: nothing in it is believed yet.
        judged = counting(result, signers.authorities, deny=Deny(), now=Now(now))
    if not isinstance(judged, Refusal):
        return ""
    if judged.code not in ORDINARY:
        return judged.message
    names = ", ".join(authority.name for authority in signers.authorities)
    whose = f"it names {judged.fingerprint}, and " if judged.fingerprint else ""
    return f"{whose}it is by none of those who may sign policies here: {names}"


def _fault(policy: Policy, evidence: Evidence, bundle: bytes, /, *, signers: PolicySigners) -> str:
    """Return why a statement by a trusted signer does not speak for the policy."""
    if evidence.predicate_type != POLICY_TYPE:
        return f"it is a statement of type {evidence.predicate_type} and not {POLICY_TYPE}"
    if not evidence.about:
        return "the policy is not the one that was signed"
    predicate = _predicate(policy)
    # in-toto, "Parsing rules": fields that are not known are passed over.
    if {key: evidence.predicate.get(key) for key in predicate} != predicate:
        return "name, version or expiry in the signature are not the policy's"
    if signers.policies and policy.name not in signers.policies:
        allowed = ", ".join(signers.policies)
        return f"it is the policy {policy.name}, and its signer may sign {allowed} here"
    return _exchanged(policy, bundle)


def _exchanged(policy: Policy, bundle: bytes) -> str:
    """Return which of the files that the policy names is not the one that was signed."""
    subjects = statement_of(parse_bundle(bundle).envelope).subjects
    # Path and digest together: exchanging two signed key files for each other is a change, too.
    signed = {(subject.name, subject.digest) for subject in subjects}
    for path, digest in policy.files:
        if (path, digest) not in signed:
            return f"{path}, which the policy names, is not the file that was signed with it"
    return ""


def _predicate(policy: Policy) -> Mapping[str, object]:
    return {
        "name": policy.name,
        "version": policy.version,
        "expires": moment_text(policy.expires),
    }


def _went_back(policy: Policy, highest: HighWaterMark) -> Finding:
    if policy.version < highest.sequence:
        message = (
            f"the policy {policy.name} went back: this is version {policy.version}, and version "
            f"{highest.sequence} was accepted here"
        )
        hint = "get the present policy; to go back on purpose, publish the old one as a new version"
    else:
        message = (
            f"version {policy.version} of the policy {policy.name} was another one when it was "
            "accepted here"
        )
        hint = "raise metadata.version with every change, and sign it again"
    return error(_CHECK, "POLICY_ROLLBACK", message, hint=hint)


def _unremembered(policy: Policy, fault: RollbackStoreError) -> Finding:
    return warning(
        _CHECK,
        "NOT_REMEMBERED",
        f"a later rollback of the policy {policy.name} cannot be detected: {fault.message}",
        hint="let the verifier write its state (XDG_STATE_HOME), or say --state FILE",
    )
