"""How many and how large, as messages say it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.documents.quantity import count, size


@pytest.mark.parametrize(
    ("number", "plural", "text"),
    [(0, "", "0 files"), (1, "", "1 file"), (2, "", "2 files"), (3, "pieces", "3 pieces")],
)
def test_a_noun_has_the_number_that_stands_before_it(number: int, plural: str, text: str) -> None:
    """One file is no `1 files`."""
    assert count(number, "file", plural) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (49_999, "50 kB"),
        (50_000, "0.1 MB"),
        (300_000, "0.3 MB"),
        (173_500_000, "173.5 MB"),
    ],
)
def test_a_size_is_in_the_unit_that_fits_it(number: int, text: str) -> None:
    """Megabytes, as everywhere; what is too small for them has a smaller unit."""
    assert size(number) == text


@given(st.integers(min_value=1, max_value=1 << 60))
def test_something_is_never_shown_as_nothing(number: int) -> None:
    """`0.0 MB` of something reads as if it were empty."""
    assert float(size(number).split()[0]) > 0
