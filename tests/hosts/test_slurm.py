"""Slurm's own daemons let no container start without a good receipt."""

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hosts.daemons import Daemon, environment, said
from tests.offline_site import Site
from tests.servers import free_port

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
Prolog={folder}/imagekit-prolog
PrologFlags=Alloc
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=p Nodes=ALL Default=YES State=UP
"""
OCI = """\
RunTimeRun="{folder}/imagekit-runtime %b %n.%u.%j.%s.%t"
RunTimeQuery="runc --root {folder}/runc state %n.%u.%j.%s.%t"
RunTimeKill="runc --root {folder}/runc kill -a %n.%u.%j.%s.%t"
RunTimeDelete="runc --root {folder}/runc delete --force %n.%u.%j.%s.%t"
"""


class Cluster:
    """A cluster of this machine."""

    def __init__(self, folder: Path) -> None:
        """Keep where its configuration is."""
        self.folder = folder
        self.env = environment(SLURM_CONF=f"{folder}/slurm.conf")

    def srun(self, container: Path | str, *words: str) -> tuple[int, str]:
        """Run a job in a container."""
        argv = ["timeout", "90", "srun", f"--container={container}", "/usr/bin/hello", *words]
        return said(argv, env=self.env)

    def batch(self, script: str) -> str:
        """Run a batch job to its end, and return what it wrote."""
        file = self.folder / "job.sh"
        file.write_text(f"#!/bin/sh\n{script}\n")
        out = self.folder / "job.out"
        code, told = said(
            ["timeout", "120", "sbatch", "--wait", "-o", str(out), str(file)], env=self.env
        )
        assert out.exists(), (code, told)
        return out.read_text()

    def node_state(self) -> str:
        """Return whether the node is there."""
        return said(["sinfo", "-h", "-o", "%T"], env=self.env)[1].strip()


def _install(project: Path, folder: Path, site: Site) -> None:
    """Copy the scripts, told where this site's files are."""
    (folder / "bin").mkdir()
    shim = folder / "bin/imagekit"
    path = os.pathsep.join(sys.path)
    shim.write_text(f'#!/bin/sh\nPYTHONPATH="{path}" exec "{sys.executable}" -m imagekit "$@"\n')
    shim.chmod(0o755)
    for name in ("imagekit-prolog", "imagekit-runtime"):
        text = (project / "scripts/slurm" / name).read_text()
        assert "policy=/etc/imagekit/nodes.yaml" in text
        text = text.replace(
            "policy=/etc/imagekit/nodes.yaml",
            f"policy={site.home}/nodes.yaml SLURM_CONF={folder}/slurm.conf; export SLURM_CONF\n"
            f"PATH={folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        text = text.replace("PATH=/usr/local/sbin:", f"PATH={folder}/bin:/usr/local/sbin:")
        text = text.replace('"/run/user/$(id -u)/imagekit-runc"', f"{folder}/runc")
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    lua = (project / "scripts/slurm/job_submit.lua").read_text()
    assert '"^/srv/images/"' in lua
    (folder / "job_submit.lua").write_text(
        lua.replace("^/srv/images/", f"^{site.home}/".replace("-", "%-"))
    )


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
    for name in ("state", "spool", "runc"):
        (folder / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    ports = {"controller": free_port(), "node": free_port()}
    (folder / "slurm.conf").write_text(SLURM.format(folder=folder, host=host, **ports))
    (folder / "oci.conf").write_text(OCI.format(folder=folder))
    _install(project, folder, site)
    (folder / "key").write_bytes(os.urandom(64))
    (folder / "key").chmod(0o400)
    munge = [munged, "-F", "--force", f"--socket={folder}/munge.sock", f"--key-file={folder}/key"]
    munge += [f"--pid-file={folder}/m.pid", f"--seed-file={folder}/seed"]
    munge += [f"--log-file={folder}/m.log"]
    made = Cluster(folder)
    with ExitStack() as running:
        first = running.enter_context(Daemon(munge, folder / "m.out"))
        first.wait_for(folder / "munge.sock")
        running.enter_context(Daemon([controller, "-D"], folder / "c.out", env=made.env))
        running.enter_context(Daemon([node, "-D", "-N", host], folder / "d.out", env=made.env))
        end = time.monotonic() + 60
        while made.node_state() != "idle":
            assert time.monotonic() < end, (folder / "c.log").read_text()[-2000:]
            time.sleep(0.5)
        (site.home / "srv-slurm").mkdir()
        site.stage("bundle:srv-slurm/hello")
        yield made


@pytest.fixture(scope="module")
def bundle(site: Site, cluster: Cluster) -> Path:
    """What is staged."""
    del cluster
    return site.home / "srv-slurm/hello"


@pytest.fixture
def own(site: Site, bundle: Path) -> Iterator[Path]:
    """A user's copy of a staged bundle, where the site's are: without a receipt."""
    folder = site.home / "own"
    shutil.copytree(bundle, folder, symlinks=True)
    yield folder
    shutil.rmtree(folder)


def test_a_staged_image_runs(cluster: Cluster, bundle: Path) -> None:
    """With the job's own arguments."""
    code, out = cluster.srun(bundle, "--version")

    assert (code, "ldconfig (" in out) == (0, True), out


@pytest.mark.parametrize("path", ["/etc", "{home}/none", "{home}/../x", "{home}/a b"])
def test_what_is_not_staged_is_refused_at_once(cluster: Cluster, site: Site, path: str) -> None:
    """By job_submit, which tells the user why."""
    code, out = cluster.srun(path.format(home=site.home))

    assert code != 0
    assert "imagekit: the job's container is refused" in out


def test_a_job_without_a_receipt_is_cancelled_and_the_node_stays(
    cluster: Cluster, own: Path
) -> None:
    """A prolog that failed would take the node away."""
    code, out = cluster.srun(own, "--version")

    assert code != 0
    assert "ldconfig (" not in out
    assert cluster.node_state() in {"idle", "completing"}


def test_a_step_without_a_receipt_does_not_start(cluster: Cluster, bundle: Path, own: Path) -> None:
    """Steps have containers of their own, which the prolog does not see."""
    out = cluster.batch(
        f"srun --container={own} /usr/bin/hello --version\n"
        f"srun --container={bundle} /usr/bin/hello --version"
    )

    assert "NO_RECEIPT" in out
    assert out.count("ldconfig (") == 1


def test_an_altered_image_does_not_run(cluster: Cluster, bundle: Path) -> None:
    """Until it is as it was staged."""
    (bundle / "rootfs/more").write_text("x")

    altered = cluster.srun(bundle, "--version")[1]
    (bundle / "rootfs/more").unlink()

    assert "ldconfig (" not in altered
    assert cluster.srun(bundle, "--version")[0] == 0
