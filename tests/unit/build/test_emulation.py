"""Whether this host runs programs of another platform."""

from pathlib import Path

import pytest

from imagekit.build import emulation
from imagekit.build.emulation import check_runs, debian_architecture, emulation_fault
from imagekit.errors import ToolNotFoundError
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.types import Platform

OTHER = "s390x" if host_platform().architecture == "ppc64le" else "ppc64le"
MACHINES = {"ppc64le": "1500", "s390x": "0016"}
ORDERS = {"ppc64le": "01", "s390x": "02"}
ENTRY = """\
enabled
interpreter /usr/bin/qemu-static
flags: {flags}
offset 0
magic 7f454c4602{order}01000000000000000000{kind}{machine}
mask ffffffffffffff00fffffffffffffffffeffffff
"""


def registered(folder: Path, *, flags: str = "OCF", machine: str = "", on: str = "enabled") -> Path:
    """Return a folder as binfmt_misc shows it."""
    order = ORDERS[OTHER]
    kind = "0002" if order == "02" else "0200"
    text = ENTRY.format(flags=flags, order=order, kind=kind, machine=machine or MACHINES[OTHER])
    (folder / "status").write_text("enabled\n")
    (folder / "qemu-other").write_text(text.replace("enabled", on, 1))
    return folder


@pytest.fixture
def arch_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is installed."""
    monkeypatch.setattr(emulation, "which", lambda name: f"/usr/bin/{name}")


@pytest.mark.usefixtures("arch_test")
def test_a_platform_that_is_registered_runs(tmp_path: Path) -> None:
    """And this host's own needs nothing."""
    check_runs(Platform(os="linux", architecture=OTHER), registered=registered(tmp_path))
    check_runs(host_platform(), registered=tmp_path / "none")


@pytest.mark.usefixtures("arch_test")
@pytest.mark.parametrize(
    "how", [{"flags": "OC"}, {"machine": "ffff"}, {"on": "disabled"}, {"machine": "zz"}]
)
def test_what_containers_would_not_find_is_refused(tmp_path: Path, how: dict[str, str]) -> None:
    """An interpreter that was not held open, another machine's, one that is off, none at all."""
    with pytest.raises(ToolNotFoundError, match="binfmt_misc") as caught:
        check_runs(Platform(os="linux", architecture=OTHER), registered=registered(tmp_path, **how))
    assert "apt-get install qemu-user-static" in caught.value.hint
    assert caught.value.code == "build/no-emulation"


def test_without_arch_test_mmdebstrap_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is said before."""
    monkeypatch.setattr(emulation, "which", lambda _: None)
    platform = Platform(os="linux", architecture=OTHER)

    assert "arch-test" in emulation_fault(platform, registered=registered(tmp_path))


@pytest.mark.parametrize("folder", ["none", "."])
def test_nothing_is_registered(tmp_path: Path, folder: str) -> None:
    """It is not mounted, or is empty; other machines are not emulated at all."""
    fault = emulation_fault(Platform(os="linux", architecture=OTHER), registered=tmp_path / folder)
    assert "binfmt_misc" in fault
    assert "not emulated" in emulation_fault(Platform(os="linux", architecture="mips"))


def test_debian_has_names_of_its_own() -> None:
    """For some."""
    assert debian_architecture(Platform(os="linux", architecture="ppc64le")) == "ppc64el"
    assert debian_architecture(Platform(os="linux", architecture="arm64")) == "arm64"
