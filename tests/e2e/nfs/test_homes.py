"""What a user does whose home lies on NFS, with subordinate ids and without.

The table of attempt by outcome stands at the end of what pytest prints.
"""

import shlex

import pytest

from tests.e2e.nfs.conftest import IMAGE, KEY, NODES, POLICY, TABLE
from tests.e2e.nfs.machine import Done, Machine
from tests.support.outcomes import WITH_IDS, WITHOUT_IDS, noted

pytestmark = [pytest.mark.real, pytest.mark.slow]

USERS = ("alice", "bob")
_MOVED = """\
mkdir -p ~/.config/containers
cat > ~/.config/containers/storage.conf <<EOF
[storage]
driver = "overlay"
graphroot = "/local/{0}/storage"
runroot = "/run/user/$(id -u)/containers"
EOF
"""
_HOLD = """\
import sys
from pathlib import Path
from imagekit.locks import folder_held
with folder_held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def _noted(name: str, outcome: str, done: Done) -> None:
    """Put a row into the table: with the first line of the error, or the last of what was shown."""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error")]
    shown = (done.stdout.strip() or done.stderr.strip() or "nothing").splitlines()
    said = (errors or shown[-1:])[0]
    TABLE[name] = (outcome, f"{said.strip().replace('|', '/')[:150]} ({done.seconds:.0f} s)")


def _stores(done: Done) -> str:
    """Return what doctor says of where images are stored."""
    lines = done.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.split()[1:2] == ["stores"])
    return "\n".join(lines[at : at + 2])


def test_homes_are_on_nfs(homes: Machine) -> None:
    """With ids of their users, and root is nobody there; else nothing below shows anything."""
    for user in USERS:
        shown = homes.shell(user, "stat --file-system --format=%T ~; touch ~/own; stat -c %U ~/own")
        assert shown.stdout.split() == ["nfs", user], shown.said
    assert homes.shell("root", "ls /home/alice").status != 0


@pytest.mark.parametrize("user", USERS)
def test_doctor_names_the_network_storage_and_pull_and_run_say_the_same(
    homes: Machine, user: str
) -> None:
    """Instead of Podman's "mkdir .pivot_root...: permission denied" alone."""
    doctor = homes.imagekit(user, "doctor")
    pulled = homes.imagekit(user, "pull", IMAGE, *POLICY)
    ran = homes.imagekit(user, "run", IMAGE, *POLICY)

    _noted(f"{user}: doctor", "network storage", doctor)
    _noted(f"{user}: pull", "refused with the remedy", pulled)
    remedies = ("imagekit run --staged", "graphroot on a local disk")
    assert "✗ stores" in _stores(doctor)
    assert "is on nfs4" in _stores(doctor)
    assert all(remedy in _stores(doctor) for remedy in remedies)
    for done in (pulled, ran):
        assert "error[NETWORK_STORAGE]" in done.stderr, done.said
        assert all(remedy in done.stderr for remedy in remedies)


@pytest.mark.parametrize("user", USERS)
def test_verify_remembers_releases_on_nfs(homes: Machine, user: str) -> None:
    """And needs no storage of Podman's."""
    done = homes.imagekit(user, "verify", IMAGE, *POLICY)
    memory = homes.shell(user, "stat --file-system --format=%T ~/.local/state/imagekit/seen.db")

    _noted(f"{user}: verify", "works", done)
    assert done.status == 0, done.said
    assert "✓ freshness" in done.stdout
    assert memory.stdout.split() == ["nfs"], memory.said


def test_builds_say_that_their_storage_is_on_nfs_and_work_elsewhere(homes: Machine) -> None:
    """Instead of "lstat .../merged: transport endpoint is not connected" alone."""
    failed = homes.shell("alice", "cp -r /payload/plain ~; cd ~; imagekit build plain")
    built = homes.shell("alice", "cd ~; XDG_DATA_HOME=/local/alice/data imagekit build plain")

    _noted("alice: build", "refused with the remedy", failed)
    _noted("alice: build, XDG_DATA_HOME on a local disk", "works", built)
    assert "NETWORK_STORAGE" in failed.stderr, failed.said
    assert "XDG_DATA_HOME" in failed.stderr
    assert built.status == 0, built.said


