"""Many recipes at once: one run of two jobs, and two runs at the same time, with real builds."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import RegistryServer
from tests.support.shellbase import shell_base

pytestmark = [pytest.mark.real, pytest.mark.slow]

RECIPE = """\
schema: 1
name: {name}
version: 1.0.0
base: {base}
steps:
  - run: "{run}"
tags: {{immutable: ["{{version}}"]}}
"""
MARK = "the step of the base runs"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME with a key and recipes: one base, two good ones, a bad one and one on that."""
    home = tmp_path_factory.mktemp("graph")
    image = shell_base(home / "image")
    for name, base, run in (
        ("base", f"{{image: '{image}'}}", f"echo {MARK}; echo made > /made"),
        ("bad", "{recipe: base}", "exit 3"),
        ("above", "{recipe: bad}", "true"),
        ("good", "{recipe: base}", "cat /made > /good"),
        ("more", "{recipe: base}", "cat /made > /more"),
    ):
        folder = home / "recipes" / name
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text(RECIPE.format(name=name, base=base, run=run))
    (home / "recipes/imagekit.toml").touch()
    _run(home, "key", "generate")
    return home


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's registry on loopback."""
    with RegistryServer.docker_registry(tmp_path_factory.mktemp("server")) as server:
        yield server.host


def _start(home: Path, *words: str) -> "subprocess.Popen[str]":
    env = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    env |= {"HOME": str(home), "IMAGEKIT_KEY_PASSWORD": "x"}
    env |= {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-m", "imagekit", *words],
        cwd=home,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    with _start(home, *words) as process:
        out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def _publish(home: Path, registry: str, *words: str) -> tuple[int, dict[str, Any], str]:
    to = ("--to", f"{registry}/graph", "--key", "imagekit.key", "--json", "--jobs", "2")
    ran = _run(home, "publish", *words, *to)
    return ran.returncode, json.loads(ran.stdout), ran.stderr


def _statuses(document: Mapping[str, Any]) -> dict[str, str]:
    return {one["name"]: one["status"] for one in document["published"]}


def _times_the_base_was_built(home: Path) -> int:
    logs = (home / ".local/state/imagekit/logs").glob("*.log")
    lines = (line for log in logs for line in log.read_text().splitlines())
    return sum(line == MARK for line in lines)


def test_a_graph_is_published_around_what_fails(home: Path, registry: str) -> None:
    """One fails, what stands on it is skipped, the others are there; nothing is done twice."""
    code, document, told = _publish(home, registry, "recipes")

    assert code == document["exit_code"] == 6
    assert _statuses(document) == {
        "above": "skipped",
        "bad": "failed",
        "base": "published",
        "good": "published",
        "more": "published",
    }, told
    above, bad, *_ = document["published"]
    assert above["because"] == ["bad"]
    assert bad["error"]["code"] == document["error"]["code"] == "build/step-failed"
    assert _times_the_base_was_built(home) == 1
    assert "good:  ✓ steps" in told

    code, document, told = _publish(home, registry, "recipes/good", "recipes/more", "--with-bases")
    assert code == 0
    assert set(_statuses(document).values()) == {"unchanged"}, told


def test_two_publishers_at_once_build_a_base_once(home: Path, registry: str) -> None:
    """The second waits for the layer of the first, and takes it."""
    slow = home / "recipes/slow"
    slow.mkdir()
    image = shell_base(home / "image")
    text = RECIPE.format(
        name="slow", base=f"{{image: '{image}'}}", run=f"echo {MARK}; cat > /x; echo slow > /slow"
    )
    # Long enough for the other one to come meanwhile; the base has no sleep(1).
    loop = "i=0; while [ $i -lt 600000 ]; do i=$((i+1)); done"
    (slow / "recipe.yaml").write_text(text.replace("cat > /x", loop))
    for name in ("left", "right"):
        (home / "recipes" / name).mkdir()
        file = home / "recipes" / name / "recipe.yaml"
        file.write_text(RECIPE.format(name=name, base="{recipe: slow}", run="true"))
    before = _times_the_base_was_built(home)

    with ThreadPoolExecutor(2) as threads:
        ran = list(
            threads.map(lambda name: _publish(home, registry, f"recipes/{name}"), ("left", "right"))
        )

    assert [code for code, *_ in ran] == [0, 0], ran
    assert _times_the_base_was_built(home) == before + 1


def test_ctrl_c_ends_all_and_leaves_nothing(home: Path, registry: str) -> None:
    """Workers, working containers and folders of jobs are gone, and the document says so."""
    for name in ("endless", "forever"):
        (home / "recipes" / name).mkdir()
        run = f"echo {name} begins in {home}; while true; do true; done"
        file = home / "recipes" / name / "recipe.yaml"
        file.write_text(RECIPE.format(name=name, base="{recipe: base}", run=run))
    to = ("--to", f"{registry}/graph", "--key", "imagekit.key", "--json", "--jobs", "2", "-v")
    names = ("recipes/endless", "recipes/forever", "recipes/base")

    with _start(home, "publish", *names, *to) as process:
        begun = set[str]()
        assert process.stderr is not None
        for line in process.stderr:
            begun |= {name for name in ("endless", "forever") if f"{name} begins" in line}
            if len(begun) == 2:
                break
        process.send_signal(2)
        out, err = process.communicate(timeout=120)

    document = json.loads(out)
    assert process.returncode == 130, err
    statuses = _statuses(document)
    assert statuses.pop("base") in {"published", "unchanged"}
    assert statuses == {"endless": "interrupted", "forever": "interrupted"}
    assert "interrupted: nothing was left half done" in err
    data = home / ".local/share/imagekit"
    assert list(data.glob("work/job-*")) == []
    assert list(data.glob("locks/layer-*")) == []
    left = subprocess.run(["pgrep", "-f", str(home)], capture_output=True, text=True, check=False)
    assert left.stdout == ""
