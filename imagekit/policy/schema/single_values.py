"""The single values that several parts of a policy are made of."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from imagekit.documents.report import shown
from imagekit.documents.scalars import Text, plain
from imagekit.errors import PolicyError
from imagekit.oci.digest import Digest
from imagekit.policy.glob import fault

MAX_RULES = 500
MAX_AUTHORITIES = 64
MAX_LISTED = 1000
"""Longest list of licences, packages, denied keys and the like."""

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def _glob(text: str) -> str:
    problem = fault(text)
    if problem:
        raise PolicyError(f"`{shown(text)}` can never match a repository", hint=problem)
    return text


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise PolicyError(f"`{shown(text)}` is not a time: {error}") from error


def _duration(text: str) -> timedelta:
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


NAME: Text[str] = Text(
    "a name: letters, digits, '.', '_' and '-'",
    pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    max_length=128,
    examples=("release",),
)
GLOB: Text[str] = Text(
    "a glob of repositories: `*` within a component, `**` for several",
    parse=_glob,
    code="bad-glob",
    max_length=512,
    examples=("registry.example.org/apps/**",),
)
MOMENT: Text[datetime] = Text(
    "a time with its zone",
    # Years of four digits that begin with 2 keep every later sum within Python's calendar.
    pattern=r"2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|[+-][0-9]{2}:[0-9]{2})",
    parse=_moment,
    examples=("2027-06-30T00:00:00Z",),
)
DURATION: Text[timedelta] = Text(
    "a time span: a number and d, h or m for days, hours or minutes",
    pattern=r"[1-9][0-9]{0,4}[dhm]",
    parse=_duration,
    examples=("180d", "12h", "30m"),
)
DIGEST: Text[Digest] = Text("a digest", pattern=r"[a-z0-9]+:[0-9a-f]+", parse=Digest.parse)
PATH: Text[str] = Text("the path of a file, relative to the policy", examples=("keys/a.pub",))
SENTENCE = plain("a text of one line", max_length=512)
URI = plain("a URI, as it is written in the statement", max_length=512)


def repeated(values: Iterable[str]) -> list[str]:
    """Return the values that are there more than once."""
    return [value for value, count in Counter(values).items() if count > 1]