def test_a_layout_on_nfs_is_held_against_another_node(homes: Machine) -> None:
    """A second mount of the same homes, which shares no cache with the first, stands for a node."""
    hold = shlex.quote(_HOLD)
    script = f"""
mkdir -p ~/held
mkfifo ~/go
python3 -c {hold} ~/held < ~/go > ~/out & exec 3> ~/go
until grep -q held ~/out; do sleep 0.5; done
timeout 20 python3 -c {hold} /node2/alice/held < /dev/null && echo both
echo >&3
wait
timeout 60 python3 -c {hold} /node2/alice/held < /dev/null
ls -A ~/held
"""
    done = homes.shell("alice", script, seconds=200)

    _noted("two nodes write to a layout", "one after the other", done)
    assert (done.status, done.stdout.split()) == (0, ["held"]), done.said


@pytest.fixture(scope="module")
def staged(homes: Machine) -> str:
    """Return a squashfs file on NFS, which root staged on the server."""
    words = ("stage", IMAGE, *POLICY, "--key", KEY, "--to", "/srv/homes/site")
    done = homes.shell("root", f"IMAGEKIT_KEY_PASSWORD=test imagekit {shlex.join(words)}")
    assert done.status == 0, done.said
    return "/home/site/tiny.sqsh"


@pytest.mark.parametrize("user", USERS)
def test_what_was_staged_on_nfs_runs_for_everybody(homes: Machine, staged: str, user: str) -> None:
    """The first way out that doctor names: without a storage, and without subordinate ids."""
    first = homes.imagekit(user, "run", "--staged", staged, *NODES)
    again = homes.imagekit(user, "run", "--staged", staged, *NODES)
    floor = homes.imagekit(user, "--help")

    _noted(f"{user}: run --staged", "works", again)
    _noted(f"{user}: imagekit --help, to compare with", "works", floor)
    assert floor.status == 0, floor.said
    for done in (first, again):
        assert (done.status, done.stdout) == (0, "ran as x\n"), done.said
    who = WITH_IDS if user == "alice" else WITHOUT_IDS
    noted("home on NFS, a staged squashfs on it", who, "runs, and needs no storage")


def test_a_moved_storage_is_healthy_and_its_user_pulls_and_runs(homes: Machine) -> None:
    """The remedy that doctor names works for a user with subordinate ids."""
    assert homes.shell("alice", _MOVED.format("alice")).status == 0

    doctor = homes.imagekit("alice", "doctor")
    pulled = homes.imagekit("alice", "pull", IMAGE, *POLICY)
    ran = homes.imagekit("alice", "run", IMAGE, *POLICY)

    _noted("alice: run, graphroot on a local disk", "works", ran)
    assert "✓ stores" in _stores(doctor), doctor.stdout
    assert pulled.status == 0, pulled.said
    assert (ran.status, ran.stdout) == (0, "ran as x\n"), ran.said


def test_a_moved_storage_without_subordinate_ids_names_the_way_out(homes: Machine) -> None:
    """Instead of "lchown /etc/gshadow: invalid argument" alone."""
    assert homes.shell("bob", _MOVED.format("bob")).status == 0

    pulled = homes.imagekit("bob", "pull", IMAGE, *POLICY)

    _noted("bob: pull, graphroot on a local disk", "refused with the remedy", pulled)
    assert "error[NO_SUBORDINATE_IDS]" in pulled.stderr, pulled.said
    assert "imagekit run --staged" in pulled.stderr
    assert "ignore_chown_errors" in pulled.stderr
