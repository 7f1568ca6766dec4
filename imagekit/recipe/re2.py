"""Regular expressions of Go (RE2 syntax), found by Python's ``re`` where both mean the same.

https://github.com/google/re2/wiki/Syntax. What differs: classes of characters are ASCII's, ``$`` is
the end of the text and not before its last line end, and ``[[:alpha:]]`` is a class.
"""

import re
from functools import lru_cache

_CLASS = "[[:"
_MULTILINE = re.compile(r"\(\?[a-zA-Z]*m")
# An escape, a class of characters (whose first "]" may be one of them), or the end of the text.
_PARTS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$", re.DOTALL)


@lru_cache
def compile_re2(pattern: str) -> re.Pattern[str]:
    """Return what finds the same in a text as Go does.

    Raises:
        re.error: it is no such expression, or one that Python does not have.
    """
    if "[:" in pattern and _CLASS in pattern.replace("[^[:", _CLASS):
        raise re.error("it has a class such as [[:alpha:]]; write the characters: [a-zA-Z]")
    if not _MULTILINE.search(pattern):
        pattern = _PARTS.sub(lambda part: r"\Z" if part[0] == "$" else part[0], pattern)
    return re.compile(pattern, re.ASCII)
