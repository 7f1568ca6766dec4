"""A package URL leads to the ecosystems, names and versions that advisories have for it."""

import pytest

from imagekit.errors import DocumentError
from imagekit.scan.ecosystems import lookup_of, stated_kind


@pytest.mark.parametrize(
    ("purl", "kind", "names"),
    [
        ("pkg:deb/debian/bash@5.2?distro=debian-12", "Debian:12", {"bash": "5.2"}),
        (
            "pkg:deb/debian/libssl3@3.0.14-1?distro=debian-12.7&upstream=openssl",
            "Debian:12",
            {"openssl": "3.0.14-1"},
        ),
        ("pkg:deb/debian/a@1+b1?upstream=b%401&distro=debian", "Debian:sid", {"b": "1"}),
        ("pkg:deb/ubuntu/bash@5?distro=ubuntu-24.04", "Ubuntu:24.04", {"bash": "5"}),
        (
            "pkg:apk/alpine/libcrypto3@3.1-r0?distro=alpine-3.20.1&upstream=openssl",
            "Alpine:v3.20",
            {"openssl": "3.1-r0"},
        ),
        (
            "pkg:rpm/rocky/libs@3.0.7-1.el9?distro=rocky-9.3&epoch=1&upstream=openssl-3-1.src.rpm",
            "Rocky Linux:9",
            {"openssl": "1:3.0.7-1.el9"},
        ),
        (
            "pkg:rpm/rhel/libx@1-1?distro=rhel-9.4&upstream=x-1-1.src.rpm",
            "Red Hat:9",
            {"x": "1-1", "libx": "1-1"},
        ),
        ("pkg:rpm/sles/a@1?distro=sles-15.5", "SUSE:15 SP5", {"a": "1"}),
        ("pkg:rpm/opensuse-leap/a@1?distro=opensuse-leap-15.6", "openSUSE:Leap 15.6", {"a": "1"}),
        ("pkg:pypi/Foo_Bar@1", "PyPI", {"foo-bar": "1"}),
        ("pkg:npm/%40scope/name@1.0.0", "npm", {"@scope/name": "1.0.0"}),
        ("pkg:maven/org.x/y@1", "Maven", {"org.x:y": "1"}),
        ("pkg:golang/github.com/a/b@v1.0.0", "Go", {"github.com/a/b": "v1.0.0"}),
        ("pkg:golang/stdlib@1.22.1", "Go", {"stdlib": "1.22.1"}),
        ("pkg:cargo/serde@1", "crates.io", {"serde": "1"}),
    ],
)
def test_a_package_is_looked_up_as_advisories_name_it(
    purl: str, kind: str, names: dict[str, str]
) -> None:
    """By its source where advisories speak of sources, with its epoch."""
    lookup = lookup_of(purl)

    assert lookup is not None
    assert (lookup.kind, dict(lookup.names)) == (kind, names)


@pytest.mark.parametrize(
    ("purl", "ecosystem", "speaks"),
    [
        ("pkg:deb/debian/a@1?distro=debian-1", "Debian:1", True),
        ("pkg:deb/debian/a@1?distro=debian-1", "Debian:12", False),
        ("pkg:deb/debian/a@1?distro=debian-12", "Debian", True),
        ("pkg:deb/ubuntu/a@1?distro=ubuntu-22.04", "Ubuntu:22.04:LTS", True),
        ("pkg:deb/ubuntu/a@1?distro=ubuntu-22.04", "Ubuntu:Pro:22.04:LTS", False),
        ("pkg:rpm/rhel/a@1?distro=rhel-9.4", "Red Hat:enterprise_linux:9::baseos", True),
        ("pkg:rpm/rhel/a@1?distro=rhel-9.4", "Red Hat:enterprise_linux:90::baseos", False),
        ("pkg:rpm/rhel/a@1?distro=rhel-9.4", "Red Hat:rhel_aus:8.4::appstream", False),
        ("pkg:rpm/sles/a@1?distro=sles-15.5", "SUSE:Linux Enterprise Server 15 SP5", True),
        ("pkg:rpm/sles/a@1?distro=sles-15.5", "SUSE:Linux Enterprise Server 15 SP4", False),
        ("pkg:rpm/openeuler/a@1?distro=openEuler-24.03", "openEuler:24.03-LTS-SP1", True),
    ],
)
def test_only_its_own_release_speaks_of_a_package(
    purl: str, ecosystem: str, *, speaks: bool
) -> None:
    """Another release has other versions and other fixes."""
    lookup = lookup_of(purl)

    assert lookup is not None
    assert lookup.ecosystems([ecosystem]) == ((ecosystem,) if speaks else ())


@pytest.mark.parametrize("purl", ["pkg:generic/a@1", "pkg:rpm/fedora/a@1", "pkg:cpan/X/a@1"])
def test_of_some_kinds_no_advisories_speak(purl: str) -> None:
    """They are told apart from what the data lack."""
    assert lookup_of(purl) is None
    assert stated_kind(purl)


def test_what_is_no_package_url_is_refused() -> None:
    """An SBOM of somebody else may say anything."""
    with pytest.raises(DocumentError):
        lookup_of("pkg:")
