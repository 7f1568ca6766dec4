"""``imagekit lint`` and ``imagekit schema``."""

import json
from pathlib import Path

import pytest

from imagekit.cli.main import main

GOOD = "schema: 1\nname: x\nversion: '1'\nbase: scratch\ntests: [{run: 'true'}]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A recipe without faults."""
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def test_errors_end_with_2_and_show_the_line(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault is a code frame on stderr; the count is the result."""
    file.write_text(GOOD + "pakages: []\n", encoding="utf-8")

    assert main(["lint", str(file)]) == 2

    out, err = capsys.readouterr()
    assert out == "1 error in 1 of 1 recipe\n"
    assert "error[recipe/unknown-key]: `pakages` is not a key of a recipe" in err
    assert f"--> {file}:6:1" in err
    assert "^^^^^^^ did you mean `packages`?" in err


def test_no_path_is_a_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong words end with 64, a path without a recipe with 2."""
    assert main(["lint"]) == 64
    assert main(["lint", "/nowhere"]) == 2
    assert main(["schema", "image"]) == 64
    assert "there is no /nowhere" in capsys.readouterr().err


def test_json_has_the_documented_shape(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document, with counts and diagnostics."""
    file.write_text(GOOD.replace("tests", "#"), encoding="utf-8")

    assert main(["lint", "--json", str(file.parent)]) == 0

    document = json.loads(capsys.readouterr().out)
    (warning,) = document.pop("diagnostics")
    assert document == {"schema": 1, "recipes": 1, "errors": 0, "warnings": 1}
    assert set(warning) == {"severity", "code", "message", "file", "line", "column", "hint"}
    assert (warning["severity"], warning["code"]) == ("warning", "recipe/no-tests")


def test_good_recipes_end_with_0(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No fault, no frame."""
    assert main(["lint", str(file)]) == 0
    assert capsys.readouterr() == ("1 recipe, no errors\n", "")


@pytest.mark.parametrize("kind", ["recipe", "policy", "policy-test", "policy-authority"])
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_schema_is_printed(
    kind: str, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The schema goes to stdout as JSON in either form."""
    assert main(["schema", kind, *option]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
