"""The platform of this machine."""

import platform

import pytest

from imagekit.oci.hostplatform import host_platform


@pytest.mark.parametrize(
    ("machine", "named"),
    [
        ("x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("ppc64le", "linux/ppc64le"),
        ("riscv64", "linux/riscv64"),
    ],
)
def test_machines_have_the_names_of_go(
    monkeypatch: pytest.MonkeyPatch, machine: str, named: str
) -> None:
    """As indexes list them; what the kernel and Go call alike is not translated."""
    monkeypatch.setattr(platform, "machine", lambda: machine)

    assert str(host_platform()) == named
