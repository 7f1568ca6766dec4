"""Slurm runs a graph of recipes: what stands on a failure is cancelled, all else is published."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.hosts.slurm import Cluster, started
from tests.support.offline_site import PROGRAM, Site

pytestmark = [pytest.mark.real, pytest.mark.slow]

RECIPE = """\
schema: 1
name: {name}
version: 1.0.0
base: {base}
steps:
  - {step}
tags: {{immutable: ["{{version}}"]}}
"""
BASES = {
    "base": "",
    **dict.fromkeys(("a1", "a2", "a3", "bad"), "base"),
    "b1": "a1",
    "b2": "a1",
    "b3": "a2",
    "c1": "bad",
    "c2": "c1",
    "d1": "b1",
    "lone": "",
}
"""Twelve recipes, and what each stands on."""
FAILS = "run: [/usr/bin/hello, --nonsense]"
_SECONDS = 300.0


@pytest.fixture(scope="module")
def cluster(
    site: Site,
    project: Path,
    program: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """A cluster of two nodes."""
    with started(project, site, tmp_path_factory.mktemp("g"), program, nodes=2) as made:
        yield made


def test_slurm_runs_a_graph_of_which_one_fails(cluster: Cluster, site: Site) -> None:
    """Twelve recipes in five levels; the table has all of them."""
    for name, base in BASES.items():
        folder = site.home / "graph" / name
        folder.mkdir(parents=True)
        step = FAILS if name == "bad" else "copy: {from: hello, to: /usr/bin/hello}"
        below = f"{{recipe: {base}}}" if base else "scratch"
        (folder / "recipe.yaml").write_text(RECIPE.format(name=name, base=below, step=step))
        shutil.copy(PROGRAM, folder / "hello")
    (site.home / "graph/imagekit.toml").touch()
    host = site.image.partition("/")[0]
    words = ["ci", "slurm", "graph", "--to", f"{host}/graph", "--option=--key=imagekit.key"]
    env = [f"HOME={site.home}", "IMAGEKIT_KEY_PASSWORD=x"]

    code, told = cluster.said(
        *("env", "--chdir", str(site.home), *env, "/usr/local/bin/imagekit", *words)
    )

    assert code == 0, told
    summary = site.home / "imagekit-slurm/summary.txt"
    end = time.monotonic() + _SECONDS
    while not summary.exists():
        assert time.monotonic() < end, cluster.said("squeue")[1]
        time.sleep(0.5)
    lines = [line.split() for line in summary.read_text().splitlines()]
    failed = [line for line in lines[:-1] if line[0] != "published"]
    assert [line[:2] for line in failed] == [
        ["failed", "bad"],
        ["skipped", "c1"],
        ["skipped", "c2"],
    ]
    assert " ".join(lines[-1]) == "9 published, 1 failed, 2 skipped"
    # Nothing waits for what never comes, and what is ending has ended before the cluster does.
    while cluster.said("squeue", "--noheader")[1].strip():
        assert time.monotonic() < end, cluster.said("squeue")[1]
        time.sleep(0.5)
