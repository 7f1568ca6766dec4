"""Signing verification summaries: a verdict as a statement that other nodes may rely on.

What a summary says is what was proven, not what was let through: where an exception or a rule
that only warns allowed the image, or an index lists what could not be read, it says ``FAILED``. A
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
"""The verifier that is named where nobody says another: a machine that answers for itself."""
KEPT = timedelta(hours=1)
"""How long a summary that says the same is not made anew: each one is read by every verifier."""
_UNPROVEN = frozenset({"EXCEPTION", "WOULD_DENY"})
_MAX_INPUTS = 1000


class VsaVerifier(Struct, frozen=True, kw_only=True):
    """Who verified, as summaries name it."""

    id: str = LOCAL_VERIFIER
    """A URI; policies of others list it."""
    version: str = ""
    """Of imagekit."""
    levels: tuple[str, ...] = ()
    """What a passed verification by this policy means besides, such as ``SLSA_BUILD_LEVEL_3``."""


def passed(verdict: Verdict) -> bool:
    """Return whether the image was proven to be what the policy wants, not only let through.

    Of an index with an entry that was not read, part was not judged at all; whoever relies on the
    summary may find that entry, and runs it.
    """
    let_through = any(finding.code in _UNPROVEN for finding in verdict.findings)
    return verdict.allowed and not let_through and not verdict.unread


def summarize(verdict: Verdict, verifier: VsaVerifier, *, time: datetime) -> Summary:
    """Return what the summary of a verdict says.

    Args:
        verdict: what was found.
        verifier: who found it.
        time: when.
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
            hint="the verdict says why; a summary is about bytes",
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
    """Return a summary that is there already, says the same and is young enough.

    Args:
        statements: what the same signer has signed about the image.
        summary: what it would say now.
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
    """Return what the verdict proves of SLSA's build track, and what the verifier says besides."""
    proven = any(
        finding.check == "provenance" and finding.code == "OK" for finding in verdict.findings
    )
    own = "SLSA_BUILD_LEVEL_1" if proven else "SLSA_BUILD_LEVEL_0"
    stated = any(level.startswith("SLSA_BUILD_LEVEL_") for level in verifier.levels)
    return verifier.levels if stated else (own, *verifier.levels)


def _resource(verdict: Verdict) -> str:
    """Return the image as it was asked for: what a summary is good for."""
    reference = verdict.reference
    if reference.tag is not None:
        return f"{reference.repository.name}:{reference.tag}"
    return f"{reference.repository.name}@{verdict.digest}"
