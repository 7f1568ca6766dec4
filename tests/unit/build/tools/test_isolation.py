"""How build steps are contained: which ways are tried, and what tools of a step get to see."""

import json
from pathlib import Path

import pytest

from imagekit.build.job import ContainerStore, Folder, Isolation, IsolationWish
from imagekit.build.tools import isolation
from imagekit.build.tools.isolation import (
    IsolationRecord,
    Sandbox,
    check_mount_points,
    no_way,
    ways,
)
from imagekit.errors import BuildError

RUNC = Isolation(how="oci", runtime="/usr/sbin/runc")
CHROOT = Isolation(how="chroot")


def _store(folder: Path) -> ContainerStore:
    graph = Folder(path=folder / "graph", real=folder / "a,b")
    return ContainerStore(folder=graph, run=folder / "run", driver="overlay", runtime="runc")


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IsolationRecord:
    """A record of a host with fixed programs."""
    monkeypatch.setattr(isolation, "which", lambda name: Path("/bin/sh") if name else None)
    return IsolationRecord(tmp_path / "isolation.json")


@pytest.mark.parametrize(
    ("wish", "superuser", "expected"),
    [
        ("auto", True, ["oci (runc)", "oci (crun)", "chroot"]),
        ("auto", False, ["rootless (runc)", "rootless (crun)", "chroot"]),
        ("oci", True, ["oci (runc)", "oci (crun)"]),
        ("chroot", True, ["chroot"]),
    ],
)
def test_chroot_is_the_last_way_or_the_one_asked_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wish: IsolationWish,
    superuser: bool,  # noqa: FBT001 - a column of the table
    expected: list[str],
) -> None:
    """An OCI runtime comes first, and nobody who wants one gets less."""
    monkeypatch.setattr(isolation, "which", lambda name: Path("/usr/bin") / name)

    assert [str(way) for way in ways(wish, _store(tmp_path), superuser=superuser)] == expected


def test_what_worked_is_remembered_until_a_program_changes(
    record: IsolationRecord, tmp_path: Path
) -> None:
    """A result rests on the very programs that it was found with."""
    runtime = tmp_path / "runc"
    runtime.write_text("1")
    way = Isolation(how="oci", runtime=str(runtime))
    record.keep(way)
    before = record.find()

    runtime.write_text("another")

    assert before == way
    assert record.find() is None


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_record_that_others_may_write_is_not_believed(record: IsolationRecord, mode: int) -> None:
    """Else another user of the group would choose how steps are contained."""
    record.keep(CHROOT)
    record.file.chmod(mode)

    assert record.find() is None


def test_a_record_that_is_a_link_is_not_believed(record: IsolationRecord, tmp_path: Path) -> None:
    """It is a file of our own, or nothing."""
    record.keep(CHROOT)
    record.file.rename(tmp_path / "other")
    record.file.symlink_to(tmp_path / "other")

    assert record.find() is None


def test_tools_of_a_step_get_no_secret_of_the_environment(tmp_path: Path) -> None:
    """An allowed list: whatever a variable is called, it is left out unless it is needed."""
    sandbox = Sandbox(store=_store(tmp_path), folder=Folder(path=tmp_path, real=tmp_path))
    env = {"PATH": "/bin", "IMAGEKIT_KEY_PASSWORD": "x", "AWS_SECRET": "x", "SSH_AUTH_SOCK": "x"}
    proxies = {"HTTPS_PROXY": "http://proxy.example", "no_proxy": "localhost"}

    seen = sandbox.environment(env | proxies | {"HOME": "/home/me"})

    assert seen.keys() == {"PATH", "HOME", "LC_ALL", "TMPDIR", "XDG_RUNTIME_DIR", *proxies}
    assert seen["HOME"] == "/root"
    assert not proxies.keys() & sandbox.environment(env | proxies, network=False).keys()


def test_the_sandbox_has_imagekits_own_folders_only(tmp_path: Path) -> None:
    """The storage under its plain name, the job's folder, and what is read."""
    folder = Folder(path=tmp_path / "run/job", real=tmp_path / "job [1]")
    sandbox = Sandbox(store=_store(tmp_path), folder=folder, readable=(tmp_path / "context",))

    argv = sandbox.wrap(["/bin/true", "x"], network=False)

    spec = json.loads(argv[4])
    assert argv[5:] == ("/bin/true", "x")
    assert spec["places"] == [
        [str(tmp_path / "a,b"), str(tmp_path / "graph"), True],
        [str(tmp_path / "run"), str(tmp_path / "run"), True],
        [str(tmp_path / "job [1]"), str(tmp_path / "run/job"), True],
        [str(tmp_path / "context"), str(tmp_path / "context"), False],
    ]
    assert spec["network"] is False


def test_where_nothing_works_the_error_says_what_was_tried() -> None:
    """And names the remedy."""
    error = no_way("oci", {RUNC: "warning\nno cgroups here"})

    assert "oci (runc): no cgroups here" in error.message
    assert "--isolation auto" in error.hint


@pytest.mark.parametrize("name", ["etc/resolv.conf", "etc", "run", "run/secrets", "proc", "pip"])
def test_chroot_mounts_on_no_link_of_an_image(tmp_path: Path, name: str) -> None:
    """Buildah resolves the path on the host: a file of another image would be made or hidden."""
    (tmp_path / "root/x").mkdir(parents=True)
    (tmp_path / "root" / name).parent.mkdir(exist_ok=True)
    check_mount_points(tmp_path / "root", ["/pip/wheels"], isolation=CHROOT)
    (tmp_path / "root" / name).symlink_to("x")

    check_mount_points(tmp_path / "root", ["/pip/wheels"], isolation=RUNC)
    with pytest.raises(BuildError, match=f"/{name}.* is a link"):
        check_mount_points(tmp_path / "root", ["/pip/wheels"], isolation=CHROOT)


def test_no_runtime_gets_a_link_for_dev(tmp_path: Path) -> None:
    """Runc makes /dev/fd and others by the plain path, which leads out of the image."""
    (tmp_path / "dev").symlink_to("/tmp")

    with pytest.raises(BuildError, match="/dev is a link"):
        check_mount_points(tmp_path, [], isolation=RUNC)


def test_layers_of_others_are_kept_from_a_containerfile(tmp_path: Path) -> None:
    """What is mounted for a RUN may be put on what the RUN before made a link."""
    store = _store(tmp_path)
    for number in range(3000):
        (store.graph / f"overlay/{number:064x}").mkdir(parents=True)
    sandbox = Sandbox(store=store, folder=Folder(path=tmp_path, real=tmp_path))

    given = sandbox.wrap(["true"], keep_layers=True)[4]

    assert json.loads(given)["kept"] == [str(store.graph / "overlay")]
    assert len(given) < len(sandbox.wrap(["true"])[4]) + 200, "it grows with the store"
