"""Linting: every fault of many recipes, and a few remarks."""

from pathlib import Path
from typing import Any

import pytest

from imagekit.errors import RecipeError
from imagekit.recipe.lint import lint

TESTED = "tests: [{run: 'true'}]\n"


def codes(*paths: Path) -> list[str]:
    """Return the codes of what linting says."""
    return [d.code.removeprefix("recipe/") for d in lint(paths).diagnostics]


def test_a_faulty_base_is_told_once(make_recipe: Any, tmp_path: Path) -> None:
    """The fault stands where it is; what stands on it points to its own line."""
    make_recipe("foo: 1\n" + TESTED, head="schema: 1\nname: a\nversion: '1'\n", at="a")
    make_recipe(TESTED, base="base: {recipe: a}\n", at="b")

    found = lint([tmp_path / "recipes"])

    assert [(Path(d.file).parent.name, d.code, d.line) for d in found.diagnostics] == [
        ("a", "recipe/unknown-key", 5),
        ("b", "recipe/bad-base", 4),
    ]
    assert all(d.source for d in found.diagnostics)
    assert (found.recipes, found.errors, found.warnings, found.faulty) == (2, 2, 0, 2)


def test_an_unknown_base_and_a_same_name_are_errors(make_recipe: Any, tmp_path: Path) -> None:
    """What only shows between recipes is found as well."""
    make_recipe(TESTED, base="base: {recipe: nothing}\n", at="a")
    make_recipe(TESTED, at="b")

    assert codes(tmp_path / "recipes") == ["unknown-base", "same-name"]


def test_an_unreadable_recipe_hides_no_other(make_recipe: Any, tmp_path: Path) -> None:
    """A recipe.yaml that is a link is one fault; the others are judged."""
    folder = make_recipe(at="a")
    (folder / "recipe.yaml").unlink()
    (folder / "recipe.yaml").symlink_to("/dev/zero")
    make_recipe("foo: 1\n", at="b")

    assert codes(tmp_path / "recipes") == ["unreadable", "unknown-key"]


def test_remarks_are_warnings(make_recipe: Any) -> None:
    """No tests, a package twice and an immutable ``latest`` are said and stop nothing."""
    folder = make_recipe(
        "packages: [{manager: apt, install: [gcc, make, gcc=4]}]\ntags: {immutable: [latest]}\n"
    )

    found = lint([folder])

    assert (found.errors, found.warnings) == (0, 3)
    assert {d.code for d in found.diagnostics} == {
        "recipe/no-tests",
        "recipe/package-twice",
        "recipe/fixed-latest",
    }


def test_a_good_recipe_is_silent(make_recipe: Any) -> None:
    """Nothing to say is said by nothing."""
    assert codes(make_recipe(TESTED)) == []


def test_shipped_recipes_are_good(project: Path) -> None:
    """Every recipe of this repository passes, without a remark."""
    found = lint([project / "recipes"])

    assert found.recipes >= 4
    assert found.diagnostics == ()


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A typo in a path must not look like success."""
    with pytest.raises(RecipeError, match="there is no"):
        lint([tmp_path / "nowhere"])


def test_what_this_buildah_cannot_do_is_an_error(make_recipe: Any) -> None:
    """Here-documents are told of where Buildah is too old for them, and nowhere else."""
    folder = make_recipe(TESTED + "containerfile: C\n", base="")
    (folder / "C").write_text("FROM scratch\nRUN <<EOF\nFROM debian\nEOF\n", encoding="utf-8")

    def said(version: str) -> list[tuple[str, int, str]]:
        found = lint([folder], buildah=lambda: version)
        return [(d.code, d.line, d.source) for d in found.diagnostics]

    assert said("1.28.2") == [("recipe/needs-newer-buildah", 2, "RUN <<EOF")]
    assert said("1.39.3") == []
    assert said("") == []
