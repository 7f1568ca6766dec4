"""The configuration of an image: what it inherits, and what it says itself."""

import pytest
from msgspec.structs import replace

from imagekit.build.assemble import ORIGIN, image_config, image_manifest
from imagekit.build.chunked import CHECKSUM
from imagekit.build.image import BuiltLayer, Origin
from imagekit.build.job import BaseContext, Below, BuildPlan, BuildResult
from imagekit.build.plan import make_plan
from imagekit.errors import RecipeError
from imagekit.needs.needs import Mpi, Needs
from imagekit.oci.codec import config_bytes, parse_config
from imagekit.oci.digest import Digest
from imagekit.oci.types import LAYER_ZSTD, Descriptor, Healthcheck, ImageConfig, Platform
from imagekit.recipe.recipe import Recipe
from imagekit.recipe.stated_needs import StatedNeeds

AMD64 = Platform(os="linux", architecture="amd64")
TITLE = "org.opencontainers.image.title"
VENDOR = "org.opencontainers.image.vendor"
BASE = ImageConfig(  # noqa: S604 - no call of a shell
    platform=AMD64,
    created="",
    diff_ids=(),
    labels={"com.example.hooks": "true", TITLE: "the base", VENDOR: "a site"},
    healthcheck=Healthcheck(test=("CMD", "/check"), interval=5, start_interval=1, retries=3),
    shell=("/bin/bash", "-c"),
    stop_signal="SIGQUIT",
    volumes=("/data",),
    exposed_ports=("80/tcp",),
    author="somebody",
)
NOTHING = BuildResult(layers=(), materials=(), tools=())


def plan(recipe: Recipe, inherited: ImageConfig | None = BASE) -> BuildPlan:
    """Return the plan of a recipe on the base."""
    return make_plan(recipe, platform=AMD64, epoch=0, below=Below(config=inherited))


def test_a_layer_keeps_its_own_annotations() -> None:
    """Those of zstd:chunked say where its table of contents is."""
    digest = Digest.of(b"layer")
    descriptor = Descriptor(
        media_type=LAYER_ZSTD, digest=digest, size=5, annotations={CHECKSUM: "sha256:x"}
    )
    layer = BuiltLayer(descriptor=descriptor, diff_id=digest, origin=Origin.RECIPE, title="")

    (found,) = image_manifest(descriptor, (layer,)).layers

    assert found.annotations == {CHECKSUM: "sha256:x", ORIGIN: "recipe"}


def test_a_base_is_inherited_whole(recipe: Recipe) -> None:
    """Labels, health check, shell, signal, volumes: none is lost, and all are written."""
    config = parse_config(config_bytes(image_config(plan(recipe), NOTHING)))

    for name in ("healthcheck", "shell", "stop_signal", "volumes", "exposed_ports", "author"):
        assert getattr(config, name) == getattr(BASE, name), name
    assert config.labels["com.example.hooks"] == "true"
    assert config.labels[VENDOR] == "a site"


def test_what_the_image_needs_is_written_as_labels(recipe: Recipe) -> None:
    """In the words that others know, for whoever has the image and asks no registry."""
    needs = Needs(mpi=Mpi(implementation="mpich"), cpu="x86-64-v3")
    stated = StatedNeeds(needs=needs, place=recipe.place)

    found = image_config(plan(replace(recipe, needs=stated)), NOTHING).labels

    assert found["org.supercontainers.mpi.implementation"] == "mpich"
    assert found["io.archspec.cpu.target"] == "x86_64_v3"


def test_what_a_base_is_called_is_not_inherited(recipe: Recipe) -> None:
    """Its title is not that of the image; what a Containerfile says itself stays."""
    assert image_config(plan(recipe), NOTHING).labels[TITLE] == recipe.name

    described = "org.opencontainers.image.description"
    made = replace(BASE, labels={**BASE.labels, described: "of the Containerfile"})
    found = image_config(plan(recipe), replace(NOTHING, config=made)).labels

    assert found[described] == "of the Containerfile"
    assert found[TITLE] == recipe.name


def test_a_label_of_a_containerfile_is_never_lost_to_the_recipe(recipe: Recipe) -> None:
    """The recipe's title goes over the base's, but not in silence over its Containerfile's."""
    made = replace(BASE, labels={**BASE.labels, TITLE: "of the Containerfile"})

    with pytest.raises(RecipeError, match="of the Containerfile"):
        image_config(plan(recipe), replace(NOTHING, config=made))


def test_triggers_of_a_base_are_not_passed_over(recipe: Recipe) -> None:
    """Steps cannot do them, so that such a base is refused."""
    with pytest.raises(RecipeError, match="ONBUILD RUN x"):
        image_config(plan(recipe, replace(BASE, onbuild=("RUN x",))), NOTHING)


def test_a_containerfile_says_its_own(recipe: Recipe) -> None:
    """Its triggers are kept; no health check is its own word; the base's is kept otherwise."""
    ours = replace(recipe, base=None, containerfile="C")
    none = Healthcheck(test=("NONE",))
    made = replace(BASE, healthcheck=none, onbuild=("RUN y",), labels={})
    base = replace(BASE, onbuild=("RUN x",))

    config = image_config(plan(ours, base), replace(NOTHING, config=made))
    other = image_config(plan(ours, base), replace(NOTHING, config=replace(made, healthcheck=None)))

    assert (config.onbuild, config.healthcheck) == (("RUN y",), none)
    assert other.healthcheck == BASE.healthcheck


def test_keys_tell_configurations_of_bases_apart(recipe: Recipe) -> None:
    """A step sees the environment of its base, a Containerfile all of it."""

    def keys(env: str, shell: str) -> set[str]:
        config = replace(BASE, env=(env,), shell=(shell,))  # noqa: S604 - no call of a shell
        context = BaseContext(name="localhost/x", config=config, layers=())
        steps = plan(recipe, config)
        file = make_plan(
            replace(recipe, base=None, containerfile="C"),
            platform=AMD64,
            epoch=0,
            contexts=(context,),
        )
        return {str(layer.key) for layer in (*steps.layers[:1], *file.layers)}

    assert not keys("A=1", "sh") & keys("A=2", "sh")
    assert len(keys("A=1", "sh") & keys("A=1", "dash")) == 1
