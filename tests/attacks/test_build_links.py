"""Links that a step leaves where Buildah mounts something for the next one lead nowhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tinyroot import tiny_root

pytestmark = [pytest.mark.real, pytest.mark.slow]

RECIPE = "schema: 1\nname: links\nversion: 1.0.0\n"
LINK = '/usr/bin/perl -e \'$to = shift; for (@ARGV) { rename "/$_", "/.$_"; symlink $to, "/$_" }\''
STEPS = "base: scratch\nsteps:\n  - copy: {from: root, to: /}\n"


def _build(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {"HOME": str(folder), "SOURCE_DATE_EPOCH": "1700000000"}
    return subprocess.run(
        [sys.executable, "-m", "imagekit", "build", folder / "recipe", "--no-cache", *words],
        env=os.environ | env | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """The layer of another image, in the storage that the steps of this one are run in."""
    tiny_root(tmp_path / "recipe/root")
    folder = tmp_path / ".local/share/imagekit/containers/overlay/victim"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.root
@pytest.mark.parametrize(("isolation", "links"), [("chroot", "run etc"), ("oci", "")])
def test_run_of_a_containerfile_writes_into_no_other_layer(
    tmp_path: Path, layer: Path, isolation: str, links: str
) -> None:
    """What is mounted for the second RUN is put on links that the first one made."""
    _link_dev(tmp_path, layer, isolation)
    (tmp_path / "recipe/recipe.yaml").write_text(f"{RECIPE}containerfile: Containerfile\n")
    (tmp_path / "recipe/Containerfile").write_text(
        f"FROM scratch\nCOPY root /\nRUN {LINK} {layer} {links}\nRUN cat /usr/bin/cat > /copy\n"
    )

    said = _build(tmp_path, "--isolation", isolation, "--verbose")

    assert f": RUN {LINK} {layer}" in said.stderr, said.stderr
    assert list(layer.iterdir()) == []


@pytest.mark.parametrize(("isolation", "link"), [("chroot", "run"), ("oci", "")])
def test_step_writes_into_no_other_layer(
    tmp_path: Path, layer: Path, isolation: str, link: str
) -> None:
    """It is refused before anything is mounted."""
    _link_dev(tmp_path, layer, isolation)
    steps = f"  - run: |\n      {LINK} {layer} {link}\n  - run: cat /usr/bin/cat > /copy\n"
    (tmp_path / "recipe/recipe.yaml").write_text(f"{RECIPE}{STEPS}{steps}")

    said = _build(tmp_path, "--isolation", isolation)

    assert said.returncode == 6
    assert "build/mount-is-link" in said.stderr
    assert list(layer.iterdir()) == []


def _link_dev(folder: Path, layer: Path, isolation: str) -> None:
    """Bring a link for /dev: no step makes one where a runtime has mounted there."""
    if isolation == "oci":
        (folder / "recipe/root/dev").symlink_to(layer)
