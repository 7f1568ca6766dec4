"""The result of ``imagekit check`` as an attestation: what was looked for, found and excepted.

The predicate type is a TypeURI of imagekit's own (in-toto attestation framework, spec/v1,
"Predicate"), as a test result has no place for findings that are right in an image, and why.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from imagekit.check.static.portability_finding import KINDS, PortabilityFinding
from imagekit.check.static.static_check import CheckedImage
from imagekit.sign.tested import without_time
from imagekit.signatures.intoto import SELF_CONTAINED, Statement, StatementSubject

MAX_LISTED = 200
"""Most findings that a statement lists; how many there are stands beside."""


def contained_statement(
    checked: CheckedImage, *, subjects: Sequence[StatementSubject], finished: datetime
) -> Statement:
    """Return the statement of what was found in an image.

    Args:
        checked: what was found, with what the recipe excepts.
        subjects: what the statement is about.
        finished: when it was checked, with its zone.
    """
    return Statement(
        subjects=tuple(subjects),
        predicate_type=SELF_CONTAINED,
        predicate={
            "result": "PASSED" if checked.passed else "FAILED",
            "checks": sorted(KINDS),
            "findings": [_shown(one) for one in checked.findings[:MAX_LISTED]],
            "findingCount": len(checked.findings),
            "excepted": [
                {**_shown(one), "reason": one.reason} for one in checked.excepted[:MAX_LISTED]
            ],
            "exceptedCount": len(checked.excepted),
            "finishedOn": finished.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    )


def same_check(first: Statement, other: Statement) -> bool:
    """Return whether two results of checks differ only in their times."""
    return without_time(first) == without_time(other)


def _shown(finding: PortabilityFinding) -> dict[str, str]:
    return {"code": finding.code, "path": printable(finding.path), "message": finding.message}


def printable(text: str) -> str:
    """Return a text without what JSON's encoder cannot write: names of files are bytes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
