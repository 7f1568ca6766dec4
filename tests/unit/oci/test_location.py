"""Where images are, beside what they are called."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import InvalidReferenceError
from imagekit.oci.location import (
    REGISTRY,
    LayoutLocation,
    LocatedReference,
    LocatedRepository,
    Location,
    parse_layout,
    parse_located,
)
from imagekit.oci.reference import Repository, parse_reference

HEX = "ab" * 32
_FOLDER = LayoutLocation(Path("folder"))


@pytest.mark.parametrize(
    ("text", "location", "name"),
    [
        ("reg.example/a:1", REGISTRY, "reg.example/a:1"),
        ("localhost/a:1", REGISTRY, "localhost/a:1"),
        (f"reg.example:5000/a:1@sha256:{HEX}", REGISTRY, f"reg.example:5000/a:1@sha256:{HEX}"),
        ("oci:folder:a:1", _FOLDER, "localhost/a:1"),
        ("oci:folder:apps/a:1", _FOLDER, "localhost/apps/a:1"),
        (f"oci:folder:a:1@sha256:{HEX}", _FOLDER, f"localhost/a:1@sha256:{HEX}"),
        ("oci:folder:Reg.Example/a:1", _FOLDER, "reg.example/a:1"),
        ("oci:folder:reg.example:5000/a:1", _FOLDER, "reg.example:5000/a:1"),
        ("oci:some/folder:a:1", LayoutLocation(Path("some/folder")), "localhost/a:1"),
        ("oci:/abs/folder:r.site/a:1", LayoutLocation(Path("/abs/folder")), "r.site/a:1"),
    ],
)
def test_a_text_is_a_location_and_a_name(text: str, location: Location, name: str) -> None:
    """The name is the same value wherever the image lies."""
    assert parse_located(text) == LocatedReference(location, parse_reference(name))
    assert parse_located(text).reference.full == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a:1",
        "oci:folder",
        "oci:folder:",
        "oci::name:1",
        "oci:folder:name",
        "oci:fol\0der:name:1",
        "oci:folder:127.1:5000/a:1",
        "oci:folder:oci:folder:a:1",
        "oci:5000/x:1",
        "oci-archive:file.tar:a:1",
        "docker://reg.example/a:1",
        "OCI:folder:a:1",
    ],
)
def test_no_location_is_guessed(text: str) -> None:
    """What is neither a name nor an image of a layout is nothing."""
    with pytest.raises(InvalidReferenceError):
        parse_located(text)


@pytest.mark.parametrize("text", ["", "folder", "oci:", "oci:a:b", "oci:a\0", "OCI:a"])
def test_no_layout_is_guessed(text: str) -> None:
    """A layout is a folder whose path has no colon."""
    with pytest.raises(InvalidReferenceError):
        parse_layout(text)


def test_a_layout_of_its_own() -> None:
    """Without a name it is the location alone."""
    assert parse_layout("oci:folder") == _FOLDER
    assert str(_FOLDER) == "oci:folder"


@pytest.mark.parametrize(
    "text",
    [
        "reg.example/a:1",
        f"reg.example/a@sha256:{HEX}",
        "oci:some/folder:apps/a:1",
        "oci:/abs/folder:reg.example/apps/a:1",
        f"oci:folder:a@sha256:{HEX}",
    ],
)
def test_text_survives_parsing(text: str) -> None:
    """What was parsed prints as it was written."""
    assert str(parse_located(text)) == text
    assert parse_located(text).full == text


def test_an_image_asked_for_by_both_is_shown_so() -> None:
    """By its digest where it is found, with its tag where it is told what was asked for."""
    located = parse_located(f"oci:folder:a:1@sha256:{HEX}")

    assert str(located) == f"oci:folder:a@sha256:{HEX}"
    assert located.full == f"oci:folder:a:1@sha256:{HEX}"


def test_what_is_kept_of_one_place_is_kept_of_no_other() -> None:
    """A registry and layouts have keys of their own, whatever their images are called."""
    places = [
        LocatedRepository(location, Repository.parse(name))
        for location in (
            REGISTRY,
            LayoutLocation(Path("/a")),
            LayoutLocation(Path("/b")),
            LayoutLocation(Path("/a:localhost")),
            LayoutLocation(Path("/a r.site")),
        )
        for name in ("localhost/a", "localhost/r.site/a", "r.site/a", "oci:5000/a")
    ]

    assert len({place.key for place in places}) == len(places)


def test_a_registrys_key_is_the_name() -> None:
    """What gates kept of registries is found again."""
    assert LocatedRepository(REGISTRY, Repository.parse("r.site/a")).key == "r.site/a"


def test_only_a_layout_is_below_a_folder() -> None:
    """A relative path is one of the file that it stands in; a registry is where it is."""
    assert _FOLDER.below(Path("/etc")) == LayoutLocation(Path("/etc/folder"))
    assert LayoutLocation(Path("/x")).below(Path("/etc")) == LayoutLocation(Path("/x"))
    assert REGISTRY.below(Path("/etc")) == REGISTRY


@given(st.text(max_size=300))
def test_any_text_is_refused_or_survives(text: str) -> None:
    """The parser has no third way out, and takes no time over it."""
    for written in (text, f"oci:{text}", f"oci:folder:{text}"):
        try:
            located = parse_located(written)
        except InvalidReferenceError:
            continue
        assert parse_located(located.full) == located


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("docker://reg.example/a:1", "write reg.example/a:1: "),
        ("https://reg.example/a:1", "write reg.example/a:1: "),
        ("http://reg.example/a:1", "write reg.example/a:1: "),
        ("docker-daemon:a:1", "oci:FOLDER:NAME:TAG"),
        ("containers-storage:reg.example/a:1", "oci:FOLDER:NAME:TAG"),
        ("dir:folder", "oci:FOLDER:NAME:TAG"),
        ("docker-archive:/a.tar", "oci:FOLDER:NAME:TAG"),
    ],
)
def test_the_words_of_skopeo_are_answered_by_ours(text: str, remedy: str) -> None:
    """A transport of another program is named, with what to write."""
    with pytest.raises(InvalidReferenceError, match=r"transport|begins with") as caught:
        parse_located(text)
    assert remedy in caught.value.hint


@pytest.mark.parametrize("host", ["docker:5000", "dir:5000", "sif:1"])
def test_a_host_may_be_called_as_a_transport(host: str) -> None:
    """Its port tells it from one."""
    assert str(parse_located(f"{host}/a:1")) == f"{host}/a:1"
