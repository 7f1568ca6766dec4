"""docs/slurm.md runs as it stands there: MPI under srun, for an ordinary user, on two nodes."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.hosts.slurm import Cluster, started
from tests.support.offline_site import Site
from tests.support.outcomes import USER, noted
from tests.support.users import OrdinaryUser, ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow]

_RECIPES = ("hello-mpi", "hello-mpich")
_TWO = "sum of ranks is 1"


@dataclass(frozen=True)
class Job:
    """A user of a cluster, and what a registry calls the image."""

    cluster: Cluster
    user: OrdinaryUser
    registry: str

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run commands where the cluster's files are, as the user."""
        who = ["setpriv", f"--reuid={self.user.uid}", f"--regid={self.user.gid}", "--clear-groups"]
        own = {"HOME": str(self.user.home), "USER": self.user.name, "LANG": "C.UTF-8"}
        own |= {"PATH": f"/usr/local/bin:{os.environ['PATH']}"}
        return subprocess.run(
            [*self.cluster.inside, *who, "bash", "-euc", f"cd {self.user.home}\n{script}"],
            env=own,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that users come through, as they do not come through those of pytest."""
    with tempfile.TemporaryDirectory(prefix="ik-mpi-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def job(
    site: Site,
    project: Path,
    program: Callable[[str], str],
    open_folder: Path,
) -> Iterator[Job]:
    """Both images, published and staged for two nodes; the user has subordinate ids."""
    for name in ("squashfuse", "crun", "runc", "mksquashfs"):
        program(name)
    images = open_folder / "images"
    images.mkdir()
    shutil.copytree(project / "recipes", site.home / "mpi")
    host = site.image.partition("/")[0]
    for name in _RECIPES:
        key = ("--key", "imagekit.key", "--no-test")
        site.done("publish", f"mpi/{name}", "--to", f"{host}/site", *key)
        _stage(site, f"{host}/site/{name}", str(images))
    _stage(site, f"{host}/site/hello-mpi", f"bundle:{images}/hello-mpi")
    # The user first: the cluster's /etc is made of the host's.
    with (
        ordinary_user(f"ik-mpi-{os.getpid()}") as user,
        started(project, site, open_folder, program, nodes=2) as cluster,
    ):
        _equip(cluster, user, site)
        yield Job(cluster, user, f"{host}/site")


def _stage(site: Site, image: str, to: str) -> None:
    keys = ("--policy", "policy.yaml", "--key", "staging/imagekit.key")
    site.done("stage", f"{image}:latest", *keys, "--to", to)


def _equip(cluster: Cluster, user: OrdinaryUser, site: Site) -> None:
    """Give nodes and user imagekit and the policies."""
    for name in ("policy.yaml", "imagekit.pub"):
        shutil.copy(site.home / name, user.home)
    user.give(user.home)
    shim = cluster.folder / "imagekit"
    shim.write_text(
        f'#!/bin/sh\nPYTHONPATH="{user.packages}" exec /usr/bin/python3 -P -m imagekit "$@"\n'
    )
    shim.chmod(0o755)
    cluster.said("cp", str(shim), "/usr/local/bin/imagekit")


def _blocks(project: Path) -> list[str]:
    text = (project / "docs/slurm.md").read_text(encoding="utf-8")
    return re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def _commands(job: Job, block: str) -> list[str]:
    lines = (line.removeprefix("$ ") for line in block.splitlines())
    return [line.replace("registry.example.org", job.registry) for line in lines if line.strip()]


def test_every_setup_of_the_page_has_two_ranks(job: Job, project: Path) -> None:
    """Staged and of the registry, on one node and between two, by srun, sbatch and --container."""
    wired, registry, _, alone, container = _blocks(project)
    for block in (wired, registry, alone, container):
        for command in _commands(job, block):
            ran = job.run(command)
            said = ran.stdout + ran.stderr
            assert ran.returncode == 0, f"{command}\n{said}"
            if "sbatch" not in command:
                assert _TWO in said, f"{command}\n{said}"
    seen = "two ranks find each other"
    for how in ("srun pmix", "srun pmi2"):
        noted(f"slurm: {how} with staged squashfs", USER, seen)
    noted("slurm: srun pmix with Podman", USER, seen)
    noted("slurm: sbatch with mpirun in one task", USER, seen)
    noted("slurm: --container with oci.conf", USER, f"{seen} in one task")


def test_ranks_meet_where_slurm_is_told_to_keep_their_folder(job: Job, project: Path) -> None:
    """Else that of TmpFS is none that the container has, where it is not below /tmp."""
    (command,) = _commands(job, _blocks(project)[1])
    own = f"{job.user.home}/steps"

    ran = job.run(f"mkdir {own}; export SLURM_PMIX_TMPDIR={own}; {command}")

    assert _TWO in ran.stdout, ran.stdout + ran.stderr


def test_what_would_be_silently_wrong_is_refused(job: Job, project: Path) -> None:
    """Before anything is computed, naming both sides."""
    _, _, refused, _, _ = _blocks(project)
    for command in _commands(job, refused):
        bare = command.removeprefix("! ")
        ran = job.run(bare)
        said = ran.stdout + ran.stderr
        assert ran.returncode != 0, f"{bare}\n{said}"
        assert "the launcher offers" in said, said
        assert "the image's MPI is" in said or "neither pmix nor pmi2" in said, said
        assert "hello from rank" not in said, f"{shlex.split(bare)}\n{said}"


def test_nothing_of_a_job_is_left(job: Job) -> None:
    """No process, mount or folder of it, also where it is cancelled."""
    image = "--staged /srv/images/hello-mpi.sqsh --policy /etc/imagekit/nodes.yaml"
    waits = f"imagekit run {image} --entrypoint sleep -- 1000"
    job.run(f"sbatch -o x.out --wrap '{waits}' > id")
    _awaited(job, lambda seen: "sleep 1000" in seen)

    job.run("scancel $(sed 's/.* //' id)")

    # What ignores SIGTERM, as the first process of a container does, gets SIGKILL after KillWait.
    _awaited(job, lambda seen: not seen)


def _awaited(job: Job, seems_right: Callable[[str], bool], *, seconds: float = 60.0) -> None:
    """Wait until the user's processes of containers are what is wanted."""
    ends = time.monotonic() + seconds
    while not seems_right(seen := _processes(job)):
        assert time.monotonic() < ends, seen
        time.sleep(1)


def _processes(job: Job) -> str:
    return job.run("pgrep -u $(id -u) -a 'squashfuse|crun|sleep' || :").stdout
