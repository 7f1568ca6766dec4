"""``imagekit run``, from words to the command of an engine."""

import json
import shlex
from pathlib import Path

import pytest

from imagekit.cli.main import main
from imagekit.signatures.publickey import public_key_pem
from imagekit.verify.save import save_evidence
from tests.support.fakes import MemorySigner
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
