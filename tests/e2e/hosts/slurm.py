"""A cluster of Slurm on this machine: munge, the controller, and a daemon for each node."""

import os
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.e2e.hosts.daemons import Daemon, environment, said
from tests.support.offline_site import Site
from tests.support.servers import free_port

SLURM = """\
ClusterName=t
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
SlurmctldPort={controller}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/c.pid
SlurmdPidFile={folder}/d-%n.pid
SlurmctldLogFile={folder}/c.log
SlurmdLogFile={folder}/d-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
MailProg=/bin/true
JobSubmitPlugins=lua
Prolog=/usr/local/sbin/imagekit-prolog
PrologFlags=Alloc
TmpFS={shared}/%n
{nodes}
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
# Users may open it where fuse3 is installed.
mknod {folder}/fuse c 10 229
chmod 0666 {folder}/fuse
mount --bind {folder}/fuse /dev/fuse
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
    page = (project / "docs/slurm.md").read_text(encoding="utf-8")
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


@contextmanager
def started(
    project: Path, site: Site, folder: Path, program: Callable[[str], str], *, nodes: int = 1
) -> Iterator[Cluster]:
    """Start a cluster, and stop all of it in the end.

    Args:
        project: the checkout.
        site: its policies and keys are the nodes'.
        folder: of the cluster; ``images`` in it is /srv/images of its nodes.
        program: finds a program, or skips.
        nodes: how many daemons there are.
    """
    munged, controller, node = (program(x) for x in ("munged", "slurmctld", "slurmd"))
    (folder / "images").mkdir(exist_ok=True)
    (folder / "state").mkdir()
    host = socket.gethostname().partition(".")[0]
    names = [f"n{number}" for number in range(1, nodes + 1)]
    _install(project, folder, site)
    lines = [
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={free_port()} CPUs=2"
        for name in names
    ]
    (folder / "key").write_bytes(os.urandom(64))
    (folder / "key").chmod(0o400)
    munge = [munged, "-F", "--force", f"--socket={folder}/munge.sock", f"--key-file={folder}/key"]
    munge += [f"--pid-file={folder}/m.pid", f"--seed-file={folder}/seed"]
    munge += [f"--log-file={folder}/m.log"]
    world = WORLD.format(folder=folder, images=folder / "images")
    apart = ["unshare", "--mount", "--propagation", "private", "sh", "-c", world]
    with ExitStack() as running, tempfile.TemporaryDirectory(prefix="ik-", dir="/tmp") as shared:
        # Those of one machine would meet in one /tmp, as nodes never do.
        Path(shared).chmod(0o755)
        for name in names:
            (Path(shared) / name).mkdir()
            (Path(shared) / name).chmod(0o1777)
        settings = SLURM.format(
            folder=folder,
            host=host,
            controller=free_port(),
            nodes="\n".join(lines),
            shared=shared,
        )
        (folder / "files/etc/slurm/slurm.conf").write_text(settings)
        outer = running.enter_context(Daemon(apart, folder / "w.out"))
        outer.wait_for(folder / "ready")
        made = Cluster(folder, outer)
        first = running.enter_context(Daemon(munge, folder / "m.out"))
        first.wait_for(folder / "munge.sock")
        running.enter_context(Daemon([*made.inside, controller, "-D"], folder / "c.out"))
        for name in names:
            slurmd = [*made.inside, node, "-D", "-N", name]
            running.enter_context(Daemon(slurmd, folder / f"{name}.out"))
        end = time.monotonic() + 60
        while set(made.node_state().split()) != {"idle"}:
            assert time.monotonic() < end, (folder / "c.log").read_text()[-2000:]
            time.sleep(0.5)
        yield made
