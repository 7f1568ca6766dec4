"""Remarks on a policy's globs: rules that may tie, and rules or exclusions without effect.

Globs are compared in pairs, by what they match and not by what other rules take away from them:
where two rules tie for a name is settled when an image of that name is judged, and refused.
"""

from imagekit.documents.report import Report, shown
from imagekit.policy.glob import applicable
from imagekit.policy.lint.places import Places
from imagekit.policy.overlap import ambiguous, covers, overlap
from imagekit.policy.ruleset import Policy


def check_globs(policy: Policy, places: Places, report: Report) -> None:
    """Report rules that may tie, rules that never hold, and exclusions of nothing."""
    _ties(policy, places, report)
    _exclusions(policy, places, report)
    _unmatched_exceptions(policy, places, report)


def _ties(policy: Policy, places: Places, report: Report) -> None:
    numbers = {rule.glob: number for number, rule in enumerate(policy.images)}
    for first, second in ambiguous(policy.images):
        line = places.value("images", numbers[first.glob], "match").line
        report.warn(
            places.value("images", numbers[second.glob], "match", "glob"),
            "overlap",
            f"`{shown(second.glob)}` and `{shown(first.glob)}` of line {line} can match one name "
            "equally well; every image of such a name is refused",
            hint=f'make one of them longer, or give this one exclude: ["{shown(first.glob)}"]',
        )


def _exclusions(policy: Policy, places: Places, report: Report) -> None:
    for number, rule in enumerate(policy.images):
        if any(covers(glob, rule.glob) for glob in rule.exclude):
            report.warn(
                places.value("images", number, "match", "glob"),
                "never-matches",
                f"the rule `{shown(rule.glob)}` never holds: all that it matches is excluded",
                hint="take the rule out, or exclude less",
            )
        for at, glob in enumerate(rule.exclude):
            if not overlap(rule.glob, glob):
                report.warn(
                    places.value("images", number, "match", "exclude", at),
                    "useless-exclude",
                    f"`{shown(glob)}` excludes nothing: `{shown(rule.glob)}` matches no such name",
                    hint="is it spelled right? `*` stays within a component, `**` goes across",
                )


def _unmatched_exceptions(policy: Policy, places: Places, report: Report) -> None:
    for number, exception in enumerate(policy.exceptions):
        if not applicable(policy, exception.repository.name):
            report.warn(
                places.value("exceptions", number, "image"),
                "unmatched-exception",
                f"no rule matches {exception.repository.name}, so its exception allows nothing",
                hint="add a rule for it: what no rule matches is refused, exceptions or not",
            )
