"""Slurm's own daemons let no container start without a good receipt."""

import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.hosts.daemons import Daemon, environment, said
from tests.support.offline_site import Site
from tests.support.servers import free_port

pytestmark = [pytest.mark.real, pytest.mark.slow]

SLURM = """\
ClusterName=t
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/c.pid
SlurmdPidFile={folder}/d.pid
SlurmctldLogFile={folder}/c.log
SlurmdLogFile={folder}/d.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
MailProg=/bin/true
JobSubmitPlugins=lua
Prolog=/usr/local/sbin/imagekit-prolog
PrologFlags=Alloc
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=p Nodes=ALL Default=YES State=UP
"""
# Nothing of this machine is changed: the files lie where the page says in a mount namespace only.
WORLD = """\
set -eu
mkdir -p {folder}/over
mount -t tmpfs tmpfs {folder}/over
for part in etc run srv usr/local; do
  mkdir -p {folder}/over/$part/upper {folder}/over/$part/work
  more=lowerdir=/$part,upperdir={folder}/over/$part/upper,workdir={folder}/over/$part/work
  mount -t overlay overlay -o $more /$part
done
cp -a {folder}/files/. /
mkdir -p /srv/images
mount --bind {images} /srv/images
touch {folder}/ready
exec sleep infinity
"""


class Cluster:
    """A cluster of this machine."""

    def __init__(self, folder: Path, world: Daemon) -> None:
        """Keep where its files are."""
        self.folder = folder
        self.inside = ["nsenter", f"--mount=/proc/{world.process.pid}/ns/mnt", "--"]
        self.env = environment()

    def said(self, *words: str) -> tuple[int, str]:
        """Run a program where the cluster's files are."""
        return said([*self.inside, *words], env=self.env)

    def srun(self, container: str, *words: str) -> tuple[int, str]:
        """Run a job in a container."""
        return self.said(
            "timeout", "90", "srun", f"--container={container}", "/usr/bin/hello", *words
        )

    def batch(self, script: str) -> str:
        """Run a batch job to its end, and return what it wrote."""
        file = self.folder / "job.sh"
        file.write_text(f"#!/bin/sh\n{script}\n")
        out = self.folder / "job.out"
        code, told = self.said("timeout", "120", "sbatch", "--wait", "-o", str(out), str(file))
        assert out.exists(), (code, told)
        return out.read_text()

    def node_state(self) -> str:
        """Return whether the node is there."""
        return self.said("sinfo", "-h", "-o", "%T")[1].strip()


def _install(project: Path, folder: Path, site: Site) -> None:
    """Lay the scripts and the page's oci.conf, as they stand there, where the page says."""
    etc, local = folder / "files/etc", folder / "files/usr/local"
    for each in (etc / "slurm", etc / "imagekit", local / "sbin", local / "bin"):
        each.mkdir(parents=True)
    page = (project / "docs/offline.md").read_text(encoding="utf-8")
    (oci,) = re.findall(r"^```\n(RunTimeRun=.*?)^```", page, re.MULTILINE | re.DOTALL)
    (etc / "slurm/oci.conf").write_text(oci)
    shutil.copy(project / "scripts/slurm/job_submit.lua", etc / "slurm")
    for name in ("imagekit-prolog", "imagekit-runtime"):
        shutil.copy(project / "scripts/slurm" / name, local / "sbin")
    shutil.copy(site.home / "nodes.yaml", etc / "imagekit")
    shutil.copytree(site.home / "staging", etc / "imagekit/staging")
    shim, path = local / "bin/imagekit", os.pathsep.join(sys.path)
    shim.write_text(f'#!/bin/sh\nPYTHONPATH="{path}" exec "{sys.executable}" -m imagekit "$@"\n')
    shim.chmod(0o755)


