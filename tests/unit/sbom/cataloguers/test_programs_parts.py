"""What programs say they were built of: Go, Rust, and notes of packages."""

import json
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from imagekit.sbom.contents import Component, Kind, Sbom
from tests.support.elf import elf_with_sections

Listed = Callable[[Mapping[str, bytes]], Sbom]

MODULES = """\
path\tgithub.com/example/tool/cmd/tool
mod\tgithub.com/example/tool\tv1.2.3\th1:abc=
dep\tgithub.com/old/name\tv0.1.0
=>\tgithub.com/new/name\tv0.2.0\th1:def=
dep\tgolang.org/x/sys\tv0.30.0\th1:ghi=
dep\texample.org/own\tv0.0.0
=>\t./internal/own\t(devel)\t
build\t-compiler=gc
"""


def go(modules: str, version: str = "go1.24.1", flags: int = 2) -> bytes:
    """Return a program of Go with these lines of modules."""
    lines = bytes(range(16)) + modules.encode() + bytes(range(16)) if modules else b""
    header = b"\xff Go buildinf:" + bytes([8, flags]) + bytes(16)
    return elf_with_sections({".go.buildinfo": header + text(version.encode()) + text(lines)})


def text(raw: bytes) -> bytes:
    """Return a text behind its length in base 128."""
    length, prefix = len(raw), b""
    while length >= 0x80:
        prefix += bytes([length & 0x7F | 0x80])
        length >>= 7
    return prefix + bytes([length]) + raw


def rust(crates: list[dict[str, Any]]) -> bytes:
    """Return a program as cargo-auditable builds it."""
    raw = json.dumps({"packages": crates}).encode()
    return elf_with_sections({".dep-v0": zlib.compress(raw)})


def note(order: str = "<", **stated: str) -> bytes:
    """Return a library with a note of its package."""
    raw = json.dumps(stated).encode() + b"\0"
    head = struct.pack(f"{order}3I", 4, len(raw), 0xCAFE1A7E)
    return elf_with_sections({".note.package": head + b"FDO\0" + raw}, order=order)


def of_kind(found: Sbom, kind: Kind) -> dict[str, Component]:
    """Return the components of a kind by their names."""
    return {component.name: component for component in found.components if component.kind is kind}


def test_modules_of_go_are_listed(listed: Listed) -> None:
    """The program's own, what it needs, what replaces that, and Go's library."""
    found = listed({"usr/bin/tool": go(MODULES)})

    modules = of_kind(found, Kind.GO)
    assert {name: (c.version, c.purl) for name, c in modules.items()} == {
        "stdlib": ("1.24.1", "pkg:golang/stdlib@1.24.1"),
        "github.com/example/tool": ("v1.2.3", "pkg:golang/github.com/example/tool@v1.2.3"),
        "github.com/new/name": ("v0.2.0", "pkg:golang/github.com/new/name@v0.2.0"),
        "golang.org/x/sys": ("v0.30.0", "pkg:golang/golang.org/x/sys@v0.30.0"),
        "example.org/own": ("v0.0.0", "pkg:golang/example.org/own@v0.0.0"),
    }
    assert ("imagekit:go:sum", "h1:def=") in modules["github.com/new/name"].properties


def test_a_program_without_a_module_has_its_path(listed: Listed) -> None:
    """It was built outside of any; a version in development is none."""
    paths = {
        "a": go("path\tcommand-line-arguments\n"),
        "b": go("path\tx\nmod\tx.org/y\t(devel)\t\n"),
    }

    modules = of_kind(listed(paths), Kind.GO)

    assert modules["command-line-arguments"].version == ""
    assert modules["x.org/y"].version == ""


@pytest.mark.parametrize("name", ["/", "x.org/", "//", " /"])
def test_a_name_that_ends_in_a_slash_is_no_error(listed: Listed, name: str) -> None:
    """A package URL has none such."""
    crates = [{"name": name, "version": "1"}]
    found = listed(
        {"a": go(f"mod\t{name}\tv1\n"), "b": rust(crates), "c": note(name=name, version="1")}
    )

    assert all(c.name.strip("/") for c in found.components)


