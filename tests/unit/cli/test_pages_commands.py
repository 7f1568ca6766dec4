"""The README and the tutorial speak the command line that there is; scripts/readme runs them."""

import re
import shlex
from pathlib import Path

import pytest

from imagekit.cli.parsers import command_parser
from imagekit.recipe.lint import lint
from tests.support.pages import commands

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


def test_the_tutorials_recipe_is_without_fault(project: Path, tmp_path: Path) -> None:
    """As it is written by the page, beside the program of the template."""
    page = (project / "docs/tutorial.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(
        r"cat > pi/recipe\.yaml <<'END'\n(.*?)^END$", page, re.DOTALL | re.MULTILINE
    )
    (tmp_path / "recipe.yaml").write_text(recipe)
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")

    assert lint([tmp_path]).diagnostics == ()
