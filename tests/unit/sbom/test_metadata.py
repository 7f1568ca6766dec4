"""Python metadata is read as installers read it: by the email package, on real files too."""

import email.parser
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path

import pytest

from imagekit.sbom.catalogue import catalogue
from imagekit.sbom.cataloguers.python import _header, _headers
from imagekit.sbom.contents import Kind, LayerFiles, Sbom, Subject

FOLDED = """\
Metadata-Version: 2.1
Name: numpy
Version: 1.26.4
License: Copyright (c) 2005-2023, NumPy Developers.
        All rights reserved.
        
        Redistribution and use in source and binary forms, with or without
        Name: not a header
\t
Classifier: License :: OSI Approved :: BSD License
Requires-Dist: other (>=1)

Requires-Dist: not a header
"""  # noqa: W293 - a line of blanks within a folded header


def listed(documents: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> Sbom:
    """Catalogue an image of these files."""
    files = LayerFiles(documents=documents, links=links or {})
    return catalogue([files], subject=Subject(name="x"))


def corpus() -> list[Path]:
    """Return the metadata of all that is installed beside these tests."""
    found = [
        path
        for one in distributions()
        for name in ("METADATA", "PKG-INFO")
        if (path := Path(str(one.locate_file(getattr(one, "_path", "")))) / name).is_file()
    ]
    return sorted(set(found))


def by_email(text: str) -> dict[str, list[str]]:
    """Return the headers as the standard library reads the whole file."""
    found: dict[str, list[str]] = {}
    for key, value in email.parser.Parser().parsestr(text).items():
        found.setdefault(key.lower(), []).append(value.strip())
    return found


def test_real_metadata_is_read_as_the_standard_library_reads_it() -> None:
    """Whatever is installed here: every header that is wanted has the same values."""
    files = corpus()

    assert len(files) > 20
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        whole = by_email(text)
        for key, values in _headers(_header(text)).items():
            assert list(values) == whole[key], file
        assert {"name", "version"} <= _headers(_header(text)).keys()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "text",
    [
        FOLDED,
        "Name: a\n\nVersion: 1\n",
        "\nName: a\nVersion: 1\n",
        "Name: a\nno header\nVersion: 1\n",
        "Name : a\nVersion: 1\n",
        " Name: folded into nothing\nVersion: 1\n",
        "From somebody\nName: a\nVersion: 1\n",
        "Name: a\n \n  \nVersion: 1\n\t\nSummary: s\n",
        "Name:a\nVERSION:1",
        "",
    ],
)
def test_odd_metadata_is_read_so_too(text: str, end: str) -> None:
    """Folded lines, lines that are no headers, and every end of a line."""
    written = text.replace("\n", end)
    whole = by_email(written)

    found = _headers(_header(written))

    assert {key: list(values) for key, values in found.items()} == {
        key: values for key, values in whole.items() if key in found
    }
    assert found.keys() >= whole.keys() & {"name", "version", "summary", "license"}


def test_a_folded_licence_ends_nothing() -> None:
    """Behind a line of blanks, licence and dependencies are still headers."""
    found = listed(
        {
            "s/numpy-1.dist-info/METADATA": FOLDED.encode(),
            "s/other-1.dist-info/METADATA": b"Name: other\nVersion: 1\n",
        }
    )

    (numpy,) = (one for one in found.components if one.name == "numpy")
    assert [one.stated for one in numpy.licenses] == ["BSD License"]
    assert numpy.depends == ("pkg:pypi/other@1",)


