"""Remarks on a policy's globs: rules that overlap, or that never hold.

Two rules overlap where some name is matched by both equally well and by no longer rule: every
image of such a name is refused. What is said of names is exact: a name is shown, or there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from imagekit.documents.report import Report, shown
from imagekit.policy.glob import applicable, literal_length
from imagekit.policy.lint.places import Places
from imagekit.policy.overlap import GlobSet, SearchBudget, TooLongError, common_name, may_meet
from imagekit.policy.types import ImageRule, Policy

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules of a policy, and how much may be spent on looking for names."""

    rules: tuple[ImageRule, ...]
    places: Places
    report: Report
    budget: SearchBudget

    def longer(self, rule: ImageRule) -> list[GlobSet]:
        """Return the rules that win over this one where both match."""
        return [
            _rule(other)
            for other in self.rules
            if literal_length(other.glob) > literal_length(rule.glob)
            and may_meet(other.glob, rule.glob)
        ]


def check_globs(policy: Policy, places: Places, report: Report) -> None:
    """Report rules that overlap, rules that never hold, and exclusions of nothing."""
    rules = _Rules(policy.images, places, report, SearchBudget())
    try:
        _overlaps(rules)
        for number, rule in enumerate(policy.images):
            _never(rules, number, rule)
            _useless_exclusions(rules, number, rule)
    except TooLongError:
        report.warn(
            places.value("images"),
            "globs-too-complex",
            "whether these globs overlap cannot be told in a reasonable time",
            hint="write them with fewer stars",
        )
    _unmatched_exceptions(policy, rules)


def _overlaps(rules: _Rules) -> None:
    for number, second in enumerate(rules.rules):
        for earlier, first in enumerate(rules.rules[:number]):
            if literal_length(first.glob) != literal_length(second.glob):
                continue
            if not may_meet(first.glob, second.glob):
                continue
            longer = rules.longer(first)
            both = (_rule(first), _rule(second))
            name = common_name(both, unless=longer, budget=rules.budget)
            if name is not None:
                _overlap(rules, (earlier, number), name)


def _overlap(rules: _Rules, pair: tuple[int, int], name: str) -> None:
    first, second = (rules.rules[number].glob for number in pair)
    line = rules.places.value("images", pair[0], "match").line
    rules.report.error(
        rules.places.value("images", pair[1], "match", "glob"),
        "overlap",
        f"`{shown(second)}` and `{shown(first)}` of line {line} match {shown(name)} equally well, "
        "so every image of that name is refused",
        hint=f'make one of them longer, or give this one exclude: ["{shown(first)}"]',
    )


def _never(rules: _Rules, number: int, rule: ImageRule) -> None:
    """Report a rule that matches no name, or none that another rule does not match better."""
    alone = common_name((_rule(rule),), budget=rules.budget)
    span = rules.places.value("images", number, "match", "glob")
    if alone is None:
        why = "everything that it matches is excluded" if rule.exclude else "no name is like that"
        rules.report.warn(
            span,
            "never-matches",
            f"the rule `{shown(rule.glob)}` never holds: {why}",
            hint="take the rule out, or exclude less"
            if rule.exclude
            else "a registry is HOST or HOST:PORT; a path has lower-case letters and digits",
        )
        return
    longer = rules.longer(rule)
    if longer and common_name((_rule(rule),), unless=longer, budget=rules.budget) is None:
        rules.report.warn(
            span,
            "never-matches",
            f"the rule `{shown(rule.glob)}` never holds: of each name that it matches, a longer "
            f"rule is asked: {_named(longer)}",
            hint="take the rule out",
        )


def _useless_exclusions(rules: _Rules, number: int, rule: ImageRule) -> None:
    for at, glob in enumerate(rule.exclude):
        both = (GlobSet(rule.glob), GlobSet(glob))
        if may_meet(rule.glob, glob) and common_name(both, budget=rules.budget) is not None:
            continue
        rules.report.warn(
            rules.places.value("images", number, "match", "exclude", at),
            "useless-exclude",
            f"`{shown(glob)}` excludes nothing: `{shown(rule.glob)}` matches no such name",
            hint="is it spelled right? `*` stays within a component, `**` goes across",
        )


def _unmatched_exceptions(policy: Policy, rules: _Rules) -> None:
    for number, one in enumerate(policy.exceptions):
        if not applicable(policy, one.repository.name):
            rules.report.warn(
                rules.places.value("exceptions", number, "image"),
                "unmatched-exception",
                f"no rule speaks of {one.repository.name}, so its exception allows nothing",
                hint="add a rule for it: what no rule matches is refused, exceptions or not",
            )


def _rule(rule: ImageRule) -> GlobSet:
    return GlobSet(rule.glob, rule.exclude)


def _named(rules: Sequence[GlobSet]) -> str:
    globs = [f"`{shown(rule.glob)}`" for rule in rules]
    return ", ".join(globs[:_SHOWN]) + (", ..." if len(globs) > _SHOWN else "")
