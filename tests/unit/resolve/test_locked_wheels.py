"""The Python of a Debian system, by its packages."""

import pytest

from imagekit.oci.types import Platform
from imagekit.resolve.dpkg_status import DpkgStatus
from imagekit.resolve.locked_wheels import debian_python
from tests.support.locks import deb

_AMD64 = Platform(os="linux", architecture="amd64")
_BOOKWORM = {"python3": "3.11.2-1+b1", "python3.11": "3.11.2-6+deb12u6", "libc6": "2.36-9+deb12u14"}


def _status(versions: dict[str, str]) -> DpkgStatus:
    status = DpkgStatus()
    for name, version in versions.items():
        status = status.with_stanza(deb(name, version), None)
    return status


def test_the_python_of_bookworm_is_known_without_running_it() -> None:
    """As it would report itself."""
    python = debian_python(_status(_BOOKWORM), _AMD64)

    assert python is not None
    assert (python.version, python.abi) == ("3.11.2", "cp311")
    assert python.platforms[0] == "manylinux_2_36_x86_64"
    assert python.markers["python_version"] == "3.11"


@pytest.mark.parametrize("missing", list(_BOOKWORM))
def test_a_system_without_one_part_has_no_python(missing: str) -> None:
    """Nothing is guessed."""
    versions = {name: version for name, version in _BOOKWORM.items() if name != missing}

    assert debian_python(_status(versions), _AMD64) is None


@pytest.mark.parametrize("version", ["3.11.2~rc1-1", "3.11", "2.7.18-3", "x"])
def test_what_is_no_release_of_python_3_is_none(version: str) -> None:
    """Its wheels are others, or its version says not enough."""
    assert debian_python(_status({**_BOOKWORM, "python3.11": version}), _AMD64) is None


def test_a_machine_of_which_no_wheels_are_known_has_none() -> None:
    """The words of Python and of Go differ."""
    platform = Platform(os="linux", architecture="mips64le")

    assert debian_python(_status(_BOOKWORM), platform) is None
