"""``imagekit sbom`` of one image, wherever other people's programs have put it (5 s)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

RECIPE = """\
schema: 1
name: hello
version: 1.0.0
base: scratch
steps:
  - copy: {from: METADATA, to: /usr/lib/python3/dist-packages/solver-1.0.dist-info/METADATA}
tags: {immutable: ["{version}"]}
"""
METADATA = "Metadata-Version: 2.1\nName: solver\nVersion: 1.0\nLicense: MIT\n\n"
LAYOUT = "oci:images:localhost/hello:1.0.0"
LOADED = "localhost/imagekit-sbom-places:1"
PLACES = {
    "layout": (LAYOUT, ()),
    "docker-archive": ("docker.tar", (f"docker-archive:docker.tar:{LOADED}",)),
    "oci-archive": ("oci.tar", ("oci-archive:oci.tar",)),
    "zstd": ("zstd", ("--dest-compress-format", "zstd", "oci:zstd:hello")),
}
"""What is read, and how skopeo makes it."""


def run(folder: Path, *argv: str) -> str:
    """Run a program and return what it prints."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    outcome = subprocess.run(
        argv,
        cwd=folder,
        env={**env, "HOME": str(folder), "IMAGEKIT_KEY_PASSWORD": "x"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def imagekit(folder: Path, *words: str) -> str:
    """Run imagekit and return what it prints."""
    return run(folder, sys.executable, "-m", "imagekit", *words)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image in a layout, gzip by layer."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "recipe").mkdir()
    (folder / "recipe/recipe.yaml").write_text(RECIPE)
    (folder / "recipe/METADATA").write_text(METADATA)
    imagekit(folder, "key", "generate", "--out", ".")
    imagekit(folder, "publish", "recipe", "--to", "oci:images", "--key", "imagekit.key")
    return folder


@pytest.fixture
def loaded(folder: Path) -> Iterator[str]:
    """The image in Podman's store, as podman load puts it there."""
    run(folder, "skopeo", "copy", LAYOUT, f"docker-archive:load.tar:{LOADED}")
    run(folder, "podman", "load", "--quiet", "--input", "load.tar")
    yield f"containers-storage:{LOADED}"
    run(folder, "podman", "rmi", "--force", LOADED)


@pytest.mark.parametrize("place", PLACES)
def test_an_image_lists_the_same_everywhere(folder: Path, place: str) -> None:
    """Uncompressed, by gzip and by zstd, with the media types of OCI and of Docker."""
    word, copy = PLACES[place]
    if copy:
        run(folder, "skopeo", "copy", *copy[:-1], LAYOUT, copy[-1])

    listed = json.loads(imagekit(folder, "sbom", "show", word, "--json"))["components"]

    assert [(each["name"], each["version"], each["origin"]) for each in listed] == [
        ("solver", "1.0", "recipe")
    ]


def test_podmans_store_is_read(folder: Path, loaded: str) -> None:
    """What ran on this machine is compared with what was published."""
    said = imagekit(folder, "sbom", "diff", LAYOUT, loaded)

    assert said.strip().endswith("nothing changed")
