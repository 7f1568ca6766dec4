"""SLSA provenance."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.build.image import BuiltImage, BuiltLayer, Material, Origin
from imagekit.build.inputs_digest import Inputs
from imagekit.documents.place import SourcePlace
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Repository
from imagekit.oci.types import CONFIG, LAYER_GZIP, MANIFEST, Descriptor, Platform
from imagekit.recipe.recipe import Recipe, ScratchBase, Secret, Tags
from imagekit.sign.own import own_statements
from imagekit.sign.provenance import (
    inputs_documents,
    provenance,
    recipe_digest_of,
    recipe_digests,
    same_build,
)
from imagekit.sign.signing import attest, subjects
from imagekit.signatures.intoto import (
    SLSA_PROVENANCE,
    Statement,
    StatementSubject,
    parse_statement,
    statement_bytes,
)
from tests.support.fakes import FixedClock, MemoryRegistry, MemorySigner, push_image

PLACE = SourcePlace("recipe.yaml", 1, 1)
DIGEST = Digest.of(b"")
RECIPE = Recipe(
    folder=Path("/home/admin/private/solver"),
    file=Path("/home/admin/private/solver/recipe.yaml"),
    digest=Digest.of(b"recipe"),
    name="solver",
    version="1.0",
    place=PLACE,
    base=ScratchBase(place=PLACE),
    build_args={"CFLAGS": "-O2"},
    secrets=(Secret(id="token", env="HUSH_ENV", place=PLACE),),
    tags=Tags(immutable=("1.0",), moving=()),
)


def _descriptor(media_type: str) -> Descriptor:
    return Descriptor(media_type=media_type, digest=DIGEST, size=0)


BUILT = BuiltImage(
    layout=Path("/var/store"),
    manifest=_descriptor(MANIFEST),
    config=_descriptor(CONFIG),
    layers=(
        BuiltLayer(
            descriptor=_descriptor(LAYER_GZIP),
            diff_id=Digest.of(b"layer"),
            origin=Origin.BASE,
            title="base",
        ),
    ),
    platform=Platform(os="linux", architecture="amd64"),
    name="solver",
    version="1.0",
    epoch=1000,
    recipe_digest=RECIPE.digest,
    materials=(Material(uri="pkg:deb/debian/libc6@2.36", digest=DIGEST, name="libc6"),),
    tools=(("buildah", "1.28.2"),),
    isolations=("oci (runc)", "chroot"),
    started=0.0,
    finished=60.0,
)
SUBJECT = StatementSubject(name="reg.example/solver:1.0", digest=DIGEST)


def _provenance(**changes: Any) -> Statement:
    return provenance(
        RECIPE, replace(BUILT, **changes), subjects=[SUBJECT], invocation=f"run {changes}"
    )


def test_secrets_and_folders_of_the_builder_do_not_leave_it() -> None:
    """A secret is known by its id only, and the path says nothing of the admin's home."""
    raw = statement_bytes(_provenance()).decode()

    assert "HUSH_ENV" not in raw
    assert "/home" not in raw
    assert '"secrets":["token"]' in raw


def test_provenance_has_the_parts_that_slsa_asks_for() -> None:
    """Every field of the specification that imagekit fills, with its value."""
    assert _provenance().predicate == {
        "buildDefinition": {
            "buildType": "https://imagekit.dev/build/recipe/v1",
            "externalParameters": {
                "recipe": {
                    "path": "solver/recipe.yaml",
                    "name": "solver",
                    "version": "1.0",
                    "digest": {"sha256": Digest.of(b"recipe").hex},
                },
                "buildArgs": {"CFLAGS": "-O2"},
                "secrets": ["token"],
            },
            "internalParameters": {
                "platform": "linux/amd64",
                "sourceDateEpoch": 1000,
                "isolation": ["oci (runc)", "chroot"],
            },
            "resolvedDependencies": [
                {
                    "uri": "pkg:deb/debian/libc6@2.36",
                    "name": "libc6",
                    "digest": {"sha256": DIGEST.hex},
                }
            ],
        },
        "runDetails": {
            "builder": {
                "id": "https://imagekit.dev/builder/local",
                "version": {"buildah": "1.28.2"},
            },
            "metadata": {
                "invocationId": "run {}",
                "startedOn": "1970-01-01T00:00:00Z",
                "finishedOn": "1970-01-01T00:01:00Z",
            },
            "byproducts": [{"name": "base", "digest": {"sha256": Digest.of(b"layer").hex}}],
        },
    }


