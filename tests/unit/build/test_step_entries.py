"""Steps of builds before: what they made comes back, and the image is the same."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.build.image import BuiltLayer, Origin
from imagekit.build.job import FAILED, Below, BuildResult, CommandResult
from imagekit.build.make import make, make_until
from imagekit.build.plan import make_plan
from imagekit.build.step_entries import weakest
from imagekit.errors import BuildError, ToolError
from imagekit.oci.digest import Digest
from imagekit.oci.types import LAYER_GZIP, Descriptor, Platform
from imagekit.progress import silent
from imagekit.recipe.recipe import (
    BuildStage,
    FetchStep,
    Recipe,
    RunStep,
    ScratchBase,
    StageCopy,
    Step,
)
from tests.support.folder_container import PLACE, FakeWorkshop, ends

PLATFORM = Platform(os="linux", architecture="amd64")
EPOCH = 1_000_000_000


class _Workshop(FakeWorkshop):
    """A workshop of nothing but steps, each of which a shell does in a root that begins empty."""

    secret: bytes = b""

    def open(self, layers: Sequence[BuiltLayer]) -> Path:
        shutil.rmtree(self.root)
        self.root.mkdir()
        return super().open(layers)

    def secrets(self) -> Sequence[tuple[Path, str]]:
        path = self.folder / "secret"
        path.write_bytes(self.secret)
        return [(path, "/run/secrets/token")] if self.secret else []

    @property
    def ran(self) -> list[str]:
        """The commands that were run since the last look."""
        ran = [call.rpartition(" -c ")[2] for call in self.calls if call.startswith("run ")]
        self.calls.clear()
        return ran


def _shell(command: str, root: Path) -> CommandResult:
    # Files of an image have times of its build, which are not those of the next one.
    text = f"sleep 0.01 && {command.rpartition(' -c ')[2]}"
    return ends(subprocess.run(["sh", "-c", text], cwd=root, check=False).returncode)(command, root)


@pytest.fixture
def workshop(tmp_path: Path) -> _Workshop:
    """One with a shell."""
    return _Workshop(tmp_path / "workshop", runs=_shell)


def _run(text: str) -> RunStep:
    return RunStep(command=text, place=PLACE)


def _recipe(recipe: Recipe, *steps: str | Step, **more: object) -> Recipe:
    made = tuple(_run(step) if isinstance(step, str) else step for step in steps)
    return replace(recipe, base=ScratchBase(place=PLACE), steps=made, **more)


def _make(
    recipe: Recipe, workshop: _Workshop, *, use_cache: bool = True, below: Below | None = None
) -> BuildResult:
    plan = make_plan(recipe, platform=PLATFORM, epoch=EPOCH, below=below or Below())
    return make(plan, workshop, use_cache=use_cache, progress=silent)


STEPS = (
    "mkdir -p etc var/lib/apt/lists && echo a > etc/a && ln etc/a etc/b && ln -s a etc/link",
    "echo list > var/lib/apt/lists/index && touch -d @1000000001 etc/old && mkdir gone",
    "touch -d @1000000002 etc/more && echo x > gone/x",
    "rm -r gone && mv etc/b etc/c && chmod 4755 etc/a && mkdir -p usr/lib && touch usr/lib/x",
    # Neither the list nor a time behind the image's is in a layer.
    "cat var/lib/apt/lists/index > etc/d && find etc -name more -newer etc/old > etc/newer",
)


@pytest.mark.parametrize("same", range(len(STEPS) + 1))
def test_the_image_is_the_same_whichever_steps_were_done_before(
    workshop: _Workshop, recipe: Recipe, tmp_path: Path, same: int
) -> None:
    """Only those behind an edit are done, and they see what the ones before them left."""
    before = [*STEPS[:same], *(f"{step} && true" for step in STEPS[same:])]
    _make(_recipe(recipe, *before), workshop)
    workshop.cache.clear()
    assert workshop.ran == before

    again = _make(_recipe(recipe, *STEPS), workshop)

    anew = _make(_recipe(recipe, *STEPS), _Workshop(tmp_path / "other", runs=_shell))
    assert workshop.ran == list(STEPS[same:])
    assert again.layers == anew.layers


def test_a_step_that_is_added_is_the_only_one(workshop: _Workshop, recipe: Recipe) -> None:
    """It is on top of what the others made."""
    _make(_recipe(recipe, *STEPS), workshop)
    del workshop.ran[:]

    _make(_recipe(recipe, *STEPS, "cat etc/d > etc/e"), workshop)

    assert workshop.ran[-1:] == ["cat etc/d > etc/e"]
    assert (workshop.root / "etc/e").read_text() == "list\n"


def test_a_build_that_failed_goes_on_where_it_failed(workshop: _Workshop, recipe: Recipe) -> None:
    """What was done before it failed is not done again."""
    with pytest.raises(BuildError, match="step 3 of 3"):
        _make(_recipe(recipe, *STEPS[:2], "false"), workshop)
    assert workshop.ran == [*STEPS[:2], "false"]

    _make(_recipe(recipe, *STEPS[:2], "true"), workshop)

    assert workshop.ran == ["true"]


@pytest.mark.parametrize("point", [4, FAILED])
def test_a_shell_does_not_wait_for_steps_that_were_done(
    workshop: _Workshop, recipe: Recipe, point: int
) -> None:
    """The tree is what they left."""
    _make(_recipe(recipe, *STEPS[:3], "true"), workshop)
    del workshop.ran[:]
    edited = _recipe(recipe, *STEPS[:3], "false" if point == FAILED else "true && true", "true")
    plan = make_plan(edited, platform=PLATFORM, epoch=EPOCH)

    stopped = make_until(plan, workshop, point, use_cache=True, progress=silent)

    assert len(workshop.ran) == 1
    assert "step 4 of 5" in stopped.place
    assert (workshop.root / "etc/more").exists()


def test_without_the_cache_all_is_done(workshop: _Workshop, recipe: Recipe) -> None:
    """It is what was asked for."""
    for _ in range(2):
        _make(_recipe(recipe, *STEPS), workshop, use_cache=False)

        assert workshop.ran == list(STEPS)


def test_on_other_content_all_is_done(workshop: _Workshop, recipe: Recipe) -> None:
    """Packages that were installed anew may be others, under the same key."""
    packages = [_layer(b"one"), _layer(b"two")]
    # A plan knows the keys of layers only, so it is what stands on them that is told apart.
    plans = [make_plan(_recipe(recipe, *STEPS), platform=PLATFORM, epoch=EPOCH) for _ in packages]
    plans = [replace(plan, base=(one,)) for plan, one in zip(plans, packages, strict=True)]
    for plan in plans:
        make(plan, workshop, use_cache=True, progress=silent)

        assert workshop.ran == list(STEPS)
    make(plans[1], workshop, use_cache=True, progress=silent)
    assert workshop.ran == []


def test_what_a_stage_holds_counts_where_it_is_copied(workshop: _Workshop, recipe: Recipe) -> None:
    """Not before: its content may be another under the same key."""
    copy = StageCopy(stage="s", source="/x", to="/x", place=PLACE, named=PLACE)
    stage = BuildStage(name="s", steps=(_run("date +%N > x"),), place=PLACE)
    edited = _recipe(recipe, "touch a", copy, "touch b", stages=(stage,))
    _make(edited, workshop)
    workshop.cache.clear()
    for path in sorted((workshop.folder / "steps").glob("*.json"), key=os.path.getmtime)[:1]:
        path.unlink()
    shutil.rmtree(workshop.folder / "stage s")
    del workshop.ran[:]

    _make(edited, workshop)

    assert workshop.ran[1:] == ["touch b"]


@pytest.mark.parametrize(
    "odd", [pytest.param("mknod odd c 1 3", marks=pytest.mark.root), "touch .wh.odd"]
)
def test_what_cannot_be_kept_is_done_again(workshop: _Workshop, recipe: Recipe, odd: str) -> None:
    """It harms nothing as long as a later step removes it."""
    steps = ["touch a", odd, "rm -r odd .wh.odd 2> ../none || true"]
    _make(_recipe(recipe, *steps, "true"), workshop)
    del workshop.ran[:]
    workshop.cache.clear()

    _make(_recipe(recipe, *steps, "true"), workshop)

    assert workshop.ran == [*steps[1:], "true"]


def test_a_secret_is_not_kept(workshop: _Workshop, recipe: Recipe) -> None:
    """Also where the step behind removes it: an entry outlives the build."""
    workshop.secret = b"first line of it\ns3cret-token\n"
    steps = ["echo 'token=s3cret-token' > netrc", "rm netrc"]

    for _ in range(2):
        _make(_recipe(recipe, *steps), workshop)
        workshop.cache.clear()

        assert workshop.ran == steps
    assert list((workshop.folder / "steps").iterdir()) == []


def test_a_damaged_entry_is_removed(workshop: _Workshop, recipe: Recipe) -> None:
    """The build says so, and the next one does the step again."""
    _make(_recipe(recipe, *STEPS), workshop)
    workshop.cache.clear()
    del workshop.ran[:]
    archives = sorted((workshop.folder / "steps").glob("*.tar.gz"), key=os.path.getmtime)
    archives[1].write_bytes(b"x" * archives[1].stat().st_size)

    with pytest.raises(ToolError, match="step 2 was done before") as caught:
        _make(_recipe(recipe, *STEPS), workshop)
    assert "run it again" in caught.value.hint
    _make(_recipe(recipe, *STEPS), workshop)

    # Those behind it are done on what it makes now, which may be something else.
    assert workshop.ran == list(STEPS[1:])


def test_what_a_step_fetched_is_a_material_again(workshop: _Workshop, recipe: Recipe) -> None:
    """The provenance names it, whichever build fetched it."""
    fetch = FetchStep(url="http://site.example/x", sha256=Digest.of(b"x"), to="/x", place=PLACE)
    first = _make(_recipe(recipe, fetch, "true"), workshop)

    second = _make(_recipe(recipe, fetch, "true && true"), workshop)

    assert second.materials == first.materials != ()
    assert second.isolations == first.isolations == ("oci (fake)",)


@pytest.mark.parametrize("locked", [True, False])
def test_a_step_on_what_is_locked_says_so(
    workshop: _Workshop, recipe: Recipe, *, locked: bool
) -> None:
    """Then it is used for longer than a day."""
    plan = make_plan(_recipe(recipe, "true"), platform=PLATFORM, epoch=EPOCH)
    layers = tuple(replace(layer, locked=locked) for layer in plan.layers)

    make(replace(plan, layers=layers), workshop, use_cache=True, progress=silent)

    (record,) = (workshop.folder / "steps").glob("*.json")
    known = workshop.steps.find(Digest("sha256", record.stem))
    assert known is not None
    assert known.locked is locked


def test_the_weakest_isolation_counts() -> None:
    """One of the steps may have been done under another one."""
    assert weakest([]) == ""
    assert weakest(["oci (runc)"]) == "oci (runc)"
    assert weakest(["chroot", "oci (runc)"]) == "chroot"


def _layer(raw: bytes) -> BuiltLayer:
    descriptor = Descriptor(media_type=LAYER_GZIP, digest=Digest.of(raw), size=1)
    return BuiltLayer(
        descriptor=descriptor, diff_id=Digest.of(raw), origin=Origin.BASE, title="base"
    )
