"""The pages speak the command line that there is; scripts/readme runs README and tutorial."""

import re
import shlex
from pathlib import Path

import pytest

from imagekit.cli.help import COMMANDS
from imagekit.cli.parsers import command_parser
from imagekit.recipe.lint import lint
from tests.support.pages import commands

_HERE = Path(__file__).parents[3]
_ENDS = {"|", ">", "2>", "&", "&&"}


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_every_command_is_one(project: Path, page: str) -> None:
    """With options that it has; what it does is not asked here."""
    texts = [
        each.text.replace("\\\n", "")
        for each in commands((project / page).read_text(encoding="utf-8"))
    ]
    lines = [shlex.split(text, comments=True) for text in texts if text.startswith("imagekit ")]

    assert len(lines) > 10
    for _, name, *words in lines:
        end = next((number for number, word in enumerate(words) if word in _ENDS), len(words))
        mine = words[:end]
        command_parser(name).parse_args(mine[: mine.index("--")] if "--" in mine else mine)


def test_every_command_stands_in_the_table_of_commands(project: Path) -> None:
    """And no other one does."""
    page = (project / "docs/commands.md").read_text(encoding="utf-8")
    table = page.partition("\n## ")[0]
    cells = re.findall(r"^\| (.*?)(?<!\\) \|", table, re.MULTILINE)
    words = [word for cell in cells for word in re.findall(r"`(?:imagekit )?([a-z-]+)", cell)]

    assert sorted({word for word in words if word in COMMANDS}) == sorted(COMMANDS)
    assert [word for word in words if word not in COMMANDS] == []


_PAGES = sorted(
    path.relative_to(_HERE).as_posix()
    for path in (*_HERE.glob("docs/**/*.md"), *_HERE.glob("recipes/**/*.md"))
    # What is misspelt there is so on purpose.
    if path.name != "mistakes.md"
)


@pytest.mark.parametrize("page", _PAGES)
def test_every_example_is_of_a_command_that_there_is(project: Path, page: str) -> None:
    """With options that it has, also where nothing runs the page."""
    text = (project / page).read_text(encoding="utf-8").replace("\\\n", "")
    wrong = []
    for line in re.findall(r"^(?:\$|#) imagekit ([^|&>\n]*)", text, re.MULTILINE):
        words = line.partition(" #")[0].partition(" -- ")[0].split()
        if words[0] not in COMMANDS:
            wrong.append(line)
            continue
        parser = command_parser(words[0])
        known = {
            option
            for each in (parser, *parser.verbs().values())
            for action in each._actions
            for option in action.option_strings
        }
        wrong += [
            line
            for word in words
            if re.match(r"--[a-z]", word) and word.partition("=")[0] not in known
        ]

    assert wrong == []


def test_the_tutorials_recipe_is_without_fault(project: Path, tmp_path: Path) -> None:
    """As it is written by the page, beside the program of the template."""
    page = (project / "docs/tutorial.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(
        r"cat > pi/recipe\.yaml <<'END'\n(.*?)^END$", page, re.DOTALL | re.MULTILINE
    )
    (tmp_path / "recipe.yaml").write_text(recipe)
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")

    assert lint([tmp_path]).diagnostics == ()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_help_shows_the_name_of_a_variable_of_the_program(name: str) -> None:
    """A text that was meant to be filled in reads `{NAME}`."""
    parser = command_parser(name)

    shown = [parser.format_help(), *(verb.format_help() for verb in parser.verbs().values())]

    assert [text for text in shown if re.search(r"\{[A-Z_]{2,}\}", text)] == []
