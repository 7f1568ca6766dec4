"""Reading a host from its files."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from imagekit.errors import ToolError
from imagekit.hosts import probe
from imagekit.hosts.host import EngineSetup, last_text


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