@pytest.fixture(scope="module")
def cluster(
    site: Site,
    project: Path,
    program: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """Munge, the controller and one node's daemon."""
    munged, controller, node = (program(x) for x in ("munged", "slurmctld", "slurmd"))
    program("runc")
    folder = tmp_path_factory.mktemp("s")
    for name in ("state", "spool", "images"):
        (folder / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    ports = {"controller": free_port(), "node": free_port()}
    _install(project, folder, site)
    settings = SLURM.format(folder=folder, host=host, **ports)
    (folder / "files/etc/slurm/slurm.conf").write_text(settings)
    site.stage(f"bundle:{folder}/images/hello")
    (folder / "key").write_bytes(os.urandom(64))
    (folder / "key").chmod(0o400)
    munge = [munged, "-F", "--force", f"--socket={folder}/munge.sock", f"--key-file={folder}/key"]
    munge += [f"--pid-file={folder}/m.pid", f"--seed-file={folder}/seed"]
    munge += [f"--log-file={folder}/m.log"]
    world = WORLD.format(folder=folder, images=folder / "images")
    apart = ["unshare", "--mount", "--propagation", "private", "sh", "-c", world]
    with ExitStack() as running:
        outer = running.enter_context(Daemon(apart, folder / "w.out"))
        outer.wait_for(folder / "ready")
        made = Cluster(folder, outer)
        first = running.enter_context(Daemon(munge, folder / "m.out"))
        first.wait_for(folder / "munge.sock")
        running.enter_context(Daemon([*made.inside, controller, "-D"], folder / "c.out"))
        slurmd = [*made.inside, node, "-D", "-N", host]
        running.enter_context(Daemon(slurmd, folder / "d.out"))
        end = time.monotonic() + 60
        while made.node_state() != "idle":
            assert time.monotonic() < end, (folder / "c.log").read_text()[-2000:]
            time.sleep(0.5)
        yield made


BUNDLE = "/srv/images/hello"


@pytest.fixture
def own(cluster: Cluster) -> Iterator[str]:
    """A user's copy of a staged bundle, where the site's are: without a receipt."""
    folder = cluster.folder / "images/own"
    shutil.copytree(cluster.folder / "images/hello", folder, symlinks=True)
    yield "/srv/images/own"
    shutil.rmtree(folder)


def test_a_staged_image_runs(cluster: Cluster) -> None:
    """With the job's own arguments."""
    code, out = cluster.srun(BUNDLE, "--version")

    assert (code, "ldconfig (" in out) == (0, True), out


@pytest.mark.parametrize(
    "path", ["/etc", "/srv/images/none", "/srv/images/../x", "/srv/images/a b"]
)
def test_what_is_not_staged_is_refused_at_once(cluster: Cluster, path: str) -> None:
    """By job_submit, which tells the user why."""
    code, out = cluster.srun(path)

    assert code != 0
    assert "imagekit: the job's container is refused" in out


def test_a_job_without_a_receipt_is_cancelled_and_the_node_stays(
    cluster: Cluster, own: str
) -> None:
    """A prolog that failed would take the node away."""
    code, out = cluster.srun(own, "--version")

    assert code != 0
    assert "ldconfig (" not in out
    assert cluster.node_state() in {"idle", "completing"}


def test_a_step_without_a_receipt_does_not_start(cluster: Cluster, own: str) -> None:
    """Steps have containers of their own, which the prolog does not see."""
    out = cluster.batch(
        f"srun --container={own} /usr/bin/hello --version\n"
        f"srun --container={BUNDLE} /usr/bin/hello --version"
    )

    assert "NO_RECEIPT" in out
    assert out.count("ldconfig (") == 1


def test_an_altered_image_does_not_run(cluster: Cluster) -> None:
    """Until it is as it was staged."""
    more = cluster.folder / "images/hello/rootfs/more"
    more.write_text("x")

    altered = cluster.srun(BUNDLE, "--version")[1]
    more.unlink()

    assert "ldconfig (" not in altered
    assert cluster.srun(BUNDLE, "--version")[0] == 0


NEEDY = """\
schema: 1
name: apps/needy
version: 1.0.0
base: scratch
steps:
  - copy: {from: hello, to: /usr/bin/hello}
needs: NEEDS
tags: {immutable: ["{version}"]}
"""


def _published(site: Site, needs: str, version: str) -> str:
    """Publish an image that says what it needs, and return its name."""
    folder = site.home / "recipes/needy"
    folder.mkdir(exist_ok=True)
    text = NEEDY.replace("NEEDS", needs).replace("1.0.0", version)
    (folder / "recipe.yaml").write_text(text)
    shutil.copy("/sbin/ldconfig", folder / "hello")
    host = site.image.partition("/")[0]
    site.done("publish", "recipes/needy", "--to", f"{host}/site", "--key", "imagekit.key")
    return f"{host}/site/apps/needy:{version}"


def _after_prolog(cluster: Cluster, site: Site, project: Path, comment: str) -> str:
    """Return what Slurm says of a job that waits, after the prolog for it."""
    for name in ("policy.yaml", "imagekit.pub"):
        cluster.said("cp", str(site.home / name), "/etc/imagekit/")
    code, told = cluster.said("sbatch", "--hold", f"--comment={comment}", "--wrap=true")
    job = told.split()[-1]
    assert code == 0, told
    script = str(project / "scripts/slurm/imagekit-prolog-needs")
    code, told = cluster.said("env", f"SLURM_JOB_ID={job}", script)
    assert code == 0, told
    shown = cluster.said("scontrol", "--oneliner", "show", "job", job)[1]
    cluster.said("scancel", job)
    return shown


def test_a_job_is_cancelled_where_the_node_lacks_what_its_image_needs(
    cluster: Cluster, site: Site, project: Path
) -> None:
    """The user reads why in the job's record."""
    image = _published(site, '{cuda: "99.1"}', "1.0.0")

    shown = _after_prolog(cluster, site, project, f"image:{image}")

    assert "JobState=CANCELLED" in shown
    assert "the image needs CUDA 99.1" in shown


def test_a_job_waits_on_where_the_node_has_everything(
    cluster: Cluster, site: Site, project: Path
) -> None:
    """Also one that names no image."""
    image = _published(site, "{}", "1.0.1")

    for comment in (f"image:{image}", "something else"):
        assert "JobState=PENDING" in _after_prolog(cluster, site, project, comment)


@pytest.mark.parametrize("image", ["$(id)", "-h", "127.0.0.1:1/site/apps/none:1"])
def test_a_job_is_cancelled_where_there_is_no_verdict(
    cluster: Cluster, site: Site, project: Path, image: str
) -> None:
    """What is no name is given to no program, and silence of a registry is no consent."""
    assert "JobState=CANCELLED" in _after_prolog(cluster, site, project, f"image:{image}")
