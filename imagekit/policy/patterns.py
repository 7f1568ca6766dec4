"""Matching issuers and subjects: wholly, and in a time that is linear in the text.

Regular expressions are RE2's (https://github.com/google/re2/wiki/Syntax): an attacker who chooses
the text cannot make one run for long, as with Python's own.
"""

import functools
from collections.abc import Callable

from imagekit.signatures.authority import Pattern

MAX_PATTERN = 512
"""Longest regular expression, in characters."""
MAX_TEXT = 4096
"""Longest subject or issuer that can match anything, in characters."""

_MEMORY = 1 << 20


def matches(pattern: Pattern, text: str) -> bool:
    """Return whether the whole text is what the pattern says.

    What no issuer writes matches nothing: control characters, or more than ``MAX_TEXT``.
    """
    if len(text) > MAX_TEXT or not text.isprintable():
        return False
    if not pattern.regexp:
        return pattern.text == text
    matcher = _compiled(pattern.text)
    return matcher is not None and matcher(text)


def problem(text: str) -> str:
    """Return what is wrong with a regular expression, or an empty text."""
    if len(text) > MAX_PATTERN:
        return f"it has {len(text)} characters; at most {MAX_PATTERN} are taken"
    return "" if _compiled(text) is not None else "it is not a regular expression of RE2"


@functools.lru_cache(maxsize=256)
def _compiled(text: str) -> Callable[[str], bool] | None:
    import re2  # most policies have exact names only

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        expression = re2.compile(text, options)
    except (re2.error, UnicodeEncodeError):
        # The latter is for half a surrogate pair, which no UTF-8 has.
        return None
    return lambda subject: expression.fullmatch(subject) is not None
