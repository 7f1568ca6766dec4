"""A place in a file knows the text of its line."""

from imagekit.documents.place import SourcePlace
from imagekit.documents.report import Report, SourceSpan
from imagekit.errors import Diagnostic


def _place(text: str, span: SourceSpan) -> SourcePlace:
    report = Report("recipe.yaml", "recipe")
    report.set_source(text)
    return report.place(span)


def test_a_fault_that_is_found_later_shows_the_line_that_was_read() -> None:
    """The file is not read again: it may have been changed since, or be gone."""
    place = _place("a: 1\r\nsteps: 2\r\n", SourceSpan(2, 1, 5))

    assert place.diagnostic("build/step-failed", "it ended with 1", hint="try") == Diagnostic(
        code="build/step-failed",
        message="it ended with 1",
        file="recipe.yaml",
        line=2,
        column=1,
        length=5,
        source="steps: 2",
        hint="try",
    )


def test_a_long_line_is_not_kept() -> None:
    """A thousand places in one line of a megabyte would be a gigabyte for the building process."""
    place = _place("a" * 1001, SourceSpan(1, 1))

    assert (place.line, place.source) == (1, "")
    assert _place("a" * 1000, SourceSpan(1, 1)).source


def test_what_stands_in_a_line_makes_no_other_place() -> None:
    """A recipe is the same whatever comment stands behind its steps."""
    span = SourceSpan(1, 1)

    assert _place("a: 1", span) == _place("a: 1  # comment", span)
