"""Numbers that strangers state."""

import pytest

from imagekit.documents.digits import decimal


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("007", 7), ("65535", 65535)])
def test_digits_are_a_number(text: str, value: int) -> None:
    """Up to as many as are allowed."""
    assert decimal(text, most=5) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", "-1", "+1", " 1", "1_0", "1.0", "123456", "1\n"),
        *("\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT ONE}"),
    ],
)
def test_anything_else_is_none(text: str) -> None:
    """Python's int() reads half of these."""
    assert decimal(text, most=5) is None
