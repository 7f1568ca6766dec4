"""publish, inspect, verify, pull and run, end to end, wherever images can lie."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import at_home, command, recipe
from tests.support.servers import RegistryServer
from tests.support.tinyroot import tiny_root

pytestmark = [pytest.mark.real, pytest.mark.slow]

BASE = "base: scratch\nsteps: [{copy: {from: root, to: /}}]\n"
RECIPE = """\
schema: 1
name: apps/hello
version: 1.0.0
base: {recipe: base/tiny}
steps:
  - copy: {from: hello, to: /usr/local/bin/hello}
entrypoint: [/usr/local/bin/hello]
tests:
  - args: [world]
    stdout: ^hello world$
tags: {immutable: ["{version}"], moving: [latest]}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME with a recipe on another one, a key and a policy, for all places."""
    home = tmp_path_factory.mktemp("everywhere")
    base = recipe(home / "recipes/base/tiny", "base/tiny", BASE)
    tiny_root(base / "root", ("sh", "cat"))
    (home / "recipes/imagekit.toml").touch()
    (home / "recipes/hello").mkdir()
    (home / "recipes/hello/recipe.yaml").write_text(RECIPE)
    script = home / "recipes/hello/hello"
    script.write_text('#!/bin/sh\necho "hello $1"\nexit "${2:-0}"\n')
    script.chmod(0o755)
    _imagekit(home, "key", "generate")
    return home


@pytest.fixture(scope="module", params=["docker-registry", "referrers", "layout"])
def place(
    request: pytest.FixtureRequest, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """A destination, and what references to its images begin with."""
    folder = tmp_path_factory.mktemp("server")
    if request.param == "layout":
        yield f"oci:{folder}/images", f"oci:{folder}/images:"
        return
    if request.param == "docker-registry":
        server = RegistryServer.docker_registry(folder)
    else:
        program = request.getfixturevalue("bench") / "refregistry"
        server = RegistryServer.refregistry(program, folder)
    with server as registry:
        yield f"{registry.host}/site", f"{registry.host}/site/"


def _imagekit(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words),
        cwd=home,
        env=at_home(home, IMAGEKIT_KEY_PASSWORD="x"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_from_recipe_to_run(home: Path, place: tuple[str, str]) -> None:
    """Each command takes what the one before it gave."""
    destination, prefix = place
    image = f"{prefix}apps/hello:1.0.0"
    glob = "localhost/**" if destination.startswith("oci:") else f"{destination}/**"
    require = ("--require", "cyclonedx,slsaprovenance1")
    policy = _imagekit(home, "policy", "new", "--image", glob, "--key", "imagekit.pub", *require)
    (home / "policy.yaml").write_text(policy.stdout)
    by_policy = ("--policy", "policy.yaml")

    publish = ("publish", "recipes/hello", "--to", destination, "--key", "imagekit.key")
    published = _imagekit(home, *publish)
    again = _imagekit(home, *publish)
    inspected = _imagekit(home, "inspect", image)
    verified = _imagekit(home, "verify", image, *by_policy)
    pulled = _imagekit(home, "pull", image, *by_policy)
    ran = _imagekit(home, "run", image, *by_policy, "--", "you", "7")
    pinned = published.stdout.strip()
    by_digest = _imagekit(home, "run", pinned, *by_policy, "--", "digest")
    denied = _imagekit(home, "run", image, "--policy", str(_other(home, glob)))

    assert published.returncode == 0, published.stderr
    assert again.stdout == published.stdout
    assert "unchanged" in again.stderr
    assert pinned.partition("@")[2] in inspected.stdout
    assert verified.returncode == 0, verified.stdout
    assert pulled.stdout.strip() == pinned, pulled.stderr
    assert (ran.returncode, ran.stdout) == (7, "hello you\n"), ran.stderr
    assert by_digest.stdout == "hello digest\n", by_digest.stderr
    assert denied.returncode == 3
    assert "UNTRUSTED_KEY" in denied.stdout


def _other(home: Path, glob: str) -> Path:
    """Return a policy that trusts another key."""
    folder = home / "other"
    if not folder.is_dir():
        folder.mkdir()
        _imagekit(home, "key", "generate", "--out", "other")
    policy = _imagekit(home, "policy", "new", "--image", glob, "--key", "other/imagekit.pub")
    path = folder / "policy.yaml"
    path.write_text(policy.stdout)
    return path
