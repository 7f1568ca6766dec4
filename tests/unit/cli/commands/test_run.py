"""``imagekit run``, from words to the command of an engine."""

import json
import os
import shlex
from pathlib import Path

import pytest

from imagekit.build.local_store import digest_of, open_store, record_built
from imagekit.build.tools.storage import Folders
from imagekit.cli.main import main
from imagekit.recipe import load
from imagekit.signatures.publickey import public_key_pem
from imagekit.verify.save import save_evidence
from tests.support.fakes import MemorySigner
from tests.support.local_store import put
from tests.support.signed import World, signed_world

IMAGE = "oci:saved:r.site/apps/demo:1"
POLICY = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: site, version: 1, expires: 2999-06-30T00:00:00Z}
images:
  - match: {glob: "r.site/apps/**"}
    authorities: [{name: a, key: {path: a.pub}}]
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A layout with a signed image, and its policy, where the command runs."""
    made = signed_world()
    save_evidence(made.located, tmp_path / "saved", reader=made.registry)
    (tmp_path / "a.pub").write_bytes(public_key_pem(made.signer.public_key))
    (tmp_path / "policy.yaml").write_text(POLICY)
    monkeypatch.chdir(tmp_path)
    return made


def _run(*words: str) -> int:
    return main(["run", IMAGE, "--policy", "policy.yaml", "--dry-run", *words])


def test_a_dry_run_prints_the_command_with_what_was_chosen(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a shell reads it, or in the document of the verdict."""
    monkeypatch.setenv("HOME", "/home/ann")
    chosen = ("-v", "/a:/usr/share/b:ro", "-e", "A=x y", "--home", "--gpus", "0,1", "-u", "5")
    more = ("-w", "/b", "--podman-arg=--privileged", "--entrypoint", "", "--userns", "host")

    assert _run(*chosen, *more, "--", "-v") == 0
    text = capsys.readouterr()
    assert _run(*chosen, *more, "--json", "--", "-v") == 0
    document = json.loads(capsys.readouterr().out)

    assert shlex.split(text.out) == document["command"]
    assert document["decision"] == "allow"
    assert document["command"][:2] == ["podman", "run"]
    assert document["command"][-15:-2] == [
        *("--network", "host", "--volume=/home/ann:/home/ann", "--volume=/a:/usr/share/b:ro"),
        *("--env=HOME=/home/ann", "--env=A=x y", "--device=nvidia.com/gpu=0"),
        *("--device=nvidia.com/gpu=1", "--workdir=/b", "--user=5", "--userns=host"),
        *("--privileged", "--entrypoint="),
    ]
    assert document["command"][-2].endswith(f"@{world.image.digest}")
    assert "cover /usr/share/b" in text.err
    assert "--privileged: " in text.err


def test_what_is_denied_is_neither_run_nor_shown(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verdict is, and says why."""
    del world
    (tmp_path / "a.pub").write_bytes(public_key_pem(MemorySigner().public_key))

    assert _run("--json") == 3

    document = json.loads(capsys.readouterr().out)
    assert document["decision"] == "deny"
    assert "command" not in document


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-v", "/a:/"], "covers the whole image"),
        (["--podman-arg=--rootfs"], "is refused"),
        (["--gpus", ""], "no name of a device"),
        (["--engine", "docker"], "pulls from registries"),
        (["--engine", "apptainer"], "does not take oci:saved"),
        (["--engine", "docker", "--podman-arg=--init"], "for Podman, and not for docker"),
        (["--engine", "apptainer", "--podman-arg=--init"], "for Podman, and not for apptainer"),
        (["--engine", "docker", "--staged", "x"], "Docker runs nothing that was staged"),
        (["--engine", "apptainer", "--staged", "x", "--user", "0"], "does not take --user"),
        (["--engine", "nerdctl"], "invalid choice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_an_engine_must_not_be_told_is_wrong_usage(
    world: World, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a remedy."""
    del world

    assert _run(*words) == 64

    shown = capsys.readouterr().err
    assert said in shown
    assert "   = " in shown


def test_verbose_has_no_short_form_here(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands behind -v is a volume, and then no image is named."""
    del world

    assert main(["run", "-v", IMAGE, "--policy", "policy.yaml"]) == 64
    assert "-v is --volume here" in capsys.readouterr().err
    assert _run("--verbose") == 0
    assert "allowed" in capsys.readouterr().err


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recipe in the current folder, of which an image was built; returns its digest."""
    (tmp_path / "recipe").mkdir()
    file = tmp_path / "recipe/recipe.yaml"
    file.write_text("schema: 1\nname: demo\nversion: '1'\nbase: scratch\n")
    monkeypatch.chdir(tmp_path)
    folders = Folders.of(os.environ)
    image = put(folders, "demo", "1")
    record_built(open_store(folders), image, recipes=digest_of([load(file)]))
    return str(image.manifest.digest)


def test_what_was_just_built_is_run_and_said_to_be_unverified(
    built: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its digest, with the options of every run."""
    words = ("run", "--local", "recipe", "--dry-run", "-e", "A=b")
    assert main([*words, "--", "-v"]) == 0
    text = capsys.readouterr()
    assert main([*words, "--json", "--", "-v"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert shlex.split(text.out) == document["command"]
    assert document["command"][:2] == ["podman", "run"]
    assert "--env=A=b" in document["command"]
    assert document["command"][-2].endswith(f"@{built}")
    assert document["command"][-1] == "-v"
    assert document["verified"] is False
    assert "decision" not in document
    assert text.err.startswith(f"not verified: demo 1 ({built})")


def test_a_recipe_that_was_changed_since_is_not_run(
    built: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its image is another one now: it has to be built."""
    del built
    Path("recipe/more.txt").touch()

    assert main(["run", "--local", "recipe", "--dry-run"]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert "another state of recipe/recipe.yaml" in said.err
    assert "imagekit build recipe" in said.err


def test_a_recipe_that_was_not_built_is_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is built by the way."""
    (tmp_path / "recipe.yaml").write_text("schema: 1\nname: x\nversion: '1'\nbase: scratch\n")

    assert main(["run", "--local", str(tmp_path), "--dry-run"]) == 2

    assert "is not in the local image store" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("--local", "recipe", "--policy", "policy.yaml"),
        ("--local", "--staged", "folder"),
        ("--local",),
        # Without --local there is no run without a verdict.
        (IMAGE,),
        ("--staged", "folder"),
    ],
)
def test_nothing_else_runs_without_a_verdict(
    built: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """--local is for recipes, and for nothing that a policy is to judge."""
    del built
    assert main(["run", *words, "--dry-run"]) == 64

    said = capsys.readouterr()
    assert said.out == ""
    assert "local" in said.err or "--policy" in said.err
