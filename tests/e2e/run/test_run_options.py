"""What a user chooses for a container, on the command line."""

import json
import shlex
from pathlib import Path

import pytest

from tests.support.command import imagekit, signed_image

pytestmark = pytest.mark.real

IMAGE = ("oci:out:tiny:1.0.0", "--policy", "p.yaml")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signed image, whose entrypoint is the shell, and its policy."""
    folder = tmp_path_factory.mktemp("site")
    signed_image(folder, "entrypoint: [/bin/sh, -c]")
    return folder


def test_an_input_file_is_given_to_the_container(site: Path) -> None:
    """By the short options that Podman has; -v is the volume."""
    (site / "in").write_text("7 ranks")
    words = ("run", "-v", f"{site}/in:/data/in:ro", "-e", "A=1", "-w", "/data", *IMAGE)

    ran = imagekit(site, *words, "--", "cat in; echo , $A, $PWD")

    assert (ran.returncode, ran.stdout) == (0, "7 ranks, 1, /data\n"), ran.stderr
    assert "--home mounts yours" in ran.stderr
    assert "$ podman" not in ran.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["-v", "/tmp:/", *IMAGE],
        ["--podman-arg=--rootfs", *IMAGE],
        ["--gpus", "a/b", *IMAGE],
        ["-v", *IMAGE],
    ],
    ids=["volume", "podman-arg", "gpus", "verbose"],
)
def test_what_would_undo_the_verdict_is_refused_before_it(site: Path, words: list[str]) -> None:
    """As wrong usage, with a remedy; and so is -v where it was meant for --verbose."""
    ran = imagekit(site, "run", *words)

    assert ran.returncode == 64, ran.stderr
    assert "   = " in ran.stderr


def test_a_dry_run_prints_the_command(site: Path) -> None:
    """One that a shell reads as it was, with the judged digest; nothing is started."""
    (site / "never").unlink(missing_ok=True)
    words = ("run", "--dry-run", "-v", f"{site}:/site", "-e", "A=x y", *IMAGE)

    shown = imagekit(site, *words, "--", "touch /site/never")
    document = json.loads(imagekit(site, *words, "--json", "--", "touch /site/never").stdout)

    assert shown.returncode == 0, shown.stderr
    assert shlex.split(shown.stdout) == document["command"]
    assert document["command"][:2] == ["podman", "run"]
    assert document["digest"] in document["command"][-2]
    assert {"--env=A=x y", f"--volume={site}:/site"} < set(document["command"])
    assert not (site / "never").exists()