def test_an_egg_is_catalogued() -> None:
    """The metadata of an egg lies in EGG-INFO."""
    found = listed({"s/z.egg/EGG-INFO/PKG-INFO": b"Name: zed\nVersion: 3\n"})

    assert [(one.kind, one.name, one.version) for one in found.components] == [
        (Kind.PYTHON, "zed", "3")
    ]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("link", "noted"), [("/src/zed\n.", False), ("../src/zed\n", False), ("/src/other\n", True)]
)
def test_a_link_to_sources_leads_to_metadata_or_is_noted(link: str, noted: bool) -> None:  # noqa: FBT001 - the claim
    """What ``develop`` left behind is catalogued where it lies, or said."""
    found = listed(
        {
            "s/zed.egg-link": link.encode(),
            "src/zed/zed.egg-info/PKG-INFO": b"Name: zed\nVersion: 3\n",
        }
    )

    assert {one.name for one in found.components} == {"zed"}
    assert bool(found.notes) == noted
    assert all("/s/zed.egg-link leads to" in note for note in found.notes)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("usr/lib/opkg/status", "opkg"),
        ("var/lib/pacman/local/glibc-2.40/desc", "pacman"),
        ("nix/var/nix/db/db.sqlite", "Nix"),
        ("s/z-1-py3.11.egg", "zipped egg"),
    ],
)
def test_what_is_recognised_and_not_read_is_a_note(path: str, kind: str) -> None:
    """A database of another package manager is never passed over, wherever it lies."""
    (note,) = listed({path: b""}).notes

    assert note.startswith(f"the packages of its {kind} database are not catalogued")
    assert f"/{path}" in note


@pytest.mark.parametrize(
    "path",
    ["var/lib/dpkg/alternatives/jar", "usr/share/doc/rpm/Packages.txt", "app/package.json", "egg"],
)
def test_what_is_only_called_alike_is_no_note(path: str) -> None:
    """Notes about nothing are read over, and so is the next one."""
    assert listed({path: b""}).notes == ()


def test_what_a_debian_package_brings_is_no_other_database() -> None:
    """Debian's own jars and modules are components already."""
    found = listed(
        {
            "var/lib/dpkg/status": b"Package: a\nVersion: 1\nArchitecture: all\n",
            "var/lib/dpkg/info/a.list": b"/usr/share/java/a.egg\n",
            "usr/share/java/a.egg": b"",
        }
    )

    assert found.notes == ()


def test_the_files_of_a_package_named_in_base64_are_its_own() -> None:
    """Images of distroless call a fragment and its list by the package's name in base64."""
    fragment = "var/lib/dpkg/status.d/bGliYzY="
    found = listed(
        {
            fragment: b"Package: libc6\nVersion: 1\nArchitecture: amd64\n",
            f"{fragment}.md5sums": b"0123  usr/share/java/a.egg\n",
            "usr/share/java/a.egg": b"",
        }
    )

    assert [one.name for one in found.components] == ["libc6"]
    assert "imagekit:dpkg:md5sums:files" in dict(found.components[0].properties)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("s/a-1.dist-info/METADATA", "/store/text"),
        ("s/a-1.dist-info", "/store/a"),
        ("s/a.egg-info", "../store/text"),
        ("var/lib/dpkg/status.d/a", "/store/text"),
        ("var/lib/dpkg/status", "/store/text"),
    ],
)
def test_a_link_in_the_place_of_metadata_is_not_passed_over(path: str, target: str) -> None:
    """What it leads to has another name, so that nothing reads it: the link is noted."""
    (note,) = listed({}, {path: target}).notes

    assert f"/{path}" in note


@pytest.mark.parametrize(
    "links",
    [
        {"t": "s", "s/b-1.dist-info": "a-1.dist-info"},
        {"s/b-1.dist-info/METADATA": "../a-1.dist-info/METADATA"},
    ],
)
def test_a_link_to_what_is_catalogued_is_no_note(links: Mapping[str, str]) -> None:
    """Stores of links, as Stow and Spack lay them out, are catalogued where the files lie."""
    found = listed({"s/a-1.dist-info/METADATA": b"Name: a\nVersion: 1\n"}, links)

    assert [one.name for one in found.components] == ["a"]
    assert found.notes == ()