def test_the_recipe_digest_survives_the_wire() -> None:
    """What publish asks an existing release for."""
    statement = parse_statement(statement_bytes(_provenance()))

    assert recipe_digest_of(statement) == RECIPE.digest


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"predicate_type": "https://slsa.dev/provenance/v0.2"}, id="other type"),
        pytest.param({"predicate": {}}, id="empty"),
        pytest.param({"predicate": {"buildDefinition": []}}, id="list"),
        pytest.param(
            {
                "predicate": {
                    "buildDefinition": {
                        "buildType": "https://imagekit.dev/build/recipe/v1",
                        "externalParameters": {"recipe": {"digest": {"sha256": "x"}}},
                    }
                }
            },
            id="malformed digest",
        ),
        pytest.param(
            {
                "predicate": {
                    "buildDefinition": {
                        "buildType": "https://other.example",
                        "externalParameters": {"recipe": {"digest": {"sha256": "a" * 64}}},
                    }
                }
            },
            id="other build type",
        ),
    ],
)
def test_no_recipe_digest_is_read_out_of_something_else(changes: dict[str, Any]) -> None:
    """Another builder's provenance names no recipe of ours."""
    statement = Statement(subjects=(SUBJECT,), predicate_type=SLSA_PROVENANCE)

    assert recipe_digest_of(replace(statement, **changes)) is None


def test_runs_are_the_same_build_unless_what_was_built_differs() -> None:
    """Times and the run's name do not count; materials and tools do."""
    assert same_build(_provenance(), _provenance(started=5.0))
    assert not same_build(_provenance(), _provenance(materials=()))
    assert not same_build(_provenance(), _provenance(tools=()))


def test_a_second_run_attests_nothing_again_and_only_our_key_is_believed() -> None:
    """The provenance of the first run stays; a stranger's names no recipe."""
    registry, signer = MemoryRegistry(), MemorySigner()
    image = push_image(registry, Repository("reg.example", "solver"))
    manifest = registry.manifest(image).descriptor

    def attested(started: float) -> bool:
        built = replace(BUILT, started=started)
        statement = provenance(
            RECIPE, built, subjects=subjects(image, ("1.0",)), invocation=str(started)
        )
        return attest(
            registry, signer, image, manifest=manifest, statement=statement, clock=FixedClock()
        ).new

    assert [attested(1.0), attested(2.0)] == [True, False]
    for who, digests in ((signer, {RECIPE.digest}), (MemorySigner(), set())):
        own = own_statements(registry, image, who)
        assert recipe_digests(one.statement for one in own) == digests


def test_the_lock_and_all_that_decides_an_image_are_in_it() -> None:
    """The lock as the user's own parameter, and the digest of all of it."""
    inputs = Inputs(recipe=RECIPE.digest, platform="linux/amd64", bases={"low": DIGEST})
    built = replace(BUILT, lock=Digest.of(b"lock"))

    statement = provenance(RECIPE, built, subjects=[SUBJECT], invocation="run", inputs=inputs)

    definition = statement.predicate["buildDefinition"]
    assert isinstance(definition, dict)
    assert definition["externalParameters"]["lock"] == {
        "path": "recipe.lock",
        "digest": {"sha256": Digest.of(b"lock").hex},
    }
    assert definition["internalParameters"]["inputsDigest"] == str(inputs.digest)
    assert inputs_documents([statement, _provenance()]) == (inputs.document,)
