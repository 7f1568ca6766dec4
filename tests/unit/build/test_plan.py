"""From a recipe to its layers: which there are, and what each depends on."""

import pytest
from msgspec.structs import replace

from imagekit.build.image import BuiltLayer, Origin
from imagekit.build.job import Below, BuildPlan, LayerPlan
from imagekit.build.plan import make_plan
from imagekit.lock.lock import LockedDeb, LockedInstall, LockedPlatform, LockedTree
from imagekit.oci.digest import Digest
from imagekit.oci.types import LAYER_GZIP, Descriptor, ImageConfig, Platform
from imagekit.recipe.recipe import (
    COMPRESSIONS,
    Base,
    BuildStage,
    Packages,
    Recipe,
    RunStep,
    ScratchBase,
    StageCopy,
    Step,
)
from tests.support.folder_container import PLACE

_RUN = RunStep(command="true", place=PLACE)
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


def test_layers_of_another_compressor_are_others(recipe: Recipe) -> None:
    """They have other digests, so that none is taken for the other."""
    keys = [
        make_plan(replace(recipe, compression=compression), platform=PLATFORM, epoch=1).layers
        for compression in COMPRESSIONS
    ]

    assert len({layers[0].key for layers in keys}) == len(COMPRESSIONS)


def _stage(name: str = "build", *steps: Step, base: Base | None = None) -> BuildStage:
    return BuildStage(name=name, base=base, packages=(_entry("gcc"),), steps=steps, place=PLACE)


def _copy(stage: str = "build") -> StageCopy:
    return StageCopy(stage=stage, source="/opt/x", to="/opt/x", place=PLACE, named=PLACE)


def _staged(recipe: Recipe, *stages: BuildStage, **below: Below) -> BuildPlan:
    recipe = replace(recipe, stages=stages, steps=(_copy(stages[-1].name),))
    return make_plan(recipe, platform=PLATFORM, epoch=1, stages=below)


def test_a_stage_stands_on_what_the_recipe_stands_on(recipe: Recipe) -> None:
    """Its first layer is that of the image, and is made once; its others are not the image's."""
    plan = _staged(recipe, _stage())
    (stage,) = plan.stages

    assert [layer.title for layer in stage.layers] == ["debian bookworm", "apt gcc"]
    assert [layer.title for layer in plan.layers] == [
        "debian bookworm",
        "copy /opt/x of build to /opt/x",
    ]
    assert stage.layers[0].key == plan.layers[0].key
    assert [layer.of_stage for layer in stage.layers] == [False, True]


def test_packages_of_a_stage_are_not_the_layer_of_an_image(recipe: Recipe) -> None:
    """What is remembered of it is more: its packages are materials."""
    plan = _staged(replace(recipe, packages=(_entry("gcc"),)), _stage())

    assert plan.stages[0].layers[1].key != plan.layers[1].key


def test_what_is_copied_depends_on_all_of_its_stage(recipe: Recipe) -> None:
    """On its packages, on what it copies itself, and on a base that no digest of a recipe has."""
    image = ScratchBase(place=PLACE)
    layers = [Below(layers=(_layer(raw),)) for raw in (b"one", b"two")]
    env = Below(layers=(_layer(b"one"),), config=_config("A=b"))
    plans = [
        _staged(recipe, _stage()),
        _staged(recipe, replace(_stage(), packages=(_entry("clang"),))),
        _staged(recipe, _stage("tools"), _stage("build", _copy("tools"))),
        _staged(recipe, _stage("tools", base=image), _stage("build", _copy("tools"))),
        *(_staged(recipe, _stage(base=image), build=below) for below in (*layers, env)),
        *(
            _staged(recipe, _stage("a", base=image), _stage("build", _copy("a")), a=below)
            for below in (*layers, env)
        ),
    ]

    assert len({plan.layers[-1].key for plan in plans}) == len(plans)


