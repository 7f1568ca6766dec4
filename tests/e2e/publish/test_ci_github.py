"""The workflow that imagekit writes: linted by others' linters, and run step by step."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.github_runner import Runner
from tests.support.programs import bench_program
from tests.support.repositories import commit_all, git
from tests.support.servers import RegistryServer

pytestmark = [pytest.mark.real, pytest.mark.slow]

RECIPE = """\
schema: 1
name: {name}
version: {version}
base: {base}
steps:
  - copy: {{from: recipe.yaml, to: /{name}.yaml}}
tags: {{immutable: ["{{version}}"]}}
"""
BASES = {
    "base": "scratch",
    "good": "{recipe: base}",
    "above": "{recipe: good}",
    "lone": "scratch",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME with a key, and a repository of four recipes in three levels."""
    home = tmp_path_factory.mktemp("github")
    (home / "bin").mkdir()
    shim = home / "bin/imagekit"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m imagekit "$@"\n')
    shim.chmod(0o755)
    for name, base in BASES.items():
        _write(home, name, base)
    (home / "repository/imagekit.toml").touch()
    git(home / "repository", "init", "-q", "-b", "main")
    _commit(home)
    subprocess.run(["imagekit", "key", "generate"], cwd=home, env=_env(home), check=True)
    return home


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's registry on loopback."""
    with RegistryServer.docker_registry(tmp_path_factory.mktemp("server")) as server:
        yield server.host


@pytest.fixture(scope="module")
def workflow(home: Path, registry: str) -> str:
    """The workflow, which signs by the key here, as no identity is to be had."""
    words = ["ci", "github", "recipes", "--to", f"{registry}/site"]
    words += [f"--option=--key={home}/imagekit.key"]
    return subprocess.run(
        ["imagekit", *words],
        cwd=home / "repository",
        env=_env(home),
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def _env(home: Path) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    env |= {"HOME": str(home), "IMAGEKIT_KEY_PASSWORD": "x"}
    env["PATH"] = f"{home}/bin{os.pathsep}{env['PATH']}"
    return env | {"PYTHONPATH": os.pathsep.join(sys.path)}


def _write(home: Path, name: str, base: str, *, version: str = "1.0.0") -> None:
    folder = home / "repository/recipes" / name
    folder.mkdir(parents=True, exist_ok=True)
    text = RECIPE.format(name=name, base=base, version=version)
    (folder / "recipe.yaml").write_text(text)


def _commit(home: Path) -> str:
    commit_all(home / "repository", 1_700_000_000)
    return git(home / "repository", "rev-parse", "HEAD").strip()


def _runner(home: Path, workflow: str, work: Path, *, before: str) -> Runner:
    event = "github.event_name == 'push' && github.event.before || inputs.since"
    values = {event: before, "github.actor": "somebody", "secrets.GITHUB_TOKEN": "none"}
    values |= {"github.run_id": "1", "github.ref": "refs/heads/main"}
    return Runner(workflow, home / "repository", work=work, values=values, env=_env(home))


def test_the_workflow_is_what_linters_want(workflow: str, bench: Path, tmp_path: Path) -> None:
    """Actionlint knows the syntax, zizmor what attackers do with workflows."""
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    (folder / "images.yml").write_text(workflow)
    actionlint = [str(bench_program(bench, "actionlint")), str(folder / "images.yml")]
    own = Path(sys.executable).with_name("zizmor")
    zizmor = [str(own), "--offline", "--persona=pedantic", str(folder)]

    for argv in (actionlint, zizmor):
        found = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout + found.stderr


def test_the_workflow_publishes_by_levels_and_then_what_changed(
    home: Path, workflow: str, tmp_path: Path
) -> None:
    """The first push publishes all; the next one a change, and what stands on it."""
    (tmp_path / "first").mkdir()
    first = _runner(home, workflow, tmp_path / "first", before="0" * 40)
    assert first.run() == {
        "plan": ["success"],
        "level-1": ["success", "success"],
        "level-2": ["success"],
        "level-3": ["success"],
        "summary": ["success"],
    }
    assert first.summary.count("| published |") == 4

    before = git(home / "repository", "rev-parse", "HEAD").strip()
    _write(home, "good", BASES["good"], version="1.1.0")
    _write(home, "above", "{recipe: nothing}")
    _commit(home)
    (tmp_path / "second").mkdir()
    broken = _runner(home, workflow, tmp_path / "second", before=before)
    assert broken.run()["plan"] == ["failure"]

    _write(home, "above", BASES["above"], version="1.1.0")
    _write(
        home, "lone", "scratch\nentrypoint: [x]\ntests: [{args: [], stdout: y}]", version="2.0.0"
    )
    _commit(home)
    (tmp_path / "third").mkdir()
    third = _runner(home, workflow, tmp_path / "third", before=before)
    assert third.run() == {
        "plan": ["success"],
        "level-1": ["success", "failure"],
        "level-2": ["success"],
        "level-3": ["skipped"],
        "summary": ["failure"],
    }
    assert third.summary.count("| published |") == 2
    assert third.summary.count("| failed |") == 1
