"""Signing verification summaries: a verdict as a statement that other nodes may rely on.

A summary has what was proven, not what was only allowed: where an exception or a rule that only
warns allowed the image, or an index lists what could not be read, its result is ``FAILED``. A
summary of an index is one of all that a runtime can choose from it.

https://slsa.dev/spec/v1.1/verification_summary
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from imagekit.errors import DocumentError, InputError
from imagekit.oci.digest import Digest
from imagekit.sign.attach import Attached
from imagekit.sign.own import OwnStatement
from imagekit.signatures.intoto import VSA, Statement, StatementSubject, statement_bytes
from imagekit.signatures.ports import Signer
from imagekit.signatures.vsa import ResourceDescriptor, Summary, parse_summary, summary_predicate
from imagekit.verify.verdict import Verdict

LOCAL_VERIFIER = "https://imagekit.dev/verifier/local"
"""The verifier that is named by default: this machine, which vouches for itself only."""
KEPT = timedelta(hours=1)
"""How long the same summary is not made again: every verifier has to read each of them."""
_UNPROVEN = frozenset({"EXCEPTION", "WOULD_DENY"})
_MAX_INPUTS = 1000


class VsaVerifier(Struct, frozen=True, kw_only=True):
    """The verifier, as summaries name it."""

    id: str = LOCAL_VERIFIER
    """A URI; policies of others list it."""
    version: str = ""
    """Of imagekit."""
    levels: tuple[str, ...] = ()
    """What a passed verification by this policy also means, such as ``SLSA_BUILD_LEVEL_3``."""


def passed(verdict: Verdict) -> bool:
    """Return whether the image was proven to be what the policy requires, not only allowed.

    Of an index with an entry that was not read, part was not judged at all; a runtime that relies
    on the summary may find that entry, and run it.
    """
    let_through = any(finding.code in _UNPROVEN for finding in verdict.findings)
    return verdict.allowed and not let_through and not verdict.unread


def summarize(verdict: Verdict, verifier: VsaVerifier, *, time: datetime) -> Summary:
    """Return the summary of a verdict.

    Args:
        verdict: the verdict.
        verifier: the verifier that reached it.
        time: when it did.
    """
    good = passed(verdict)
    versions = (("imagekit", verifier.version),) if verifier.version else ()
    return Summary(
        verifier=verifier.id,
        versions=versions,
        time=time,
        resource=_resource(verdict),
        policy=ResourceDescriptor(
            uri=f"policy:{verdict.policy}@{verdict.policy_version}", digest=verdict.policy_digest
        ),
        inputs=tuple(
            ResourceDescriptor(digest=digest) for digest in verdict.evidence[:_MAX_INPUTS]
        ),
        result="PASSED" if good else "FAILED",
        levels=_levels(verdict, verifier) if good else ("FAILED",),
    )


def judged_digest(verdict: Verdict) -> Digest:
    """Return the digest that a verdict is about.

    Raises:
        InputError: there is none: nothing was judged that a summary could be about.
    """
    if verdict.digest is None:
        raise InputError(
            f"there is no summary of {verdict.located}: no digest was judged",
            hint="the verdict has the reason; a summary is about bytes",
            code="NO_DIGEST",
        )
    return verdict.digest


def summary_statement(verdict: Verdict, summary: Summary) -> Statement:
    """Return the statement of a summary, about the digest that was judged.

    Raises:
        InputError: there is no digest: nothing was judged that a summary could be about.
    """
    return Statement(
        subjects=(StatementSubject(name=summary.resource, digest=judged_digest(verdict)),),
        predicate_type=VSA,
        predicate=summary_predicate(summary),
    )


def summary_bundle(verdict: Verdict, summary: Summary, signer: Signer) -> bytes:
    """Sign the summary of a verdict and return the Sigstore bundle.

    Raises:
        InputError: there is no digest.
        SigningKeyError, ToolError: as ``Signer.bundle``.
    """
    return signer.bundle(statement_bytes(summary_statement(verdict, summary)))


def young_summary(statements: Iterable[OwnStatement], summary: Summary) -> Attached | None:
    """Return a summary that is there already, says the same and is new enough.

    Args:
        statements: what the same signer has signed about the image.
        summary: the one that would be made now.
    """
    for own in statements:
        if own.statement.predicate_type != VSA:
            continue
        try:
            known = parse_summary(own.statement.predicate)
        except DocumentError:
            continue
        if _same(known, summary):
            return Attached(kind=VSA, reference=own.reference, new=False)
    return None


def _same(known: Summary, summary: Summary) -> bool:
    if known.time is None or summary.time is None:
        return False
    alike = replace(known, time=None, inputs=()) == replace(summary, time=None, inputs=())
    return alike and timedelta(0) <= summary.time - known.time < KEPT


def _levels(verdict: Verdict, verifier: VsaVerifier) -> tuple[str, ...]:
    """Return the level of SLSA's build track that the verdict proves, and the verifier's own.

    SLSA VSA, verifiedLevels: at most one level of each track, the highest that was verified.
    """
    proven = any(
        finding.check == "provenance" and finding.code == "OK" for finding in verdict.findings
    )
    own = "SLSA_BUILD_LEVEL_1" if proven else "SLSA_BUILD_LEVEL_0"
    stated = any(level.startswith("SLSA_BUILD_LEVEL_") for level in verifier.levels)
    return verifier.levels if stated else (own, *verifier.levels)


def _resource(verdict: Verdict) -> str:
    """Return the image as it was asked for (SLSA VSA, resourceUri)."""
    reference = verdict.reference
    if reference.tag is not None:
        return f"{reference.repository.name}:{reference.tag}"
    return f"{reference.repository.name}@{verdict.digest}"
