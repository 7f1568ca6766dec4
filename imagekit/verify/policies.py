"""Policies as verifiers take them: loaded, their signature verified, and never an older one."""

import os
from pathlib import Path

from imagekit.clock import Clock, SystemClock
from imagekit.errors import PolicyError
from imagekit.inputs import read_regular
from imagekit.policy.findings import Finding
from imagekit.policy.force import not_in_force
from imagekit.policy.load import load_policy
from imagekit.policy.now import Now
from imagekit.policy.ruleset import OpenedPolicy, Policy
from imagekit.policy.signers import PolicySigners
from imagekit.signatures.bundle import parse_bundle
from imagekit.signatures.intoto import statement_bytes, statement_of
from imagekit.signatures.ports import CertificateVerifier, Signer
from imagekit.verify.ports import RollbackStore
from imagekit.verify.rollback import users_store
from imagekit.verify.signed import (
    MAX_SIGNATURE,
    SUFFIX,
    check_signature,
    check_version,
    policy_statement,
)


def open_policy(
    path: Path | str,
    *,
    signers: PolicySigners | None = None,
    memory: RollbackStore | None = None,
    clock: Clock | None = None,
    certificates: CertificateVerifier | None = None,
) -> OpenedPolicy:
    """Read a policy, and judge the policy itself before it judges images.

    What is found stands in ``OpenedPolicy.standing`` and so in every verdict: a policy whose
    signature does not hold, or that went back, allows nothing.

    Args:
        path: the file; its signature is looked for beside it, as ``FILE.sigstore.json``.
        signers: who must have signed it; without them it may be anybody's, as long as its version
            does not fall.
        memory: what was accepted before; the user's where it is left out.
        clock: the time; the system's where it is left out.
        certificates: verifies keyless signatures; the usual one where it is left out.

    Raises:
        PolicyError: the policy cannot be read or accepted, with the place of every fault.
    """
    file = Path(path)
    # Before its signature is verified, which is over the files that it names as well. Until then
    # nothing in it decides.
    policy = load_policy(file)
    clock = clock or SystemClock()
    now = clock.now()
    # Without signers nobody answers for the name: two files may have the same one.
    slot = f"@policy:{policy.name}:{_place(file)}"
    standing: list[Finding] = []
    if signers is not None:
        slot = f"@policy:{policy.name}"
        verifier = certificates or _certificates(signers, clock)
        signature = _signature(file)
        finding = check_signature(policy, signature, signers, now=now, certificates=verifier)
        standing.append(finding)
    # A policy that is not in force must not raise the version that is remembered.
    accepted = not_in_force(policy, Now(now)) is None and all(
        finding.severity == "ok" for finding in standing
    )
    if accepted:
        store = memory or users_store()
        standing += check_version(policy, store, slot=slot, signed=signers is not None)
    return OpenedPolicy.of(policy, standing=tuple(standing))


def load_unsigned(path: Path | str) -> OpenedPolicy:
    """Read a policy that is to judge whoever wrote it, and however old it is.

    Args:
        path: the file; paths in it are relative to its folder.

    Raises:
        PolicyError: it cannot be read or accepted, with the place of every fault.
    """
    return OpenedPolicy.of(load_policy(path))


def load_signed(file: Path, signers: PolicySigners | None) -> OpenedPolicy:
    """Read a policy for a server that remembers by itself which version was in force.

    Args:
        file: the policy; its signature is looked for beside it.
        signers: who must have signed it; None obeys anybody's.

    Raises:
        PolicyError: it cannot be accepted, or its signature does not hold; ``code`` says which.
    """
    if signers is None:
        return load_unsigned(file)
    policy = load_policy(file)
    clock = SystemClock()
    finding = check_signature(
        policy,
        _signature(file),
        signers,
        now=clock.now(),
        certificates=_certificates(signers, clock),
    )
    if finding.severity == "error":
        raise PolicyError(finding.message, hint=finding.hint, code=finding.code)
    return OpenedPolicy.of(policy, standing=(finding,))


def sign_policy(path: Path, signer: Signer) -> tuple[Path, Policy, bool]:
    """Sign a policy and the files that it names, unless this signer has done so already.

    Returns:
        The file of the signature, the policy, and whether it was signed anew.

    Raises:
        PolicyError: the policy cannot be accepted, or the signature not be written.
        SigningKeyError: the key refused.
    """
    from imagekit.files import write_output

    policy = load_policy(path)
    statement = policy_statement(policy)
    target = _beside(path)
    existing = _signature(path)
    if existing is not None and _holds(existing, signer, policy):
        return target, policy, False
    bundle = signer.bundle(statement_bytes(statement))
    try:
        write_output(target, bundle)
    except OSError as error:
        raise PolicyError(
            f"{target} cannot be written: {error.strerror or type(error).__name__}",
            code="policy/unwritable",
        ) from error
    return target, policy, True


def _holds(bundle: bytes, signer: Signer, policy: Policy) -> bool:
    from imagekit.errors import DocumentError

    try:
        statement = statement_of(parse_bundle(bundle).envelope)
        return signer.made(bundle) and statement == policy_statement(policy)
    except DocumentError:
        return False


def _certificates(signers: PolicySigners, clock: Clock) -> CertificateVerifier | None:
    """Return what verifies under trusted roots, where a signer has one: it is not light."""
    if all(authority.trust_root is None for authority in signers.authorities):
        return None
    from imagekit.signatures.sigstore.verifier import SigstoreVerifier

    return SigstoreVerifier(clock)


def _place(file: Path) -> str:
    """Return the absolute path of a file, as text that any database takes.

    Links are not followed: where a policy is exchanged by pointing a link elsewhere, as in
    Kubernetes' volumes, the old and the new one lie under different paths.
    """
    return os.fsencode(file.absolute()).decode("utf-8", "backslashreplace")


def _beside(file: Path) -> Path:
    return file.with_name(file.name + SUFFIX)


def _signature(file: Path) -> bytes | None:
    """Return the bytes of the signature, or None where there is none.

    Raises:
        PolicyError: it is there and cannot be read.
    """
    path = _beside(file)
    try:
        return read_regular(path, limit=MAX_SIGNATURE)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PolicyError(
            f"{path} cannot be read: {error.strerror or type(error).__name__}",
            code="policy/unreadable",
        ) from error