def test_the_same_module_in_two_programs_is_there_twice(listed: Listed) -> None:
    """Who mends a fault has to know all of them."""
    found = listed({"usr/bin/a": go(MODULES), "usr/bin/b": go(MODULES)})

    assert len([c for c in found.components if c.name == "golang.org/x/sys"]) == 2


@pytest.mark.parametrize(
    "raw",
    [
        go(MODULES, flags=0),
        elf_with_sections({".go.buildinfo": b"\xff Go"}),
        elf_with_sections({".go.buildinfo": bytes((1 << 20) + 1)}),
        elf_with_sections(
            {".go.buildinfo": b"\xff Go buildinf:\x08\x02" + bytes(16) + b"\x01g\x09a"}
        ),
        go("", version=""),
    ],
)
def test_an_older_or_damaged_program_of_go_is_a_note(listed: Listed, raw: bytes) -> None:
    """It is not taken for one without modules."""
    found = listed({"usr/bin/tool": raw})

    assert of_kind(found, Kind.GO) == {}
    assert found.notes == ("/usr/bin/tool is of Go before 1.18 or damaged: no modules are listed",)


def test_crates_are_listed(listed: Listed) -> None:
    """With what each needs; what only a build needed is not in the program."""
    crates: list[dict[str, Any]] = [
        {"name": "adler", "version": "1.0.2", "source": "crates.io"},
        {"name": "cc", "version": "1.0.0", "source": "crates.io", "kind": "build"},
        {"name": "tool", "version": "0.1.0", "source": "local", "dependencies": [0, 1, "x", 99]},
    ]

    found = of_kind(listed({"opt/tool": rust(crates)}), Kind.RUST)

    assert set(found) == {"adler", "tool"}
    assert found["tool"].purl == "pkg:cargo/tool@0.1.0"
    assert found["tool"].depends == (found["adler"].ref,)


@pytest.mark.parametrize("raw", [b"no zlib", zlib.compress(b"[]"), zlib.compress(bytes(9 << 20))])
def test_a_damaged_list_of_crates_is_a_note(listed: Listed, raw: bytes) -> None:
    """Also one that unpacks to more than is read."""
    found = listed({"opt/tool": elf_with_sections({".dep-v0": raw})})

    assert of_kind(found, Kind.RUST) == {}
    assert found.notes == ("/opt/tool states no valid name and version",)


def test_crates_of_many_programs_are_bounded(listed: Listed) -> None:
    """A kilobyte of a program unpacks to a megabyte."""
    raw = elf_with_sections({".dep-v0": zlib.compress(b'{"packages":[]}'.ljust(1 << 20))})

    found = listed({f"opt/{number}": raw for number in range(70)})

    assert found.notes == ("the crates of 6 Rust programs were not read: too large together",)


@pytest.mark.parametrize("order", ["<", ">"])
def test_notes_of_packages_are_listed_once(listed: Listed, order: str) -> None:
    """Of both orders of bytes, with the distribution's kind of package."""
    raw = note(order, type="deb", name="coreutils", version="9.7-3", architecture="amd64")
    found = listed({"etc/os-release": b"ID=debian\nVERSION_ID=13\n", "bin/a": raw, "bin/b": raw})

    (package,) = of_kind(found, Kind.ELF).values()
    assert package.purl == "pkg:deb/debian/coreutils@9.7-3?arch=amd64&distro=debian-13"


def test_what_a_database_lists_is_not_listed_by_its_notes(listed: Listed) -> None:
    """Each of its programs has the same note."""
    status = b"Package: coreutils\nVersion: 9.7-3\nArchitecture: amd64\n\n"
    found = listed(
        {
            "var/lib/dpkg/status": status,
            "var/lib/dpkg/info/coreutils.list": b"/bin/a\n",
            "bin/a": note(type="deb", name="coreutils", version="9.7-3"),
        }
    )

    assert of_kind(found, Kind.ELF) == {}
    assert set(of_kind(found, Kind.DEBIAN)) == {"coreutils"}


@pytest.mark.parametrize("raw", [note(name="x"), elf_with_sections({".note.package": b"short"})])
def test_a_note_without_a_version_is_no_package(listed: Listed, raw: bytes) -> None:
    """It is a program as any other."""
    assert of_kind(listed({"bin/a": raw}), Kind.ELF) == {}
