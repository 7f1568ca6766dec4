"""Reading a host from its files."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from imagekit.errors import ToolError
from imagekit.hosts import probe
from imagekit.hosts.host import EngineSetup, last_text
from imagekit.process import Outcome


class Broken:
    """Programs that all fail."""

    def run(
        self, argv: Sequence[str], *, stage: str = "", limit: float = 60.0, check: bool = True
    ) -> NoReturn:
        """Fail."""
        raise ToolError(f"{argv[0]} failed: {stage=} {limit=} {check=}")

    def foreground(self, argv: Sequence[str]) -> NoReturn:
        """Fail."""
        raise ToolError(f"{argv[0]} failed")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("cgroup.controllers", "v2"),
        ("unified/cgroup.controllers", "hybrid"),
        ("memory/tasks", "v1"),
        ("other", "none"),
    ],
)
def test_cgroups(tmp_path: Path, path: str, kind: str) -> None:
    """Told by what is mounted, not by the kernel's version."""
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).touch()

    assert probe.cgroups(tmp_path) == kind


def test_ids_are_those_of_this_user_only(tmp_path: Path) -> None:
    """Somebody else's ids and lines that are none count nothing."""
    file = tmp_path / "subuid"
    file.write_text(f"nobody-else:1:5\n{os.getuid()}:100:7\n{os.getuid()}:x:y\n\nrubbish\n")

    assert probe.ids(file) == 7
    assert probe.ids(tmp_path / "missing") == 0


def test_programs_that_fail_and_files_that_are_missing_are_no_crash(tmp_path: Path) -> None:
    """A doctor comes to sick hosts."""
    found = probe.read(Broken(), {"HOME": str(tmp_path)}, tmp_path)

    assert (found.driver, found.cgroups, found.subuids, found.keyring) == ("", "none", 0, False)
    assert found.engines == EngineSetup(unverifying=found.engines.unverifying)


def test_a_policy_of_this_user_is_seen(tmp_path: Path) -> None:
    """It overrides the site's, whatever it says."""
    policy = tmp_path / ".config/containers/policy.json"
    policy.parent.mkdir(parents=True)
    policy.write_text("{}")

    found = probe.read(Broken(), {"HOME": str(tmp_path)}, tmp_path)

    assert policy in found.engines.overrides


def test_files_of_crio_are_read_in_its_order(tmp_path: Path) -> None:
    """The drop-ins by name, after crio.conf; the policies of the folder that the last one names."""
    folder = tmp_path / "etc/crio"
    (folder / "crio.conf.d").mkdir(parents=True)
    (folder / "crio.conf").write_text('[crio.image]\nsignature_policy = "/first"\n')
    for name in ("20-site", "10-distribution"):
        text = f'[crio.image]\nsignature_policy = "/{name}"\nsignature_policy_dir = "/{name}"\n'
        (folder / "crio.conf.d" / name).write_text(text)
        (tmp_path / name).mkdir()
        (tmp_path / name / "default.json").write_text("{}")

    found = probe.read(Broken(), {"HOME": str(tmp_path)}, tmp_path).engines

    assert last_text(found.crio, "crio", "image", "signature_policy") == "/20-site"
    assert found.crio_policies == (tmp_path / "20-site/default.json",)


@pytest.mark.parametrize(("place", "stores"), [("/home/a", 1), ("/local/a", 0)])
def test_the_storage_is_where_podman_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, stores: int
) -> None:
    """Moved from a home on NFS to a local disk, it is no problem any more."""
    monkeypatch.setattr("shutil.which", "/usr/bin/{}".format)
    (tmp_path / "proc/self").mkdir(parents=True)
    table = "/dev/sda1 / ext4 rw 0 0\nserver:/homes /home nfs4 rw,noexec 0 0\n"
    (tmp_path / "proc/self/mounts").write_text(table)

    found = probe.read(_Says(f"{place}/storage"), {"HOME": "/home/a"}, tmp_path)

    assert [str(path) for path, _ in found.engines.network_stores] == [f"{place}/storage"] * stores
    assert found.network_builds == (Path("/home/a/.local/share/imagekit"), "nfs4")
    assert [str(path) for path in found.noexec] == [f"{place}/storage"] * stores


def test_builds_have_their_storage_where_xdg_data_home_says(tmp_path: Path) -> None:
    """Moved to a local disk, it is no problem any more."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text("/d / ext4 rw 0 0\ns:/h /home nfs4 rw 0 0\n")
    env = {"HOME": "/home/a", "XDG_DATA_HOME": "/local/a"}

    assert probe.read(Broken(), env, tmp_path).network_builds is None


class _Says(Broken):
    """A Podman whose storage is in a place, and nothing else."""

    def __init__(self, place: str) -> None:
        self.place = place

    def run(
        self, argv: Sequence[str], *, stage: str = "", limit: float = 60.0, check: bool = True
    ) -> Any:
        """Tell the storage."""
        if "info" not in argv:
            super().run(argv, stage=stage, limit=limit, check=check)
        shown = json.dumps({"store": {"graphDriverName": "vfs", "graphRoot": self.place}})
        return Outcome(argv=tuple(argv), status=0, stdout=shown, stderr="", seconds=0.0)


def test_ids_of_a_directory_are_those_that_getsubids_prints() -> None:
    """The getsubids of shadow asks whom nsswitch.conf names."""
    assert probe.directory_ids("0: a 100000 65536\n1: a 300000 10\n") == 65546
    assert probe.directory_ids("Error fetching ranges\n") == 0
    assert probe.directory_ids("\n") == 0


@pytest.mark.parametrize(("missing", "maps"), [("", True), ("subuid", False), ("subgid", False)])
def test_containers_have_others_files_where_both_kinds_of_ids_are_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    *,
    maps: bool,
) -> None:
    """Root needs none."""
    (tmp_path / "etc").mkdir()
    for name in {"subuid", "subgid"} - {missing}:
        (tmp_path / "etc" / name).write_text(f"{os.getuid()}:100000:65536\n")
    monkeypatch.setattr(os, "geteuid", lambda: 1)

    assert probe.maps_others(Broken(), tmp_path) is maps

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert probe.maps_others(Broken(), tmp_path / "nothing")
