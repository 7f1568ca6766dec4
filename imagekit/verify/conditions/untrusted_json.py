"""What the conditions share: reading of untrusted JSON, and ages."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from imagekit.documents.fields import Fields
from imagekit.errors import DocumentError
from imagekit.policy.now import Now
from imagekit.signatures.results import Refusal

BAD_STATEMENT = "BAD_STATEMENT"
_SHOWN = 80


def shown(text: str) -> str:
    """Return the beginning of an untrusted text, for a message."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def fields_of(value: object, what: str) -> Fields:
    """Take a value that must be an object.

    Raises:
        DocumentError: it is something else.
    """
    return Fields.of(value, what=what, code=BAD_STATEMENT)


def exactly(fields: Fields, names: Mapping[str, str]) -> Fields:
    """Refuse keys that differ from known ones in case only: Go programs take them for these.

    Args:
        fields: an object.
        names: the keys that are read of it, by their lower case.

    Returns:
        The same object.

    Raises:
        DocumentError: there is such a key.
    """
    for key in fields.values:
        if names.get(key.casefold(), key) != key:
            raise fields.fault(f"has the key {shown(key)!r}, which programs read differently")
    return fields


def by_lower_case(*names: str) -> Mapping[str, str]:
    """Return keys by their lower case, for ``exactly``."""
    return MappingProxyType({name.casefold(): name for name in names})


def objects(fields: Fields, key: str, *, limit: int) -> Iterator[Fields]:
    """Yield the objects of a list; none where it is missing or null.

    Raises:
        DocumentError: it is no list of objects, or longer than ``limit``.
    """
    if fields.get(key) is None:
        return
    what = f"{fields.what}: an entry of {key}"
    for value in fields.array(key, limit=limit):
        yield fields_of(value, what)


def texts(fields: Fields, key: str, *, limit: int) -> tuple[str, ...]:
    """Return the texts of a list; none where it is missing or null.

    Raises:
        DocumentError: it is no list of texts, or longer than ``limit``.
    """
    if fields.get(key) is None:
        return ()
    values = fields.array(key, limit=limit)
    if not all(isinstance(value, str) for value in values):
        raise fields.fault(f"has something else than texts in {key!r}")
    return tuple(values)


def too_many(what: str, limit: int) -> DocumentError:
    """Return the error to raise where a document holds more than is read."""
    return DocumentError(
        f"{what}: more than {limit}; what is not read cannot be judged", code="TOO_MANY"
    )


def moment(fields: Fields, key: str) -> datetime:
    """Return a time with its zone.

    Raises:
        DocumentError: it is missing or none.
    """
    text = fields.text(key)
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            raise fields.fault(f"has a time without a zone in {key!r}")
        # Times at the edge of the calendar cannot be compared with others.
        return time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise fields.fault(f"has no time in {key!r}") from error


def finished_fault(
    document: Fields, limit: timedelta | None, *, now: Now, what: str
) -> Refusal | None:
    """Return why a run is too old by its ``finishedOn``; None also where it may be of any age.

    Raises:
        DocumentError: its time is missing or none, and counts.
    """
    if limit is None:
        return None
    return age_fault(moment(document, "finishedOn"), limit, now=now, what=what)


def age_fault(made: datetime, limit: timedelta, *, now: Now, what: str) -> Refusal | None:
    """Return why something is too old, or from the future.

    Args:
        made: when it was made, as its signer says.
        limit: how old it may be.
        now: the present time.
        what: what it is, for the message.
    """
    # What is from the future would stay young the longest.
    if now.is_behind(made):
        return Refusal(
            code="CLOCK",
            message=f"{what} is of {made.isoformat()}, which is in the future: this machine's "
            f"clock says {now.isoformat()}",
            hint="set the clock of the one or the other machine",
        )
    if now.is_older(made, limit):
        return Refusal(
            code="STALE_ATTESTATION",
            message=f"{what} is of {made.isoformat()}, {(now.time - made).days} days old; "
            f"the policy allows {limit}",
            hint="make it anew, sign it and attach it",
        )
    return None


def inner(document: Mapping[str, object], key: str, what: str) -> Fields:
    """Return an object in a predicate.

    Raises:
        DocumentError: it is missing or something else.
    """
    return fields_of(document.get(key), f"{what}: {key}")
