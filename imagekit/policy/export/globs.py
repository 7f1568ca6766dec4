"""How the globs of policies relate to each other, and to the names of other tools.

What a glob matches is said in ``imagekit.policy.glob``.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from imagekit.policy.glob import ANY, literal_length, matches
from imagekit.policy.types import ImageRule

_MORE = ""
"""Stands for any number of components, also none; no component is empty."""
_TAIL = r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?(?:@[a-z0-9]+:[0-9a-f]+)?"
"""Tag and digest, as far as there are any."""


def overlap(one: str, other: str) -> bool:
    """Return whether some name could match both globs."""
    first, second = one.partition("*")[0], other.partition("*")[0]
    if not (first.startswith(second) or second.startswith(first)):
        return False
    return _meet(_expanded(one), _expanded(other), many=_MORE)


def covers(wide: str, narrow: str) -> bool:
    """Return whether every name of the narrow glob surely matches the wide one.

    It may say no where the answer is yes, never the other way round.
    """
    if not narrow.startswith(wide.partition("*")[0]):
        return False
    parts = narrow.split("/")
    reach = {0}
    for glob in wide.split("/"):
        if glob == ANY:
            first = min(reach, default=len(parts))
            reach = set(range(first + 1, len(parts) + 1))
        else:
            reach = {at + 1 for at in reach if at < len(parts) and _takes(glob, parts[at])}
    return len(parts) in reach


def ambiguous(rules: Sequence[ImageRule]) -> Iterator[tuple[ImageRule, ImageRule]]:
    """Yield the pairs of rules that can match a name equally well, so that it is refused."""
    ordered = sorted(rules, key=lambda rule: literal_length(rule.glob))
    groups: dict[int, list[ImageRule]] = {}
    for rule in ordered:
        groups.setdefault(literal_length(rule.glob), []).append(rule)
    for group in groups.values():
        for index, one in enumerate(group):
            yield from ((one, other) for other in group[index + 1 :] if _tie(one, other))


def longer(rule: ImageRule, rules: Sequence[ImageRule]) -> tuple[ImageRule, ...]:
    """Return the other rules that take names away from this one, or make them ambiguous."""
    length = literal_length(rule.glob)
    return tuple(
        other
        for other in rules
        if other is not rule
        and literal_length(other.glob) >= length
        and overlap(rule.glob, other.glob)
    )


def regexp(glob: str) -> str:
    """Return the glob as a regular expression (RE2) for references with tag and digest."""
    host, *path = glob.split("/")
    parts = [_component(host, inner="[^/@]"), *(_component(part, inner="[^/:@]") for part in path)]
    return "^" + "/".join(parts) + _TAIL + "$"


def _component(part: str, *, inner: str) -> str:
    if part == ANY:
        return f"{inner}+(?:/[^/:@]+)*"
    pieces = ["".join(f"\\{c}" if c in ".[]" else c for c in piece) for piece in part.split("*")]
    return f"{inner}*".join(pieces)


def _tie(one: ImageRule, other: ImageRule) -> bool:
    return overlap(one.glob, other.glob) and not (
        any(covers(glob, other.glob) for glob in one.exclude)
        or any(covers(glob, one.glob) for glob in other.exclude)
    )


def _takes(glob: str, part: str) -> bool:
    # A `*` of the narrow glob is a character like any other that only a `*` takes.
    return part != ANY and matches(glob, part)


def _expanded(glob: str) -> tuple[str, ...]:
    """Write ``**`` as one component and any number more."""
    parts: list[str] = []
    for part in glob.split("/"):
        parts += ["*", _MORE] if part == ANY else [part]
    return tuple(parts)


@lru_cache(maxsize=4096)
def _meet(one: tuple[str, ...] | str, other: tuple[str, ...] | str, *, many: str) -> bool:
    """Return whether two sequences can be the same, where ``many`` stands for any number."""
    # Row by row from the end; row[at] says whether the rest of one and other[at:] can be the same.
    below = [all(item == many for item in other[at:]) for at in range(len(other) + 1)]
    for item in reversed(one):
        row = [False] * len(other) + [item == many and below[-1]]
        for at in range(len(other) - 1, -1, -1):
            if many in {item, other[at]}:
                row[at] = below[at] or row[at + 1]
            else:
                row[at] = below[at + 1] and _alike(item, other[at])
        below = row
    return below[0]


def _alike(one: str, other: str) -> bool:
    if "*" not in one and "*" not in other:
        return one == other
    return _meet(one, other, many="*")
