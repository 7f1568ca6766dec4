"""Alpine's packages."""

from collections.abc import Callable, Mapping

import pytest

from imagekit.sbom.catalogue import catalogue
from imagekit.sbom.contents import Kind, License, Sbom, Subject, Supplier
from imagekit.sbom.layer_files import read_layer

Listed = Callable[[Mapping[str, bytes]], Sbom]

MUSL = b"""\
C:Q1zN+GwjBMmTqxA7SSJX7dKVVJyQE=
P:musl
V:1.2.5-r0
A:x86_64
T:the musl c library (libc) implementation
U:https://musl.libc.org/
L:MIT
o:musl
m:Timo Teras <timo.teras@iki.fi>
p:so:libc.musl-x86_64.so.1=1
F:lib
R:ld-musl-x86_64.so.1
"""
SSL = b"""\
P:ssl_client
V:1.36.1-r29
A:x86_64
L:GPL-2.0-only
o:busybox
D:so:libc.musl-x86_64.so.1 !conflicting musl>=1.2
F:usr/bin
R:ssl_client
"""
SYSTEM = {"etc/os-release": b"ID=alpine\nVERSION_ID=3.20.3\n"}


@pytest.mark.parametrize("place", ["lib/apk/db/installed", "usr/lib/apk/db/installed"])
def test_packages_are_listed_with_what_they_state(listed: Listed, place: str) -> None:
    """In the database's old place, and in its new one."""
    found = listed({**SYSTEM, place: MUSL + b"\n" + SSL + b"\n"})

    musl, ssl = (c for c in found.components if c.kind is Kind.APK)
    assert musl.purl == "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.3"
    assert musl.licenses == (License(stated="MIT", spdx="MIT"),)
    assert musl.supplier == Supplier(name="Timo Teras", email="timo.teras@iki.fi")
    assert musl.homepage == "https://musl.libc.org/"
    assert "upstream=busybox" in ssl.purl
    assert ssl.depends == (musl.ref,)
    assert found.notes == ()


def test_files_are_owned(listed: Listed) -> None:
    """A library that a package brought is not one that nobody owns."""
    elf = b"\x7fELF"
    files = {"lib/apk/db/installed": MUSL, "lib/ld-musl-x86_64.so.1": elf, "opt/own.so": elf}

    found = listed(files)

    assert [c.name for c in found.components if c.kind is Kind.PROGRAM] == ["/opt/own.so"]


def test_an_entry_without_a_version_is_a_note(listed: Listed) -> None:
    """The others are listed."""
    found = listed({"lib/apk/db/installed": b"P:half\n\n" + MUSL})

    assert [c.name for c in found.components] == ["musl"]
    assert found.notes == ("/lib/apk/db/installed states no valid name and version",)


def test_a_package_belongs_to_the_layer_that_it_came_in(tar: Callable[..., bytes]) -> None:
    """Though every layer has the database anew."""
    files = [{"lib/apk/db/installed": MUSL}, {"lib/apk/db/installed": MUSL + b"\n" + SSL}]
    layers = [read_layer([tar(each)], layer=str(n)) for n, each in enumerate(files)]

    found = catalogue(layers, subject=Subject(name="x"))

    assert {c.name: c.layer for c in found.components} == {"musl": "0", "ssl_client": "1"}
