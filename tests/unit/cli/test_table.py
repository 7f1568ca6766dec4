"""Tables of the command line."""

import pytest

from imagekit.cli.table import size_text, table, time_text


def test_a_terminal_gets_columns() -> None:
    """With titles, and no blanks at the end."""
    text = table(("NAME", "SIZE"), [("a", "1 MB"), ("longer", "")], terminal=True)

    assert text == "NAME    SIZE\na       1 MB\nlonger"


def test_a_pipe_gets_tabs() -> None:
    """Without titles, so that each line is an image to ``while read``."""
    text = table(("NAME", "SIZE"), [("a", "1"), ("b\t\33[2J", "")], terminal=False)

    assert text == "a\t1\nb  [2J\t"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_999, "1.0 MB"),
        (41_234_567, "41.2 MB"),
        (2_100_000_000, "2.1 GB"),
    ],
)
def test_sizes_are_in_decimal_units(size: int, text: str) -> None:
    """As registries and disks count."""
    assert size_text(size) == text


def test_times_are_those_of_rfc_3339() -> None:
    """What is not known is no year 1970."""
    assert time_text(1_700_000_000.9) == "2023-11-14T22:13:20Z"
    assert time_text(0) == ""
