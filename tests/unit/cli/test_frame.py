"""Code frames: where, what and what to do."""

from imagekit.cli.frame import frame
from imagekit.errors import Diagnostic


def _plain(text: str, kind: str) -> str:
    del kind
    return text


def test_caret_stands_under_the_word() -> None:
    """The caret underlines exactly the word that is meant."""
    diagnostic = Diagnostic(
        code="recipe/unknown-key",
        message="`pakages` is not a key of a recipe",
        file="recipe.yaml",
        line=7,
        column=3,
        length=7,
        source="  pakages:",
        hint="did you mean `packages`?",
    )

    assert frame(diagnostic, paint=_plain).splitlines() == [
        "error[recipe/unknown-key]: `pakages` is not a key of a recipe",
        "  --> recipe.yaml:7:3",
        "   |",
        " 7 |   pakages:",
        "   |   ^^^^^^^ did you mean `packages`?",
        "   |",
    ]


def test_control_characters_are_not_passed_to_the_terminal() -> None:
    """A hostile file cannot move the cursor or change the title of the window."""
    diagnostic = Diagnostic(
        code="x", message="y", file="f", line=1, column=1, source="\33[2Jname: a\tb"
    )

    shown = frame(diagnostic, paint=_plain)

    assert "\33" not in shown
    assert "name: a b" in shown


def test_long_line_is_cut_around_the_caret() -> None:
    """A line of a megabyte does not fill the screen."""
    diagnostic = Diagnostic(
        code="x", message="y", file="f", line=1, column=5000, source="a" * 1_000_000
    )

    assert all(len(line) < 200 for line in frame(diagnostic, paint=_plain).splitlines())


def test_a_fault_of_the_whole_file_has_no_excerpt() -> None:
    """Line 0 means the file as a whole."""
    diagnostic = Diagnostic(code="x", message="y", file="f", hint="do z")

    assert frame(diagnostic, paint=_plain).splitlines() == ["error[x]: y", "  --> f", "   = do z"]
