"""Stopping a build where somebody wants to look: after a step, at one that fails, behind all."""

from pathlib import Path

import pytest

from imagekit.build.job import END, FAILED, CommandResult
from imagekit.build.make import Stopped, make_until
from imagekit.build.plan import make_plan
from imagekit.errors import BuildError
from imagekit.oci.types import Platform
from imagekit.progress import silent
from imagekit.recipe.recipe import BuildStage, Packages, Recipe, RunStep, Step
from tests.support.folder_container import PLACE, FakeWorkshop

PLATFORM = Platform(os="linux", architecture="amd64")


def _step(text: str, *, network: bool = True) -> RunStep:
    return RunStep(command=text, network=network, place=PLACE)


STEPS = (_step("one"), _step("two", network=False), _step("three"))


@pytest.fixture
def workshop(tmp_path: Path) -> FakeWorkshop:
    """A folder in which a step writes its name; ``bad`` fails behind that."""

    def runs(command: str, root: Path) -> CommandResult:
        (root / command.rsplit(maxsplit=1)[-1]).touch()
        return CommandResult(status=7 if "bad" in command else 0, output="", seconds=0.1)

    return FakeWorkshop(tmp_path, runs=runs)


def _until(
    recipe: Recipe, workshop: FakeWorkshop, point: int, *steps: Step, **more: object
) -> Stopped:
    words = {name: getattr(recipe, name) for name in Recipe.__struct_fields__}
    plan = make_plan(Recipe(**{**words, "steps": steps, **more}), platform=PLATFORM, epoch=1)
    return make_until(plan, workshop, point, use_cache=True, progress=silent)


def _titles(workshop: FakeWorkshop) -> list[str]:
    return [entry.layer.title.partition(",")[0] for entry in workshop.cache.values()]


def _done(workshop: FakeWorkshop) -> set[str]:
    return {"one", "two", "three", "bad"} & {path.name for path in workshop.root.iterdir()}


@pytest.mark.parametrize(
    ("point", "done", "network"),
    [(1, {"one"}, True), (2, {"one", "two"}, False), (3, {"one", "two", "three"}, True)],
)
def test_after_a_step(
    recipe: Recipe, workshop: FakeWorkshop, point: int, done: set[str], *, network: bool
) -> None:
    """Later ones did not run, the network is that step's, and no layer is made of them."""
    stopped = _until(recipe, workshop, point, *STEPS)

    assert _done(workshop) == done
    assert stopped.network is network
    assert stopped.layers is None
    assert f"step {point} of 3" in stopped.place
    assert _titles(workshop) == ["debian bookworm"]


def test_at_the_step_that_fails(recipe: Recipe, workshop: FakeWorkshop) -> None:
    """What it left is there, and what it said."""
    stopped = _until(recipe, workshop, FAILED, STEPS[0], _step("bad", network=False), STEPS[2])

    assert _done(workshop) == {"one", "bad"}
    assert "ended with 7" in stopped.fault
    assert stopped.network is False
    assert "step 2 of 3 (bad), where it failed" in stopped.place
    assert _titles(workshop) == ["debian bookworm"]


def test_a_failure_is_an_error_where_nobody_asked_for_it(
    recipe: Recipe, workshop: FakeWorkshop
) -> None:
    """The step that was named cannot be reached."""
    with pytest.raises(BuildError, match="step 1 of 3: bad"):
        _until(recipe, workshop, 2, _step("bad"), *STEPS[:2])


def test_no_step_fails(recipe: Recipe, workshop: FakeWorkshop) -> None:
    """Then it is behind all of them."""
    stopped = _until(recipe, workshop, FAILED, *STEPS)

    assert (stopped.fault, stopped.layers) == ("", None)
    assert "step 3 of 3" in stopped.place


def test_behind_all_are_the_layers_of_a_build(recipe: Recipe, workshop: FakeWorkshop) -> None:
    """They are made and kept as a build would; the container on them is a new one."""
    stopped = _until(recipe, workshop, END, *STEPS)

    assert stopped.layers is not None
    assert len(stopped.layers) == len(workshop.cache) == 2
    again = _until(recipe, workshop, END, *STEPS)
    assert again.layers == stopped.layers


def test_packages_that_fail(recipe: Recipe, workshop: FakeWorkshop) -> None:
    """Their container can be looked into, too."""
    packages = (Packages(manager="apt", install=("bad",), place=PLACE),)

    stopped = _until(recipe, workshop, FAILED, *STEPS, packages=packages)

    assert stopped.fault
    assert stopped.place == "where the packages failed"


def _stage(name: str, *steps: Step) -> BuildStage:
    return BuildStage(name=name, steps=steps, env={"IN": name}, place=PLACE)


def test_the_stage_that_fails(recipe: Recipe, workshop: FakeWorkshop) -> None:
    """A shell is in its container, with its variables; what comes behind it is not begun."""
    stages = (_stage("good", _step("one")), _stage("build", _step("bad")))

    stopped = _until(recipe, workshop, FAILED, *STEPS, stages=stages)

    assert stopped.stage == "build"
    assert stopped.place == "build: step 1 of 1 (bad), where it failed"
    assert stopped.env["IN"] == "build"
    assert "ended with 7" in stopped.fault


def test_stages_that_are_in_the_cache_did_not_fail(recipe: Recipe, workshop: FakeWorkshop) -> None:
    """They are taken from there, and the image's own step is looked at."""
    stages = (_stage("good", _step("one")),)
    _until(recipe, workshop, END, *STEPS[:1], stages=stages)
    (workshop.folder / "stage good").rename(workshop.folder / "old")
    # The image's own steps, which were made last.
    workshop.cache.popitem()
    ran: list[str] = []

    def runs(command: str, root: Path) -> CommandResult:
        del root
        ran.append(command)
        return CommandResult(status=7, output="", seconds=0.1)

    workshop.runs = runs
    stopped = _until(recipe, workshop, FAILED, _step("bad"), stages=stages)

    assert (stopped.stage, len(ran)) == ("", 1)
    assert stopped.place == "step 1 of 1 (bad), where it failed"


def test_a_failed_build_says_how_one_looks_into_it(recipe: Recipe, workshop: FakeWorkshop) -> None:
    """The remedy for a step that fails is to look."""
    with pytest.raises(BuildError) as failed:
        _until(recipe, workshop, END, _step("bad"))

    assert failed.value.hint.endswith(f"imagekit shell {recipe.folder} --failed")


def test_a_shell_sees_the_variables_of_steps(recipe: Recipe, workshop: FakeWorkshop) -> None:
    """So that a step can be tried by hand."""
    stopped = _until(recipe, workshop, 1, *STEPS, env={"A": "b"}, build_args={"C": "d"})

    env = stopped.env
    assert (env["A"], env["C"], env["SOURCE_DATE_EPOCH"]) == ("b", "d", "1")
    assert "/usr/bin" in env["PATH"]
