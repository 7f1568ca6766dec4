"""Long lines on terminals of any width."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagekit.cli.wrap import reflowed, wrapped

_WIDTHS = st.integers(min_value=60, max_value=200)
_WORDS = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=90)
_LINES = st.lists(_WORDS, min_size=1, max_size=40).flatmap(
    lambda words: st.tuples(
        st.sampled_from(["", "  ", "  ✓ signature     ", "  ✗ certificate ", "   = ", "  --> "]),
        st.just(" ".join(words)),
    ).map("".join)
)


@given(_LINES, _WIDTHS)
@example("  ✓ signature     " + "word " * 60, 60)
def test_no_word_is_cut_or_lost_at_any_width(line: str, width: int) -> None:
    """What is printed may be copied: the words are those of the line, in their order."""
    assert wrapped(line, width).split() == line.split()


@given(_LINES, _WIDTHS)
def test_only_a_word_that_fits_nowhere_is_wider_than_the_terminal(line: str, width: int) -> None:
    """All other lines end before the last column."""
    for shown in wrapped(line, width).split("\n"):
        assert len(shown) <= width or len(shown.split()[-1]) > width // 2


@given(_LINES, _WIDTHS)
def test_the_rest_of_a_line_is_indented(line: str, width: int) -> None:
    """It cannot be taken for a line of its own, which begins in an earlier column."""
    first, *rest = wrapped(line, width).split("\n")
    start = len(first) - len(first.lstrip())
    for shown in rest:
        assert len(shown) - len(shown.lstrip()) > start


@pytest.mark.parametrize(
    ("head", "column"),
    [
        ("  ✓ signature     ", 18),
        ("  ✗ certificate ", 16),
        ("  ! subuids      ", 17),
        ("   = ", 5),
        ("  --> ", 6),
        ("  ! ", 4),
        ("error[recipe/unknown-key]: ", 2),
        ("    solver.c:1: ", 6),
    ],
)
def test_the_rest_stands_under_the_text(head: str, column: int) -> None:
    """Behind the mark and the name of a table, behind the sign of a hint."""
    shown = wrapped(head + "some words of it " * 10, 60).split("\n")

    assert {len(line) - len(line.lstrip()) for line in shown[1:]} == {column}


def test_no_terminal_has_no_width() -> None:
    """A log has a line for each thing, however long it is."""
    assert wrapped("word " * 100, 0) == "word " * 100


def test_colours_take_no_columns() -> None:
    """A line that fits without its colours is left alone."""
    line = "\33[31m" + "x" * 60 + "\33[0m"

    assert wrapped(line, 60) == line


def test_help_has_prose_in_paragraphs_and_examples_in_lines() -> None:
    """Prose fills the width, and a command stays a line of its own."""
    text = "One two\nthree.\n\n  imagekit a\n  imagekit b\nimagekit c\n"

    assert reflowed(text, 60) == "One two three.\n\n  imagekit a\n  imagekit b\nimagekit c"
