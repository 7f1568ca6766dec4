"""From a recipe to its layers: which there are, and what each depends on."""

import pytest
from msgspec.structs import replace

from imagekit.build.image import Origin
from imagekit.build.job import LayerPlan
from imagekit.build.plan import make_plan
from imagekit.oci.types import Platform
from imagekit.recipe.recipe import Packages, Recipe
from tests.support.folder_container import PLACE

PLATFORM = Platform(os="linux", architecture="amd64")


def _entry(name: str, *, own: bool = False) -> Packages:
    return Packages(manager="apt", install=(name,), own_layer=own, place=PLACE)


def _layers(recipe: Recipe, *packages: Packages) -> tuple[LayerPlan, ...]:
    plan = make_plan(replace(recipe, packages=packages), platform=PLATFORM, epoch=1)
    return tuple(layer for layer in plan.layers if layer.origin is Origin.PACKAGES)


@pytest.mark.parametrize(
    ("entries", "layers"),
    [
        ("a b c", "abc"),
        ("a b! c", "a b c"),
        ("a b c! d e", "ab c de"),
        ("a! b! c", "a b c"),
        ("a b c!", "ab c"),
        ("a!", "a"),
    ],
)
def test_entries_are_one_layer_but_for_those_of_their_own(
    recipe: Recipe, entries: str, layers: str
) -> None:
    """The others stay together with those that they stand beside."""
    packages = [_entry(text[0], own=text.endswith("!")) for text in entries.split()]

    made = _layers(recipe, *packages)

    assert " ".join("".join(e.install[0] for e in layer.packages) for layer in made) == layers


def test_a_layer_depends_on_those_below_it_only(recipe: Recipe) -> None:
    """A package that was forgotten costs only itself; one before the others costs them all."""
    many, one, other = _entry("many"), _entry("one", own=True), _entry("other", own=True)

    first = [layer.key for layer in _layers(recipe, many, one)]
    behind = [layer.key for layer in _layers(recipe, many, one, other)]
    before = [layer.key for layer in _layers(recipe, other, many, one)]

    assert behind[:2] == first
    assert behind[2] not in first
    assert not set(before) & set(first)


def test_the_name_of_a_requirements_file_is_in_title_and_key(recipe: Recipe) -> None:
    """The title is in the image's history, so a layer of the cache must have the same."""
    pins = Packages(manager="pip", install=("a==1 --hash=x", "b==2 --hash=y"), place=PLACE)
    files = [replace(pins, requirements=name) for name in ("", "one.txt", "two.txt")]

    layers = [_layers(recipe, entry)[0] for entry in files]

    assert [layer.title for layer in layers] == [
        "pip a==1, b==2",
        "pip one.txt, 2 pins",
        "pip two.txt, 2 pins",
    ]
    assert len({layer.key for layer in layers}) == len(layers)
