"""The status of a system that is composed of what was resolved."""

from imagekit.resolve.dpkg_status import DpkgStatus
from tests.support.locks import deb

_STATUS = b"""\
Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9
Description: GNU C Library
 and more

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: held
Status: hold ok installed
Architecture: all
Version: 3
"""
_INDEX = """\
Package: greeter
Version: 1.0
Architecture: amd64
Depends: libc6 (>= 2.36)
Tag: a,
 b
Filename: pool/greeter.deb
SHA256: 00
Description: says hello"""


def test_the_status_of_an_image_is_kept_as_it_is() -> None:
    """Without what is not installed any more."""
    text = DpkgStatus.read(_STATUS).text()

    assert " and more" in text
    assert "Package: held" in text
    assert "gone" not in text


def test_a_package_is_added_without_what_is_of_its_file() -> None:
    """What it needs, and that it is there, is what apt reads."""
    status = DpkgStatus.read(_STATUS).with_stanza(deb(), _INDEX)
    (stanza,) = (text for text in status.text().split("\n\n") if "greeter" in text)

    assert stanza.splitlines() == [
        "Package: greeter",
        "Status: install ok installed",
        "Version: 1.0",
        "Architecture: amd64",
        "Depends: libc6 (>= 2.36)",
        "Tag: a,",
        " b",
        "Description: says hello",
    ]


def test_a_package_takes_the_place_of_its_other_version() -> None:
    """Also where it is of all architectures now; another architecture's stays."""
    status = DpkgStatus().with_stanza(deb(), _INDEX)
    other = status.with_stanza(deb(architecture="i386"), _INDEX.replace("amd64", "i386"))
    new = status.with_stanza(
        deb(version="2.0", architecture="all"),
        _INDEX.replace("1.0", "2.0").replace("amd64", "all"),
    )

    assert other.text().count("Package: greeter") == 2
    assert new.text().count("Package: greeter") == 1
    assert new.version("greeter") == "2.0"


def test_a_package_that_no_archive_has_is_there_without_its_needs() -> None:
    """They were resolved when it was locked; its version may have left every mirror."""
    text = DpkgStatus().with_stanza(deb("old", "0.9"), None).text()

    assert "Package: old\nStatus: install ok installed\nVersion: 0.9\n" in text
    assert "Depends" not in text


def test_packages_go() -> None:
    """Those of the system's architecture and of all are meant where none is named."""
    status = DpkgStatus.read(_STATUS).with_stanza(
        deb("libc6", architecture="i386"), _INDEX.replace("greeter", "libc6")
    )
    text = status.without([("held", ""), ("libc6", "i386")], architecture="amd64").text()

    assert "held" not in text
    assert text.count("Package: libc6") == 1
    assert status.version("nothing") == ""
