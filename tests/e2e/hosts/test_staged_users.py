"""What root staged of a Debian image, checked and run by ordinary users of every kind."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.container_probe import PROBE, documented, seen
from tests.support.offline_site import Site
from tests.support.outcomes import USERS, WITH_IDS, WITHOUT_IDS, noted
from tests.support.programs import bench_program
from tests.support.users import OrdinaryUser, ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow]

RECIPE = """\
schema: 1
name: apps/debian
version: 1.0.0
base: {recipe: base/debian}
entrypoint: [/bin/sh, -c]
cmd: ["id -u; id -un; cat /etc/shadow | wc -l; touch /x; touch /tmp/x && echo wrote"]
tags: {immutable: ["{version}"]}
"""
# udev lets every user open it; where there is none, a node in a mount namespace stands for it.
DEVICE = """
if [ "$(stat -c %a /dev/fuse)" != 666 ]; then
  mount -t tmpfs tmpfs /mnt && mknod -m 666 /mnt/fuse c 10 229 && mount --bind /mnt/fuse /dev/fuse
fi
exec "$@"
"""
_READABLE = """
cd "$1" && chmod 755 . overlay overlay/l overlay/*/ overlay-images overlay-layers
chmod -R a+rX overlay-images overlay-layers && chmod a+r overlay/*/l[io]*
"""
# The last argument is the layout, of which the folder of this test has the blobs.
_BUILD = """\
#!/bin/bash
layout=${{@: -1}}
BENCH_SHARE="{folder} ${{layout#oci:}}" exec {enter} env TMPDIR={folder}/stage apptainer "$@"
"""
# In the mount namespace of the other system, with this one's users.
_AS_HERE = """
for file in "$1"/etc/*; do mount --bind "$file" "/etc/${file##*/}"; done
mknod -m 666 /tmp/fuse c 10 229 && mount --bind /tmp/fuse /dev/fuse
shift
exec "$@"
"""
KINDS = ("squashfs", "bundle", "podman-store")


@dataclass(frozen=True)
class Nodes:
    """A folder that all users see, with what root staged, and two of these users."""

    folder: Path
    image: str
    users: dict[str, OrdinaryUser]

    def run(self, who: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run imagekit there as a user."""
        return self.started(who, "/usr/bin/python3", "-m", "imagekit", *words)

    def started(self, who: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program there as a user."""
        return subprocess.run(
            self.words(who, *words),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def words(self, who: str, *words: str) -> list[str]:
        """Return the command that runs a program as a user."""
        user = self.users[who]
        own = (f"HOME={user.home}", f"USER={user.name}", f"PYTHONPATH={user.packages}")
        path = f"PATH={os.environ['PATH']}:/usr/sbin"
        ids = ("setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups")
        apart = ("unshare", "--mount", "--propagation", "slave", "sh", "-euc", DEVICE, "sh")
        return [*apart, *ids, "env", "-i", path, *own, *words]


@pytest.fixture(scope="module")
def nodes(site: Site, project: Path) -> Iterator[Nodes]:
    """Stage one image as every kind."""
    host = site.image.partition("/")[0]
    shutil.copytree(project / "recipes/base", site.home / "recipes/base")
    (site.home / "recipes/imagekit.toml").touch()
    (site.home / "recipes/debian").mkdir()
    (site.home / "recipes/debian/recipe.yaml").write_text(RECIPE)
    site.done("publish", "recipes/debian", "--to", f"{host}/site", "--key", "imagekit.key")
    image = f"{host}/site/apps/debian:1.0.0"
    folder = Path(f"/var/tmp/imagekit-test-{os.getpid()}")
    try:
        folder.mkdir(mode=0o755)
        shutil.copy(site.home / "nodes.yaml", folder)
        (folder / "staging").mkdir()
        shutil.copy(site.home / "staging/imagekit.pub", folder / "staging")
        for kind in KINDS:
            by = ("--policy", "policy.yaml", "--key", "staging/imagekit.key")
            site.done("stage", image, *by, "--to", f"{kind}:{folder}/{kind}")
        with (
            ordinary_user(f"ik-with-{os.getpid()}") as rich,
            ordinary_user(f"ik-none-{os.getpid()}", subordinate_ids=False) as poor,
        ):
            yield Nodes(folder, image, {"with": rich, "without": poor})
            for user in (rich, poor):
                shutil.rmtree(f"/tmp/imagekit-checked-{user.uid}", ignore_errors=True)
                for left in Path("/tmp").glob("ik-run-*"):
                    # Of a run that was killed.
                    if left.stat().st_uid == user.uid:
                        shutil.rmtree(left)
    finally:
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Sif:
    """A system that has Apptainer, and a folder that it sees, with the image as a SIF file."""

    folder: Path
    enter: Path
    nodes: Nodes

    def run(self, who: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run imagekit there as a user."""
        user, python = self.nodes.users[who], self.folder / "python"
        own = (f"HOME={self.folder}/{who}", f"PYTHONPATH={self.folder}/site-packages")
        env = ("env", "-i", *own, f"PYTHONHOME={python}", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
        ids = ("setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups")
        program = (str(python / "bin/python"), "-m", "imagekit")
        return subprocess.run(
            [self.enter, "sh", "-euc", _AS_HERE, "sh", self.folder, *ids, *env, *program, *words],
            env=os.environ | {"BENCH_SHARE": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def sif(nodes: Nodes, site: Site, bench: Path) -> Iterator[Sif]:
    """Stage the image as SIF, by root and the real Apptainer."""
    enter = bench_program(bench, "enter-sid", part="clients-sid")
    with tempfile.TemporaryDirectory(prefix="ik-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for below in ("bin", "etc", "python/bin", "python/lib", "stage"):
            (folder / below).mkdir(parents=True)
        _own_system(folder, nodes)
        program = folder / "bin/apptainer"
        program.write_text(_BUILD.format(folder=folder, enter=enter))
        program.chmod(0o755)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
            by = ("--policy", "policy.yaml", "--key", "staging/imagekit.key")
            site.done("stage", nodes.image, *by, "--to", f"sif:{folder}/it.sif")
        yield Sif(folder, enter, nodes)


def _own_system(folder: Path, nodes: Nodes) -> None:
    """Copy this host's Python, imagekit, users and policy to where the other system sees them."""
    shutil.copy("/usr/bin/python3", folder / "python/bin/python")
    version = Path("/usr/bin/python3").resolve().name
    skip = shutil.ignore_patterns("__pycache__", "test", "config-*")
    shutil.copytree(Path("/usr/lib") / version, folder / "python/lib" / version, ignore=skip)
    shutil.copytree(nodes.users["with"].packages, folder / "site-packages", symlinks=True)
    for file in ("passwd", "group", "subuid", "subgid"):
        shutil.copy(f"/etc/{file}", folder / "etc")
    shutil.copy(nodes.folder / "nodes.yaml", folder)
    shutil.copytree(nodes.folder / "staging", folder / "staging")
    for who, user in nodes.users.items():
        (folder / who).mkdir()
        user.give(folder / who)


@pytest.mark.parametrize("who", ["with", "without"])
def test_every_user_runs_a_sif_by_apptainer(sif: Sif, who: str) -> None:
    """As oneself, after its receipt was checked; the file is read once."""
    by = (f"{sif.folder}/it.sif", "--policy", f"{sif.folder}/nodes.yaml")
    checked = sif.run(who, "receipt", "check", *by)
    ran = sif.run(who, "run", "--engine", "apptainer", "--staged", *by, "--", "id -u; touch /x")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert ran.stdout.split() == [str(sif.nodes.users[who].uid)], ran.stderr
    assert "Read-only file system" in ran.stderr


def test_an_altered_sif_is_not_given_to_apptainer(sif: Sif) -> None:
    """Its receipt is for other bytes."""
    copy = sif.folder / "altered"
    shutil.copytree(sif.folder / "it.sif.d", copy)
    (file,) = (each for each in copy.iterdir() if not each.name.endswith(".json"))
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        opened.write(b"altered")

    by = ("--engine", "apptainer", "--policy", f"{sif.folder}/nodes.yaml")
    ran = sif.run("without", "run", "--staged", str(file), *by, "--", "id -u")

    assert ran.returncode == 3, ran.stderr
    assert "CONTENT_DIGEST_MISMATCH" in ran.stdout


@pytest.mark.parametrize("who", USERS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_user_can_check_everything(nodes: Nodes, kind: str, who: str) -> None:
    """Files that only root may read in the image included."""
    checked = nodes.run(who, "receipt", "check", kind, "--policy", "nodes.yaml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("who", USERS)
@pytest.mark.parametrize("kind", ["squashfs", "bundle"])
def test_every_user_runs_it_as_oneself(nodes: Nodes, kind: str, who: str) -> None:
    """With a name, a read-only root and a /tmp of one's own; nothing stays."""
    ran = nodes.run(who, "run", nodes.image, "--staged", kind, "--policy", "nodes.yaml")

    user = nodes.users[who]
    said = ran.stdout.splitlines()
    assert said[:2] == [str(user.uid), user.name], ran.stderr
    assert said[3:] == ["wrote"]
    assert "Read-only file system" in ran.stderr
    assert _left(user) == []
    noted(f"imagekit run --staged, {kind}", USERS[who], "receipt good; runs as oneself, no engine")


@pytest.mark.parametrize("who", USERS)
@pytest.mark.parametrize("kind", ["squashfs", "bundle"])
def test_users_see_what_the_page_says(nodes: Nodes, project: Path, kind: str, who: str) -> None:
    """The same by a file and by a bundle, with subordinate ids and without."""
    by = ("--staged", kind, "--policy", "nodes.yaml", "--entrypoint", "/usr/bin/perl")
    ran = nodes.run(who, "run", nodes.image, *by, "--", "-e", PROBE)
    assert ran.returncode == 0, ran.stderr

    found, page = seen(ran.stdout), documented(project, engine="Without an engine")
    user = nodes.users[who]
    assert found.pop("user and group") == f"{user.uid}:{user.gid}"
    assert page.pop("user and group") == "yours"
    # Limits are the caller's own, whatever those are.
    del found["limits"], page["limits"]
    assert found == page


@pytest.mark.parametrize("kind", ["squashfs", "bundle"])
def test_the_programs_exit_code_and_arguments_are_its_own(nodes: Nodes, kind: str) -> None:
    """Those of a bundle are the whole command."""
    whole = ("/bin/sh", "-c") if kind == "bundle" else ()
    by = ("--staged", kind, "--policy", "nodes.yaml", "--network", "none")
    ran = nodes.run("without", "run", *by, "--", *whole, "cat /proc/net/dev | wc -l; exit 42")

    assert (ran.returncode, ran.stdout) == (42, "3\n"), ran.stderr


STORED = ("--staged", "podman-store", "--policy", "nodes.yaml", "--", "echo started")


def test_podmans_additional_store_works_for_users(nodes: Nodes) -> None:
    """Rootless Podman makes no mount points in it."""
    ran = nodes.run("with", "run", nodes.image, *STORED)

    assert (ran.returncode, ran.stdout) == (0, "started\n"), ran.stderr
    noted("imagekit run --staged, podman-store", WITH_IDS, "receipt good; runs by Podman")


def test_a_store_that_podman_filled_alone_works_for_users(nodes: Nodes) -> None:
    """What runtimes mount over is in the layers, from the build on."""
    store, user = nodes.folder / "plain", nodes.users["with"]
    place = ("podman", "--root", str(store), "--runroot", f"{store}-run", "--storage-driver")
    pull = (*place, "overlay", "pull", "--tls-verify=false", nodes.image)
    subprocess.run(pull, check=True, capture_output=True)
    # As its documentation asks for: every user reads the store, but not all files of the image.
    subprocess.run(["sh", "-ec", _READABLE, "sh", store], check=True)
    # Podman keeps which driver a home has; other tests have started it in this user's.
    home = user.home / "plain"
    settings = home / "storage.conf"
    home.mkdir()
    settings.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{home}/graph"\n'
        f'runroot = "{home}/run"\n[storage.options]\nadditionalimagestores = ["{store}"]\n'
    )
    user.give(home)
    own = (f"HOME={home}", f"CONTAINERS_STORAGE_CONF={settings}")
    by = ("env", *own, "podman", *_hybrid(), "run", "--rm")
    ran = nodes.started("with", *by, "--network=host", nodes.image, "echo started")

    assert (ran.returncode, ran.stdout) == (0, "started\n"), ran.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("kind", ["squashfs", "bundle"])
def test_who_asks_it_to_end_ends_the_container(
    nodes: Nodes, kind: str, number: signal.Signals
) -> None:
    """With the program's own exit code, and nothing left."""
    script = "trap 'echo asked; exit 5' TERM INT HUP; echo ready; while :; do sleep 0.1; done"
    with _going(nodes, kind, script) as process:
        process.send_signal(number)
        said = process.communicate(timeout=60)[0]

    assert (process.returncode, said) == (5, "asked\n")
    assert _left(nodes.users["without"]) == []


def test_a_program_that_does_not_hear_is_ended(nodes: Nodes) -> None:
    """The kernel drops the signal for the first process of a container that has no handler."""
    with _going(nodes, "squashfs", "echo ready; sleep 1000; :") as process:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert process.returncode == 128 + signal.SIGKILL
    assert _left(nodes.users["without"]) == []


def test_a_container_ends_with_what_started_it(nodes: Nodes) -> None:
    """Also where that is killed, and can ask for nothing."""
    user = nodes.users["without"]
    with _going(nodes, "squashfs", "echo ready; sleep 1000; :") as process:
        process.kill()
        process.communicate(timeout=60)

    for _ in range(100):
        if not _left(user):
            break
        time.sleep(0.1)
    assert _left(user) == []


@contextmanager
def _going(nodes: Nodes, kind: str, script: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script in a staged container, by the user without ids, until it said that it began."""
    whole = ("/bin/sh", "-c") if kind == "bundle" else ()
    by = ("run", "--staged", kind, "--policy", "nodes.yaml", "--", *whole, script)
    with subprocess.Popen(
        nodes.words("without", "/usr/bin/python3", "-m", "imagekit", *by),
        cwd=nodes.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_without_subordinate_ids_the_store_is_refused_with_what_works(nodes: Nodes) -> None:
    """Podman would only say that it has too few ids."""
    ran = nodes.run("without", "run", nodes.image, *STORED)

    assert (ran.returncode, ran.stdout) == (2, ""), ran.stderr
    assert "error[NO_SUBORDINATE_IDS]" in ran.stderr
    assert "--staged FILE.sqsh" in ran.stderr
    seen = "receipt good; refused before Podman is asked, which cannot: names squashfs"
    noted("imagekit run --staged, podman-store", WITHOUT_IDS, seen)


@pytest.mark.parametrize("who", USERS)
def test_runc_runs_the_bundle_for_users(nodes: Nodes, who: str) -> None:
    """As a workload manager does: a copy of config.json, which the guard makes this user's."""
    user = nodes.users[who]
    own = user.home / "job"
    own.mkdir()
    shutil.copy(nodes.folder / "bundle/config.json", own)
    config = json.loads((own / "config.json").read_bytes())
    config["root"]["path"] = str(nodes.folder / "bundle/rootfs")
    config["process"]["args"] = ["/bin/sh", "-c", "id -u; cat /proc/self/uid_map"]
    (own / "config.json").write_text(json.dumps(config))
    user.give(own)

    guarded = nodes.run(who, "receipt", "guard", str(own), "--policy", "nodes.yaml")
    ran = nodes.started(who, "runc", "--root", f"{own}/state", "run", "-b", str(own), f"j-{who}")

    assert guarded.returncode == 0, guarded.stdout + guarded.stderr
    assert ran.stdout.split() == ["0", "0", str(user.uid), "1"], ran.stderr
    noted("runc, staged bundle", USERS[who], "receipt good; runs as oneself")


def test_an_altered_file_is_not_mounted(nodes: Nodes) -> None:
    """The receipt is checked before anything starts."""
    copy = nodes.folder / "altered"
    shutil.copytree(nodes.folder / "squashfs.d", copy)
    (file,) = (each for each in copy.iterdir() if not each.name.endswith(".json"))
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)

    ran = nodes.run("without", "run", "--staged", str(file), "--policy", "nodes.yaml")

    assert ran.returncode == 3, ran.stderr
    assert "CONTENT_DIGEST_MISMATCH" in ran.stdout


def _hybrid() -> tuple[str, ...]:
    """Return the option of Podman that hybrid cgroups need, where this host has them."""
    return ("--runtime=runc",) if Path("/sys/fs/cgroup/unified").is_dir() else ()


def _left(user: OrdinaryUser) -> list[str]:
    listed = subprocess.run(
        ["ps", "-u", str(user.uid), "-o", "args="], capture_output=True, text=True, check=False
    )
    # Podman's own pause process stays, by its design; what ended is not always waited for at once.
    words = ("catatonit", "<defunct>")
    return [line for line in listed.stdout.splitlines() if not any(word in line for word in words)]
