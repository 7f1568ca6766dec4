"""What a command looks at before its first download, and what ``doctor --for`` judges."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, get_args

import pytest
from msgspec.structs import replace

from imagekit.cli.commands.doctor import PURPOSES
from imagekit.errors import ToolError
from imagekit.hosts import preflight as module
from imagekit.hosts.doctor import diagnose, read_host
from imagekit.hosts.host import EngineSetup, Host, Purpose
from imagekit.hosts.host_checks import CHECKS, judge
from imagekit.hosts.preflight import find_lacks, preflight
from imagekit.progress import Event, Note

BARE = Host(root=False, system="Rocky Linux 9", kernel="5.14", cgroups="v2", programs={})
"""A host that verifies and has nothing else."""
GOOD = replace(
    BARE,
    programs=dict.fromkeys(("buildah", "podman", "runc", "mmdebstrap", "mksquashfs"), ""),
    namespaces=1000,
    subuids=65536,
    subgids=65536,
    runtime_dir=True,
    keyring=True,
    network=True,
)


class Nothing:
    """Programs of which none may be started."""

    def run(
        self, argv: Sequence[str], *, stage: str = "", limit: float = 60.0, check: bool = True
    ) -> NoReturn:
        """Fail the test."""
        raise AssertionError(argv, stage, limit, check)

    def foreground(self, argv: Sequence[str]) -> NoReturn:
        """Fail the test."""
        raise AssertionError(argv)


def _without(name: str) -> Host:
    return replace(GOOD, programs={n: v for n, v in GOOD.programs.items() if n != name})


def _lacks(host: Host, purpose: Purpose, *vital: str) -> list[tuple[str, str]]:
    return [(lack.name, lack.status) for lack in find_lacks(host, purpose, vital=vital)]


def test_a_host_that_only_verifies_is_good_for_that() -> None:
    """It has no Buildah, no Podman and no subordinate ids, and needs none of them."""
    assert diagnose(BARE, "verify").exit_code == 0
    assert {check.status for check in diagnose(BARE, "verify").checks} == {"ok"}
    assert diagnose(replace(BARE, memory=Path("/home/x")), "verify").exit_code == 6
    assert all(diagnose(BARE, purpose).exit_code == 6 for purpose in ("build", "run", "stage"))


def test_to_be_told_about_one_purpose_starts_no_program_of_another(tmp_path: Path) -> None:
    """A node of a cluster asks for what it is used for."""
    for purpose in ("verify", "gate"):
        host = replace(read_host(Nothing(), {"HOME": str(tmp_path)}, purpose), gate_lacks=())
        assert diagnose(host, purpose).exit_code == 0


def test_every_check_is_for_something_and_every_purpose_has_one() -> None:
    """The one table; what is vital to a purpose concerns it."""
    assert set(PURPOSES) == set(get_args(Purpose))
    assert {purpose for row in CHECKS for purpose in row.purposes} == set(PURPOSES)
    assert all(row.purposes and row.vital <= row.purposes for row in CHECKS)


def test_the_gate_alone_is_not_asked_for_in_general() -> None:
    """Most hosts have no gate, and need not have its packages."""
    host = replace(GOOD, gate_lacks=("aiohttp",))

    assert "gate" not in {check.name for check in diagnose(host).checks}
    assert diagnose(host, "gate").exit_code == 6


@pytest.mark.parametrize(
    ("host", "purpose", "lack"),
    [
        (_without("buildah"), "build", "buildah"),
        (_without("podman"), "stage", "podman"),
        (_without("mksquashfs"), "stage", "mksquashfs"),
        (replace(GOOD, namespaces=0), "build", "namespaces"),
        (replace(GOOD, namespaces=0), "run", "namespaces"),
        (replace(GOOD, gate_lacks=("yarl",)), "gate", "gate"),
    ],
)
def test_what_cannot_be_done_without_ends_it(host: Host, purpose: Purpose, lack: str) -> None:
    """Each of them alone, with its remedy."""
    assert _lacks(GOOD, purpose) == []
    assert _lacks(host, purpose) == [(lack, "problem")]
    assert find_lacks(host, purpose)[0].hint


@pytest.mark.parametrize(
    ("host", "lack"),
    [
        (replace(GOOD, subuids=0), "subuids"),
        (replace(GOOD, network_builds=(Path("/home/x"), "nfs4")), "builds"),
        (replace(GOOD, free={"build": (Path("/home/x"), 10**8)}), "disk: builds"),
    ],
)
def test_what_may_end_it_later_is_told_first(host: Host, lack: str) -> None:
    """A scratch image needs no ids, and a small one little room; the remedy is said before."""
    assert _lacks(host, "build") == [(lack, "remark")]
    assert find_lacks(host, "build")[0].hint


def test_another_engine_is_as_good_where_the_host_runs_images() -> None:
    """Unless Podman is what is to run it, or what stages."""
    docker = replace(_without("podman"), engines=EngineSetup(unverifying=("docker",)))
    found = {check.name: check for check in judge(docker, "run")}

    assert (found["podman"].status, "--engine docker" in found["podman"].hint) == ("remark", True)
    assert {check.name: check.status for check in judge(docker, "stage")}["podman"] == "problem"
    assert _lacks(docker, "run", "podman") == [("podman", "problem")]


def test_what_is_not_seen_without_a_program_is_not_judged() -> None:
    """Podman was not asked for its storage, which says nothing of it."""
    assert not GOOD.driver
    assert _lacks(GOOD, "run", "storage", "isolation") == []
    assert all(row.seen for row in CHECKS if row.vital)


def test_what_only_some_need_ends_them_alone() -> None:
    """Whoever bootstraps nothing needs no mmdebstrap, and is not told about it."""
    host = replace(_without("mmdebstrap"), keyring=False)

    assert _lacks(host, "build") == []
    assert _lacks(host, "build", "mmdebstrap", "keyring") == [
        ("mmdebstrap", "problem"),
        ("keyring", "problem"),
    ]
    assert _lacks(replace(GOOD, subuids=0), "build", "subuids") == [("subuids", "problem")]


def test_remarks_go_to_the_progress_and_a_problem_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No program is started for it, but one that asks a directory for ids."""
    told: list[Event] = []
    env = {"HOME": str(tmp_path)}
    low = replace(GOOD, free={"build": (tmp_path, 10**8)})
    monkeypatch.setattr(module, "glance", lambda _: low)
    preflight("build", Nothing(), progress=told.append, env=env)
    assert [type(event) for event in told] == [Note]
    assert "imagekit prune" in str(told[0])

    monkeypatch.setattr(module, "glance", lambda _: _without("buildah"))
    with pytest.raises(ToolError) as caught:
        preflight("build", Nothing(), progress=told.append, env=env)
    assert (caught.value.code, caught.value.exit_code) == ("HOST", 6)
    assert "apt-get install buildah" in caught.value.hint
