"""Stages: in which order they are made, and what names no stage or is of no use."""

from typing import Any

import pytest

from imagekit.documents.record import from_document, to_document
from imagekit.errors import RecipeError
from imagekit.recipe import load
from imagekit.recipe.recipe import BuildStage, Recipe, ScratchBase, StageCopy, stages_of


def _copy(stage: str, more: str = "") -> str:
    return f"{{copy: {{from_stage: {stage}, from: /opt/x, to: /opt/x{more}}}}}"


def _text(final: str, **stages: str) -> str:
    """Return a recipe whose stages, and itself, copy from the stages that are named."""
    lines = ["stages:"]
    for name, others in stages.items():
        lines.append(f"  {name}:")
        lines.append(f"    steps: [{', '.join(['{run: make}', *map(_copy, others.split())])}]")
    lines.append(f"steps: [{', '.join(map(_copy, final.split()))}]")
    return "\n".join(lines) + "\n"


def test_a_stage_is_a_small_recipe(make_recipe: Any) -> None:
    """With a base, packages, steps and an environment of its own."""
    folder = make_recipe(
        "stages:\n"
        "  build:\n"
        "    base: scratch\n"
        "    packages: [{manager: apt, install: [gcc]}]\n"
        "    steps: [{copy: {from: f, to: /f}}, {run: make}]\n"
        "    env: {CC: gcc}\n"
        "steps:\n"
        "  - copy: {from_stage: build, from: /opt/x, to: /opt/y, owner: '1:2'}\n"
    )
    (folder / "f").touch()

    recipe = load(folder)

    (stage,), (step,) = recipe.stages, recipe.steps
    assert isinstance(stage.base, ScratchBase)
    assert (stage.name, stage.packages[0].install, stage.env) == ("build", ("gcc",), {"CC": "gcc"})
    assert isinstance(step, StageCopy)
    assert (step.stage, step.source, step.to, step.owner) == ("build", "/opt/x", "/opt/y", "1:2")
    assert from_document(BuildStage, to_document(stage)) == stage
    assert from_document(Recipe, to_document(recipe)) == recipe


def test_every_stage_stands_behind_what_it_copies_from(make_recipe: Any) -> None:
    """The order in the file says nothing: keys of a mapping have none."""
    recipe = load(make_recipe(_text("last", last="middle first", middle="first", first="")))

    assert [stage.name for stage in recipe.stages] == ["first", "middle", "last"]
    assert stages_of(recipe.stages[2].steps) == ("middle", "first")


def test_recipes_and_images_below_are_those_of_stages_too(make_recipe: Any) -> None:
    """All have to be there before anything is built."""
    image = f"registry.example/base@sha256:{'a' * 64}"
    text = (
        "stages:\n"
        "  one: {base: {recipe: base/one}}\n"
        f"  two: {{base: {{image: '{image}'}}}}\n"
        f"steps: [{_copy('one')}, {_copy('two')}]\n"
    )

    recipe = load(make_recipe(text, base="base: {recipe: base/zero}\n"))

    assert [below.name for below in recipe.recipes_below] == ["base/zero", "base/one"]
    assert [str(below) for below in recipe.images_below] == [image]


FAULTS = {
    "unknown": (_text("biuld", build=""), "unknown-stage", 4, "did you mean `build`?"),
    "unknown and nothing like it": (_text("x", build=""), "unknown-stage", 4, "known are: build"),
    "unknown in a stage": (_text("a", a="c"), "unknown-stage", 3, "known are: a"),
    "no stages": (f"steps: [{_copy('build')}]\n", "unknown-stage", 1, "add it to `stages`"),
    "itself": (_text("a", a="a"), "stage-cycle", 3, "one direction"),
    "each other": (_text("a", a="b", b="c", c="b"), "stage-cycle", 5, "one direction"),
    "unused": (_text("a", a="", b=""), "unused-stage", 5, "from_stage: b"),
    "unused but by one that is": (_text("a", a="", b="", c="b a"), "unused-stage", 5, ""),
    "with a mode": (
        _text("a", a="").replace("to: /opt/x", "to: /opt/x, mode: '0755'"),
        "mode-of-stage",
        4,
        "set it in the stage",
    ),
    "relative": (_text("a", a="").replace("from: /opt", "from: opt"), "bad-path", 4, "absolute"),
    "above": (_text("a", a="").replace("from: /opt", "from: /opt/.."), "bad-path", 4, ""),
    "pattern": (_text("a", a="").replace("from: /opt/x", "from: '/opt/*'"), "bad-path", 4, ""),
    "set": (_text("a", a="").replace("from: /opt/x", "from: '/opt/[a]'"), "bad-path", 4, ""),
    "one character": (_text("a", a="").replace("from: /opt/x", "from: '/o?'"), "bad-path", 4, ""),
    "escape": (_text("a", a="").replace("from: /opt/x", r"from: '/o\x'"), "bad-path", 4, ""),
    "unknown key": ("stages: {a: {steps: [], user: x}}\n", "unknown-key", 1, "known are"),
    "name": ("stages: {A: {}}\n", "not-matching", 1, ""),
}


@pytest.mark.parametrize("row", FAULTS.values(), ids=FAULTS)
def test_refuses_with_place_and_remedy(row: tuple[str, str, int, str], make_recipe: Any) -> None:
    """Before anything is built."""
    text, code, line, hint = row

    with pytest.raises(RecipeError) as caught:
        load(make_recipe(text))

    fault = caught.value.diagnostics[0]
    # Four lines stand before the text.
    assert (fault.code, fault.line - 4) == (f"recipe/{code}", line)
    assert hint in fault.hint


def test_a_containerfile_has_its_own_stages(make_recipe: Any) -> None:
    """There they are called FROM ... AS NAME."""
    folder = make_recipe("containerfile: C\nstages: {a: {}}\n", base="")
    (folder / "C").write_text("FROM scratch\nCOPY f /\n")
    (folder / "f").touch()

    with pytest.raises(RecipeError) as caught:
        load(folder)

    assert "recipe/containerfile-and-base" in {fault.code for fault in caught.value.diagnostics}


def test_a_file_of_the_recipe_needs_no_stage(make_recipe: Any) -> None:
    """Without `from_stage` a path is one below the folder, and never one of the host."""
    with pytest.raises(RecipeError) as caught:
        load(make_recipe("steps: [{copy: {from: /etc/passwd, to: /f}}]\n"))

    assert caught.value.diagnostics[0].code == "recipe/path-leaves-recipe"
