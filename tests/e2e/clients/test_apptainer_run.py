"""Apptainer's own program runs, as an ordinary user, what ``imagekit run`` verified."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.command import imagekit, tiny_recipe
from tests.support.container_probe import PROBE, documented, seen
from tests.support.offline_site import NODES
from tests.support.outcomes import USER, noted
from tests.support.programs import bench_program
from tests.support.servers import RegistryServer

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.root]

UID = 65534
# The user's own /dev/fuse, as hosts for users have it, whatever this host has.
APPTAINER = """\
#!/bin/sh
BENCH_SHARE="{folder}" exec "{enter}" sh -ec '
  mknod -m 666 /tmp/fuse c 10 229
  mount --bind /tmp/fuse /dev/fuse
  exec setpriv --reuid={uid} --regid={uid} --clear-groups env HOME={folder}/home "$@"
' sh apptainer "$@"
"""
# Of the administrator who stages.
ROOTS = """\
#!/bin/sh
BENCH_SHARE="{folder}" exec "{enter}" env HOME={folder} apptainer "$@"
"""


@dataclass(frozen=True)
class Site:
    """A folder with keys and a policy, a signed image in a registry, and Apptainer."""

    folder: Path
    image: str

    def run(self, *words: str, **env: str) -> CompletedProcess[str]:
        """Run by Apptainer what the policy allows."""
        run = ("run", self.image, "--engine", "apptainer", "--policy", "p.yaml", *words)
        return self.imagekit(*run, **env)

    def imagekit(self, *words: str, programs: str = "bin", **env: str) -> CompletedProcess[str]:
        """Run imagekit, which finds the user's Apptainer or, among other programs, root's."""
        path = f"{self.folder}/{programs}:{os.environ['PATH']}"
        own = {"PATH": path, "APPTAINER_CACHEDIR": f"{self.folder}/home/cache"}
        return imagekit(self.folder, *words, **own, **env)


@pytest.fixture(scope="module")
def site(bench: Path) -> Iterator[Site]:
    """A site whose registry answers."""
    enter = bench_program(bench, "enter-sid", part="clients-sid")
    folder = Path(tempfile.mkdtemp(prefix="ik-", dir="/tmp"))
    folder.chmod(0o755)
    for name in ("registry", "bin", "sbin", "home"):
        (folder / name).mkdir()
    (folder / "home").chmod(0o777)
    program = folder / "bin/apptainer"
    program.write_text(APPTAINER.format(folder=folder, enter=enter, uid=UID))
    roots = folder / "sbin/apptainer"
    roots.write_text(ROOTS.format(folder=folder, enter=enter))
    for each in (program, roots):
        each.chmod(0o755)
    with (tiny_recipe(folder / "tiny") / "recipe.yaml").open("a") as file:
        file.write("entrypoint: [/usr/bin/perl, -e]\n")
    try:
        with RegistryServer.docker_registry(folder / "registry") as server:
            assert imagekit(folder, "key", "generate").returncode == 0
            to = ("--to", f"{server.host}/site", "--key", "imagekit.key", "--no-test")
            made = imagekit(folder, "publish", "tiny", *to)
            assert made.returncode == 0, made.stderr
            new = imagekit(folder, "policy", "new", "--image", "**", "--key", "imagekit.pub")
            (folder / "p.yaml").write_text(new.stdout)
            yield Site(folder, f"{server.host}/site/tiny:1.0.0")
    finally:
        shutil.rmtree(folder)


def test_a_container_of_apptainer_sees_what_the_page_says(site: Site, project: Path) -> None:
    """Nothing of the caller's environment, whose variables would be options of Apptainer."""
    hostile = {
        "APPTAINER_BIND": "/etc:/srv",
        "SINGULARITYENV_EVIL": "1",
        "FOO": "bar",
        "TERM": "xterm",
    }

    ran = site.run("--", PROBE, **hostile)

    assert ran.returncode == 0, ran.stderr
    found, page = seen(ran.stdout), documented(project, engine="Apptainer")
    names = found["environment"].split()
    its_own = ("APPTAINER_", "SINGULARITY_")
    found["environment"] = " ".join(name for name in names if not name.startswith(its_own))
    assert found.pop("user and group") == f"{UID}:{UID}"
    assert page.pop("user and group") == "yours"
    # Limits are the caller's own, whatever those are.
    del found["limits"], page["limits"]
    assert found == page
    noted("imagekit run --engine apptainer, from a registry", USER, "runs, as docs/run.md says")


def test_the_options_are_the_containers(site: Site) -> None:
    """Each in Podman's words."""
    (site.folder / "in").write_text("7 ranks")
    script = 'open F, "<", "in"; print <F>, ", $ENV{A}"; open(F, ">", "in") and die; exit 5'

    ran = site.run(
        *("-v", f"{site.folder}:/data:ro", "-w", "/data", "-e", 'A=x,y="1"'),
        *("--entrypoint", "/usr/bin/perl", "--", "-e", script),
    )

    assert (ran.returncode, ran.stdout) == (5, '7 ranks, x,y="1"'), ran.stderr


def test_what_the_policy_refuses_is_not_started(site: Site) -> None:
    """It is asked first."""
    other = imagekit(site.folder, "key", "generate", "--out", "other")
    assert other.returncode == 0
    key = ("--key", "other/imagekit.pub")
    new = imagekit(site.folder, "policy", "new", "--image", "**", *key)
    (site.folder / "other.yaml").write_text(new.stdout)

    ran = site.run("--policy", "other.yaml", "--", "print 'ran'")

    assert (ran.returncode, "ran" in ran.stdout) == (3, False)


def test_a_staged_file_of_apptainers_runs_by_its_receipt(site: Site) -> None:
    """Which root's Apptainer made of what was verified; one byte more, and it does not start."""
    assert imagekit(site.folder, "key", "generate", "--out", "staging").returncode == 0
    (site.folder / "nodes.yaml").write_text(NODES.replace("GLOB", "**"))
    for name in ("srv", "tmp"):
        (site.folder / name).mkdir()
    by = ("--policy", "p.yaml", "--key", "staging/imagekit.key", "--to", "sif:srv/tiny.sif")
    # Its world has a /tmp of its own.
    seen_by_it = {"TMPDIR": f"{site.folder}/tmp", "programs": "sbin"}
    staged = site.imagekit("stage", site.image, *by, **seen_by_it)
    assert staged.returncode == 0, staged.stderr
    run = ("run", "--staged", "srv/tiny.sif", "--engine", "apptainer", "--policy", "nodes.yaml")

    ran = site.imagekit(*run, "--", "print $<")
    with (site.folder / "srv/tiny.sif").open("ab") as file:
        file.write(b"x")
    altered = site.imagekit(*run, "--", "print $<")

    assert (ran.returncode, ran.stdout) == (0, str(UID)), ran.stderr
    assert (altered.returncode, str(UID) in altered.stdout) == (3, False)
    noted("imagekit run --staged --engine apptainer, sif", USER, "receipt good; runs as oneself")
