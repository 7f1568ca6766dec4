"""How the globs of policies relate to each other.

What a glob matches is said in ``imagekit.policy.glob``.
"""

from collections.abc import Iterator, Sequence

from imagekit.policy.glob import ANY, literal_length, reaches_end, within
from imagekit.policy.ruleset import ImageRule


def overlap(glob: str, other: str) -> bool:
    """Return whether some name could match both globs."""
    first, second = glob.split("/"), other.split("/")
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
        for index, rule in enumerate(group):
            yield from ((rule, other) for other in group[index + 1 :] if _tie(rule, other))


def _tie(rule: ImageRule, other: ImageRule) -> bool:
    return overlap(rule.glob, other.glob) and not (
        any(covers(glob, other.glob) for glob in rule.exclude)
        or any(covers(glob, rule.glob) for glob in other.exclude)
    )


def _takes(glob: str, part: str) -> bool:
    # A `*` of the narrow glob is a character like any other that only a `*` takes.
    return part != ANY and within(glob, part)


def _begin_alike(first: Sequence[str], second: Sequence[str]) -> bool:
    """Return whether names could match both up to the first `**` of either."""
    for glob, part in zip(first, second, strict=False):
        if ANY in {glob, part}:
            break
        if not _alike(glob, part):
            return False
    return True


def _alike(first: str, second: str) -> bool:
    """Return whether some component of a name could match both."""
    if "*" not in first or "*" not in second:
        return within(first, second) if "*" in first else within(second, first)
    # With a star in each, what stands between the stars can follow one after the other.
    heads = sorted((first.partition("*")[0], second.partition("*")[0]), key=len)
    tails = sorted((first.rpartition("*")[2], second.rpartition("*")[2]), key=len)
    return heads[1].startswith(heads[0]) and tails[1].endswith(tails[0])
