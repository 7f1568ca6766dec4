"""Where recipes are published."""

from pathlib import Path

import pytest

from imagekit.errors import InvalidReferenceError
from imagekit.oci.destination import Destination
from imagekit.oci.location import REGISTRY, LayoutLocation

_FOLDER = LayoutLocation(Path("folder"))


@pytest.mark.parametrize(
    ("text", "alias", "name"),
    [
        ("reg.example:5000/apps", "", "reg.example:5000/apps/x/y"),
        ("reg.example", "", "reg.example/x/y"),
        ("oci:folder", "", "localhost/x/y"),
        ("oci:folder", "reg.example/apps", "reg.example/apps/x/y"),
    ],
)
def test_destination_names_the_repository(text: str, alias: str, name: str) -> None:
    """The recipe's name stands under the destination's prefix, wherever that is."""
    assert Destination.parse(text, alias=alias).place("x/y").repository.name == name
    location = _FOLDER if text == "oci:folder" else REGISTRY
    assert Destination.parse(text, alias=alias).place("x/y").location == location


@pytest.mark.parametrize("text", ["", "apps", "reg.example/Apps", "oci:", "oci:a:b", "a b.c/x"])
def test_destination_refuses(text: str) -> None:
    """A destination without a host, or with a bad prefix, is none."""
    with pytest.raises(InvalidReferenceError):
        Destination.parse(text)


@pytest.mark.parametrize(("text", "alias"), [("r.site/apps", "r.site"), ("oci:a", "oci:b")])
def test_only_a_layout_has_an_alias(text: str, alias: str) -> None:
    """It is the registry that a layout's images are named for."""
    with pytest.raises(InvalidReferenceError):
        Destination.parse(text, alias=alias)


def test_a_destination_has_one_spelling() -> None:
    """As every name has."""
    place = Destination.parse("Reg.Example:443/apps").place("a")

    assert place.repository.name == "reg.example/apps/a"
