"""Every client through the gate: the allowed image is pulled, of the other nothing arrives."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.clients import clients
from tests.e2e.clients.clients import Client, Place
from tests.e2e.clients.conftest import Site
from tests.e2e.gate.kit import wait_for
from tests.support.outcomes import ROOT, USER, WITH_IDS, noted

pytestmark = [pytest.mark.real, pytest.mark.slow]

Make = Callable[[Place], Client | AbstractContextManager[Client]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A client of the table."""

    name: str
    make: Make
    program: str
    sid: bool = False
    who: str = ROOT
    shows: bool = True
    """Whether its user is shown what the gate says."""


ROWS = (
    Row(name="podman-4.3", make=clients.podman, program="podman"),
    Row(name="podman-5", make=clients.podman, program="podman", sid=True),
    Row(name="podman-4.3", make=clients.podman, program="podman", who=WITH_IDS),
    Row(name="buildah-1.28", make=clients.buildah, program="buildah"),
    Row(name="buildah-1.4x", make=clients.buildah, program="buildah", sid=True),
    Row(name="buildah-1.28", make=clients.buildah, program="buildah", who=WITH_IDS),
    Row(name="skopeo-1.9", make=clients.skopeo, program="skopeo", who=USER),
    Row(name="skopeo-1.22", make=clients.skopeo, program="skopeo", sid=True, who=USER),
    Row(name="docker-20", make=clients.docker, program="dockerd"),
    Row(name="docker-28", make=clients.docker, program="dockerd", sid=True),
    Row(name="containerd-1.6", make=clients.containerd, program="ctr", shows=False),
    Row(name="containerd-2.1", make=clients.containerd, program="ctr", sid=True, shows=False),
    Row(
        name="charliecloud-0.31",
        make=clients.charliecloud,
        program="ch-image",
        who=USER,
        shows=False,
    ),
    Row(
        name="charliecloud-0.45",
        make=clients.charliecloud,
        program="ch-image",
        sid=True,
        who=USER,
        shows=False,
    ),
    Row(name="apptainer-1.4", make=clients.apptainer, program="apptainer", sid=True, who=USER),
    Row(name="oras-1.3", make=clients.oras, program="oras", sid=True, who=USER),
    Row(name="crane-0.20", make=clients.crane, program="crane", sid=True, who=USER),
)
_NOBODY = "nobody"
"""The ordinary user of a root file system in which none is made."""


@pytest.fixture(params=ROWS, ids=lambda row: f"{row.name} {row.who}")
def row(request: pytest.FixtureRequest, bench: Path) -> Row:
    """Each client that is to be there."""
    found: Row = request.param
    there = (bench / "enter-sid").exists() if found.sid else clients.installed(found.program)
    if not there:
        pytest.skip(f"tests/support/bench/setup has not set up {found.program}")
    if os.geteuid() != 0:
        pytest.skip("daemons and root file systems want root")
    return found


@pytest.fixture(scope="module")
def user() -> Iterator[str]:
    """A user who may have containers of his own; gone at the end."""
    name = f"ik-clients-{os.getpid()}"
    subprocess.run(["useradd", "--create-home", name], check=True)
    try:
        yield name
    finally:
        # Podman leaves a process that holds the user's namespace.
        subprocess.run(["pkill", "-KILL", "-u", name], check=False)
        wait_for(lambda: subprocess.run(["pgrep", "-u", name], check=False).returncode != 0)
        subprocess.run(["userdel", "--remove", name], capture_output=True, check=True)


@contextmanager
def _client(row: Row, site: Site, bench: Path, *, user: str) -> Iterator[Client]:
    # Podman wants a short path, and so do sockets.
    folder = Path(tempfile.mkdtemp(prefix="ik-", dir="/tmp"))
    enter = bench / "enter-sid" if row.sid else None
    owner = "" if row.who == ROOT else _NOBODY if row.sid else user
    if owner:
        (folder / "runtime").mkdir(mode=0o700)
        entry = pwd.getpwnam(owner)
        for path in (folder, folder / "runtime"):
            os.chown(path, entry.pw_uid, entry.pw_gid)
    # A user reads no folder of root's tests.
    authority = Path(shutil.copy(site.gate.authority, folder / "gate.pem"))
    authority.chmod(0o644)
    made = row.make(Place(folder=folder, authority=authority, enter=enter, user=owner))
    try:
        with made if isinstance(made, AbstractContextManager) else nullcontext(made) as client:
            yield client
    finally:
        shutil.rmtree(folder)


def test_client(row: Row, site: Site, bench: Path, user: str) -> None:
    """Pulled where allowed; refused with nothing of the image on the host, origin not asked.

    What a stranger attached to the allowed image is refused as well.
    """
    with _client(row, site, bench, user=user) as client:
        allowed = client.pull(site.reference(site.good))
        there = clients.stored(client.folder, site.good.marker)
    with _client(row, site, bench, user=user) as client:
        refused = client.pull(site.reference(site.bad))
        left = [
            file
            for needle in (site.bad.marker, site.bad.layer[:2048])
            for file in clients.stored(client.folder, needle)
        ]
    with _client(row, site, bench, user=user) as client:
        attached = client.pull(site.attached)
        left += clients.stored(client.folder, site.bad.layer[:2048])
    shown = next((line for line in refused.said.splitlines() if "UNTRUSTED_KEY" in line), "")

    assert allowed.pulled, allowed.said
    assert there or row.make is not clients.podman
    assert not refused.pulled
    assert not attached.pulled
    assert left == []
    assert site.sent(site.bad) == []
    assert bool(shown) == row.shows, refused.said
    told = "which finding it was" if shown else "only that it is forbidden"
    seen = f"pulls what is allowed; of the other nothing arrives, and its user reads {told}"
    noted(f"{row.name} through the gate", row.who, seen)
