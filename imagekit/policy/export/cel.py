"""Pieces of CEL that a rule is written in for Kyverno.

https://github.com/google/cel-spec; ``ref`` is a reference with tag or digest, as a pod has it.
"""

import re
from datetime import UTC, datetime
from typing import TypeVar

from imagekit.policy.export.globs import longer, overlap, regexp
from imagekit.policy.types import ImageRule, Policy

_RESERVED = frozenset(
    {
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if"),
        *("import", "in", "let", "loop", "namespace", "null", "package", "return", "true"),
        *("var", "void", "while"),
    }
)
"""Words that CEL selects nothing by."""

T = TypeVar("T")


def applies(policy: Policy, rule: ImageRule) -> str:
    """Return whether the rule is the only longest match of ``ref``."""
    others = [f"!({_matches(other)})" for other in longer(rule, policy.images)]
    return " && ".join([_matches(rule), *others])


def moment(when: datetime) -> str:
    """Return a point in time."""
    return f"timestamp('{when.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}')"


def named(text: str, value: T, known: dict[str, T]) -> str:
    """Return the name of a value, which CEL can select it by; it is given one where it has none.

    Args:
        text: what it is called by people.
        value: what is named.
        known: the values by their names; the new one is added.
    """
    word = re.sub("[^a-z0-9]+", "_", text.lower()).strip("_")
    word = word if word[:1].isalpha() and word not in _RESERVED else f"the_{word}"
    name, number = word, 1
    while known.setdefault(name, value) != value:
        number += 1
        name = f"{word}_{number}"
    return name


def _matches(rule: ImageRule) -> str:
    excluded = [f"!{_fits(glob)}" for glob in rule.exclude if overlap(glob, rule.glob)]
    return " && ".join([_fits(rule.glob), *excluded])


def _fits(glob: str) -> str:
    # A glob holds no quotation mark, and in a raw text nothing else needs care.
    return f"ref.matches(r'{regexp(glob)}')"
