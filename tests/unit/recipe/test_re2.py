"""Go's regular expressions: where Python's would find something else, it does not."""

import re

import pytest

from imagekit.recipe.re2 import compile_re2


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^x$", "x", True),
        ("^x$", "x\n", False),
        ("^$", "\n", False),
        ("(?m)^x$", "a\nx\nb", True),
        ("(?m)^x$", "x\n", True),
        ("(?i)X", "x", True),
        (r"a\$b", "a$b", True),
        ("[$]", "$", True),
        ("[]$]x", "$x", True),
        (r"[\]$]x", "$x", True),
        ("a.b", "a\nb", False),
        (r"^\d+$", "٣", False),
        (r"\w", "é", False),
    ],
)
def test_the_same_is_found(pattern: str, text: str, *, found: bool) -> None:
    """Go 1.22 was asked."""
    assert (compile_re2(pattern).search(text) is not None) is found


@pytest.mark.parametrize("pattern", ["[[:alpha:]]", "[^[:space:]]", r"\pL", r"\z", "(", r"\Qa\E"])
def test_what_python_reads_otherwise_is_refused(pattern: str) -> None:
    """It would find something else, or nothing."""
    with pytest.raises(re.error):
        compile_re2(pattern)
