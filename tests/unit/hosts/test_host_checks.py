"""What a host is told about itself."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.hosts.host import EngineFile, EngineSetup, Host, ResourceLimits
from imagekit.hosts.host_checks import judge
from imagekit.hosts.podman_options import container_options

SAFE = EngineSetup(
    policy=EngineFile(
        path=Path("/etc/containers/policy.json"), document={"default": [{"type": "reject"}]}
    )
)
GOOD = Host(
    root=False,
    system="Debian 12",
    kernel="6.1",
    cgroups="v2",
    programs=dict.fromkeys(
        ("buildah", "podman", "runc", "crun", "mmdebstrap", "mksquashfs"), "1.0"
    ),
    driver="overlay",
    namespaces=1000,
    subuids=65536,
    subgids=65536,
    runtime_dir=True,
    network=True,
    keyring=True,
    engines=SAFE,
)


def _without(name: str) -> Host:
    return replace(GOOD, programs={n: v for n, v in GOOD.programs.items() if n != name})


def test_a_good_host_has_no_remark() -> None:
    """Nothing is found where nothing is wrong."""
    assert {check.status for check in judge(GOOD)} == {"ok"}


@pytest.mark.parametrize(
    ("host", "name", "status"),
    [
        (_without("buildah"), "buildah", "problem"),
        (_without("podman"), "podman", "problem"),
        (_without("mmdebstrap"), "mmdebstrap", "problem"),
        (_without("runc"), "runc", "remark"),
        (_without("mksquashfs"), "mksquashfs", "remark"),
        (replace(GOOD, free={"build": (Path("/home/a"), 10**9)}), "disk: builds", "remark"),
        (replace(GOOD, free={"run": (Path("/home/a"), 10**9)}), "disk: images", "remark"),
        (replace(GOOD, memory=Path("/home/a")), "memory", "problem"),
        (replace(GOOD, cgroups="none"), "cgroups", "problem"),
        (replace(GOOD, driver="vfs", fuse=True), "storage", "remark"),
        (replace(GOOD, driver="", fuse=True), "storage", "problem"),
        (replace(GOOD, namespaces=0), "namespaces", "problem"),
        (replace(GOOD, subuids=0), "subuids", "problem"),
        (replace(GOOD, subgids=100), "subuids", "problem"),
        (replace(GOOD, network_builds=(Path("/home/a"), "nfs4")), "builds", "remark"),
        (replace(GOOD, network=False), "network", "remark"),
        (replace(GOOD, runtime_dir=False), "runtime dir", "remark"),
        (replace(GOOD, keyring=False), "keyring", "problem"),
        (replace(GOOD, without_sigstore=frozenset({"podman"})), "sigstore", "remark"),
    ],
)
def test_one_fault_is_one_finding_with_a_remedy(host: Host, name: str, status: str) -> None:
    """Each fault is told once, alone, and with what to do about it."""
    found = [check for check in judge(host) if check.status != "ok"]

    assert [(check.name, check.status) for check in found] == [(name, status)]
    assert found[0].hint


def test_no_fuse_is_told_where_overlay_is_not_used() -> None:
    """Native overlay needs no /dev/fuse."""
    found = {check.name: check.status for check in judge(replace(GOOD, driver="vfs"))}

    assert found["fuse"] == "remark"


def test_hybrid_cgroups_without_runc_are_a_problem() -> None:
    """Crun refuses them, so something else has to be there."""
    found = {c.name: c.status for c in judge(replace(_without("runc"), cgroups="hybrid"))}

    assert found["cgroups"] == "problem"


def test_a_good_host_needs_no_options() -> None:
    """Podman's own choices stay where they work."""
    assert container_options(GOOD).words == ()


def test_hybrid_cgroups_take_runc() -> None:
    """Crun would refuse to start anything there."""
    assert container_options(replace(GOOD, cgroups="hybrid")).words == ("--runtime", "runc")


def test_root_with_few_files_keeps_its_own_limits() -> None:
    """A root that may not raise limits must not ask for more."""
    host = replace(GOOD, root=True, open_files=ResourceLimits(soft=10, hard=20))

    words = container_options(host).words
    assert words == ("--ulimit", "nofile=10:20", "--ulimit", "nproc=32768:32768")


def test_the_ways_out_are_those_that_work_for_this_user() -> None:
    """What is staged comes first; a user of a directory is not told to call usermod."""
    hints = {
        name: next(check.hint for check in judge(host) if check.name == name)
        for name, host in (
            ("subuids", replace(GOOD, subuids=0, local_user=False)),
            ("storage", replace(GOOD, driver="vfs", fuse=True, kernel="5.10.0-30-amd64")),
        )
    }
    local = next(check.hint for check in judge(replace(GOOD, subuids=0)) if check.name == "subuids")

    assert all("--staged" in hint for hint in (*hints.values(), local))
    assert "usermod" in local
    assert "usermod" not in hints["subuids"]
    assert "subid: sss" in hints["subuids"]
    assert "fuse-overlayfs" in hints["storage"]


def test_on_overlay_a_folder_that_is_noexec_is_no_problem() -> None:
    """An overlay does not take that option from what it lies on; vfs binds the folder itself."""
    noexec = replace(GOOD, noexec=(Path("/mnt"),))

    assert {check.status for check in judge(noexec)} == {"ok"}
    problems = [
        check for check in judge(replace(noexec, driver="vfs")) if check.status == "problem"
    ]
    assert [check.name for check in problems] == ["noexec"]
    assert "--staged" in problems[0].hint


def test_on_a_network_file_system_an_overlay_alone_is_no_remedy() -> None:
    """The storage has to be moved first."""
    network = replace(SAFE, network_stores=((Path("/home/a"), "nfs4"),))

    for check in judge(replace(GOOD, driver="vfs", engines=network)):
        if check.name in {"storage", "stores"}:
            assert "graphroot on a local disk" in check.hint
