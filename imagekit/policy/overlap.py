"""How the globs of policies relate to each other.

What a glob matches is said in ``imagekit.policy.glob``.
"""

from collections.abc import Iterator, Sequence

from imagekit.policy.glob import ANY, literal_length, reaches_end, within
from imagekit.policy.ruleset import ImageRule


def overlap(one: str, other: str) -> bool:
    """Return whether some name could match both globs."""
    first, second = one.split("/"), other.split("/")
    if ANY in first and ANY in second:
        # Each takes what the other has between its ends.
        return _begin_alike(first, second) and _begin_alike(first[::-1], second[::-1])
    wide, narrow = (first, second) if ANY in first else (second, first)
    return reaches_end(wide, narrow, _alike)


def covers(wide: str, narrow: str) -> bool:
    """Return whether every name of the narrow glob surely matches the wide one.

    It may say no where the answer is yes, never the other way round.
    """
    return reaches_end(wide.split("/"), narrow.split("/"), _takes)


def ambiguous(rules: Sequence[ImageRule]) -> Iterator[tuple[ImageRule, ImageRule]]:
    """Yield the pairs of rules that can match a name equally well, so that it is refused."""
    ordered = sorted(rules, key=lambda rule: literal_length(rule.glob))
    groups: dict[int, list[ImageRule]] = {}
    for rule in ordered:
        groups.setdefault(literal_length(rule.glob), []).append(rule)
    for group in groups.values():
        for index, one in enumerate(group):
            yield from ((one, other) for other in group[index + 1 :] if _tie(one, other))


def _tie(one: ImageRule, other: ImageRule) -> bool:
    return overlap(one.glob, other.glob) and not (
        any(covers(glob, other.glob) for glob in one.exclude)
        or any(covers(glob, one.glob) for glob in other.exclude)
    )


def _takes(glob: str, part: str) -> bool:
    # A `*` of the narrow glob is a character like any other that only a `*` takes.
    return part != ANY and within(glob, part)


def _begin_alike(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether names could match both up to the first `**` of either."""
    for glob, part in zip(one, other, strict=False):
        if ANY in {glob, part}:
            break
        if not _alike(glob, part):
            return False
    return True


def _alike(one: str, other: str) -> bool:
    """Return whether some component of a name could match both."""
    if "*" not in one or "*" not in other:
        return within(one, other) if "*" in one else within(other, one)
    # With a star in each, what stands between the stars can follow one after the other.
    heads = sorted((one.partition("*")[0], other.partition("*")[0]), key=len)
    tails = sorted((one.rpartition("*")[2], other.rpartition("*")[2]), key=len)
    return heads[1].startswith(heads[0]) and tails[1].endswith(tails[0])
