"""Predicates of imagekit's own statements: releases and withdrawals, as docs/release.md says.

A release is ``{"repository", "sequence", "tags", "time"}``, a withdrawal ``{"reason", "time"}``.
Keys that are not known are passed over, as the in-toto framework demands of consumers
(spec/v1/README.md, Parsing rules).
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct

from imagekit.documents.fields import Fields

# TypeURIs with the major version (Parsing rules, Versioning); they need not lead anywhere.
RELEASE = "https://imagekit.dev/release/v1"
WITHDRAWAL = "https://imagekit.dev/withdrawal/v1"


class Release(Struct, frozen=True, kw_only=True):
    """What a release statement says besides its subject."""

    repository: str
    """``HOST/PATH``."""
    sequence: int
    """From 1; higher than that of every earlier release of these tags."""
    tags: tuple[str, ...]
    time: datetime


class Withdrawal(Struct, frozen=True, kw_only=True):
    """What a withdrawal statement says besides its subject."""

    reason: str
    time: datetime


BAD_STATEMENT = "BAD_STATEMENT"
MAX_SEQUENCE = 2**53 - 1
"""Highest sequence: what every JSON reader holds exactly (RFC 8259 section 6)."""
MAX_TAGS = 1000
MAX_REASON = 2000


def parse_release(predicate: Mapping[str, object]) -> Release:
    """Read a release from a statement's predicate.

    Raises:
        DocumentError: it is none (code ``BAD_STATEMENT``).
    """
    fields = Fields(predicate, "the release", BAD_STATEMENT)
    sequence = fields.get("sequence")
    # A bool is an int in Python, and no sequence.
    if type(sequence) is not int or not 1 <= sequence <= MAX_SEQUENCE:
        raise fields.fault(f"has no sequence from 1 to {MAX_SEQUENCE}")
    tags = fields.array("tags", limit=MAX_TAGS)
    if not tags or not all(isinstance(tag, str) for tag in tags):
        raise fields.fault("has no list of tags")
    return Release(
        repository=fields.text("repository"),
        sequence=sequence,
        tags=tuple(tags),
        time=_moment(fields, "time"),
    )


def release_predicate(release: Release) -> Mapping[str, object]:
    """Write a release."""
    return {
        "repository": release.repository,
        "sequence": release.sequence,
        "tags": list(release.tags),
        "time": moment_text(release.time),
    }


def parse_withdrawal(predicate: Mapping[str, object]) -> Withdrawal:
    """Read a withdrawal from a statement's predicate.

    Raises:
        DocumentError: it is none (code ``BAD_STATEMENT``).
    """
    fields = Fields(predicate, "the withdrawal", BAD_STATEMENT)
    reason = fields.text("reason")
    if len(reason) > MAX_REASON:
        raise fields.fault(f"has a reason of {len(reason)} characters")
    return Withdrawal(reason=reason, time=_moment(fields, "time"))


def withdrawal_predicate(withdrawal: Withdrawal) -> Mapping[str, object]:
    """Write a withdrawal."""
    return {"reason": withdrawal.reason, "time": moment_text(withdrawal.time)}


def moment_text(moment: datetime) -> str:
    """Write a time in UTC to the second (RFC 3339; in-toto's field_types.md, Timestamp)."""
    whole = moment.astimezone(UTC).replace(microsecond=0, tzinfo=None)
    return f"{whole.isoformat()}Z"


def _moment(fields: Fields, key: str) -> datetime:
    text = fields.text(key)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise fields.fault(f"has no time in {key!r}") from error
    # field_types.md, Timestamp: in UTC. Another zone is understood, none is not.
    if moment.tzinfo is None:
        raise fields.fault(f"has a time without a zone in {key!r}")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise fields.fault(f"has a time beyond the calendar in {key!r}") from error
