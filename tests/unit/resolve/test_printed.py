"""What apt-get 2.6.1 printed, with the mirrors of an example."""

import pytest

from imagekit.errors import BuildError
from imagekit.resolve.printed import printed_debs, simulated

_HEX = "8d684c673e7483802a5c447834b0df6fce006eb3a7109e1be412f5ad425bb24f"
_URIS = f"""\
'http://mirror.example.org/debian/pool/main/libc/libcap2/libcap2_2.66-4%2bdeb12u3%2bb1_amd64.deb' \
libcap2_1%3a2.66-4+deb12u3+b1_amd64.deb 27708 SHA256:{_HEX}
'http://mirror.example.org/debian/pool/main/g/gcc-12/libstdc%2b%2b6_12.2.0-14%7edeb12u1_amd64.deb' \
libstdc++6_12.2.0-14~deb12u1_amd64.deb 612604 SHA256:{_HEX}
"""
_STEPS = """\
Reading package lists...
Building dependency tree...
The following NEW packages will be installed:
  libcap2
Remv mawk [1.3.4.20200120-3.1]
Inst libcap2 [1:2.66-4] (1:2.66-4+deb12u3+b1 Debian:12.15/oldstable [amd64]) []
Inst libc6:i386 (2.36-9+deb12u14 Debian:12.15/oldstable [i386])
Conf libcap2 (1:2.66-4+deb12u3+b1 Debian:12.15/oldstable [amd64])
"""


def test_packages_are_read_with_what_is_quoted() -> None:
    """Epochs, plus signs and tildes; the file's name is apt's own."""
    first, second = printed_debs(_URIS)

    assert (first.name, first.version, first.architecture) == (
        "libcap2",
        "1:2.66-4+deb12u3+b1",
        "amd64",
    )
    assert (first.size, first.sha256.hex) == (27708, _HEX)
    assert second.name == "libstdc++6"
    assert second.uri.endswith("/libstdc++6_12.2.0-14~deb12u1_amd64.deb")


@pytest.mark.parametrize(
    "line",
    [
        "'http://mirror.example.org/a_1_all.deb' a_1_all.deb 5 MD5Sum:00",
        "'http://mirror.example.org/a_1_all.deb' a_1_all.deb 5 ",
        "'http://mirror.example.org/a_1_all.deb' a_1_all.deb 5 SHA256:00",
        "E: something else",
    ],
)
def test_what_has_no_sha256_is_refused(line: str) -> None:
    """A lock without a digest locks nothing."""
    with pytest.raises(BuildError) as caught:
        printed_debs(_URIS + line)

    assert caught.value.code == "lock/not-resolved"


def test_steps_are_told_apart() -> None:
    """What comes and what goes; what is configured came already."""
    steps = simulated(_STEPS)

    assert steps.installed == {("libcap2", ""), ("libc6", "i386")}
    assert steps.removed == {("mawk", "")}