def test_two_stages_of_the_same_steps_are_two(recipe: Recipe) -> None:
    """Their environment may be another one, which only the recipe's digest knows."""
    one = BuildStage(name="one", steps=(RunStep(command="make", place=PLACE),), place=PLACE)
    plan = _staged(recipe, one, replace(one, name="two", env={"CC": "clang"}))

    assert len({stage.layers[-1].key for stage in plan.stages}) == 2
    assert [stage.env for stage in plan.stages] == [{}, {"CC": "clang"}]


def _layer(raw: bytes) -> BuiltLayer:
    descriptor = Descriptor(media_type=LAYER_GZIP, digest=Digest.of(raw), size=1)
    return BuiltLayer(
        descriptor=descriptor, diff_id=Digest.of(raw), origin=Origin.BASE, title="base"
    )


def _config(*env: str) -> ImageConfig:
    return ImageConfig(platform=PLATFORM, created="", diff_ids=(), env=env)


def _deb(name: str, version: str = "1") -> LockedDeb:
    return LockedDeb(
        name=name,
        version=version,
        architecture="amd64",
        sha256=Digest.of(f"{name} {version}".encode()),
        size=1,
        path=f"pool/{name}.deb",
        archive="debian",
    )


def _locked(version: str = "1", **changes: object) -> LockedPlatform:
    entry = LockedInstall(manager="apt", asked=("gcc",), debs=(_deb("gcc", version),))
    tree = LockedTree(base="debian bookworm", bootstrap=(_deb("libc6"),), installs=(entry,))
    return LockedPlatform(image=replace(tree, **changes))


def _locked_keys(
    recipe: Recipe, locked: LockedPlatform | None, mirror: str = "http://a.site/debian"
) -> list[Digest]:
    recipe = replace(recipe, packages=(_entry("gcc"),), steps=(_RUN,))
    below = Below(mirrors={"debian": mirror})
    plan = make_plan(recipe, platform=PLATFORM, epoch=1, below=below, locked=locked)
    assert {layer.locked for layer in plan.layers} == {locked is not None}
    return [layer.key for layer in plan.layers]


def test_the_keys_of_a_lock_have_its_packages_and_no_mirror(recipe: Recipe) -> None:
    """The same lock by another mirror is the same; another version is another layer."""
    keys = _locked_keys(recipe, _locked())

    assert _locked_keys(recipe, _locked(), "http://b.site/debian") == keys
    assert [a == b for a, b in zip(_locked_keys(recipe, _locked("2")), keys, strict=True)] == [
        True,
        False,
        False,
    ]
    other = _locked_keys(recipe, _locked(bootstrap=(_deb("libc6", "2"),)))
    assert not set(other) & set(keys)


def test_no_layer_of_a_lock_is_taken_for_one_without(recipe: Recipe) -> None:
    """That one is good for a day only."""
    assert not set(_locked_keys(recipe, _locked())) & set(_locked_keys(recipe, None))


def test_each_layer_gets_its_own_part_of_the_lock(recipe: Recipe) -> None:
    """In the order of entries; a stage without a base of its own begins as the image does."""
    installs = tuple(
        LockedInstall(manager="apt", asked=(name,), debs=(_deb(name),)) for name in "abc"
    )
    locked = replace(
        _locked(installs=installs),
        stages={"build": LockedTree(base="", installs=installs[:1])},
    )
    stage = BuildStage(name="build", packages=(_entry("a"),), place=PLACE)
    entries = (_entry("a"), _entry("b"), _entry("c", own=True))
    recipe = replace(recipe, packages=entries, stages=(stage,))

    plan = make_plan(recipe, platform=PLATFORM, epoch=1, locked=locked)

    assert [[i.asked[0] for i in layer.installs] for layer in plan.layers] == [
        [],
        ["a", "b"],
        ["c"],
    ]
    bootstrap, packages = plan.stages[0].layers
    assert bootstrap.key == plan.layers[0].key
    assert [deb.name for deb in bootstrap.debs] == ["libc6"]
    assert [install.asked for install in packages.installs] == [("a",)]
