"""SLSA provenance v1: what an image was built from, by what and when.

https://slsa.dev/spec/v1.0/provenance
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from imagekit.build.image import BuiltImage, Material
from imagekit.build.inputs_digest import IndexInputs, Inputs
from imagekit.errors import InvalidReferenceError
from imagekit.lock.lock import FILE
from imagekit.lock.recipe_archive import RecipeArchive
from imagekit.oci.digest import Digest
from imagekit.recipe.recipe import Recipe
from imagekit.signatures.intoto import SLSA_PROVENANCE, Statement, StatementSubject

BUILD_TYPE = "https://imagekit.dev/build/recipe/v1"
"""The buildType: the parameters are an imagekit recipe of schema 1."""
STATED_TYPE = "https://imagekit.dev/build/stated/v1"
"""The buildType where imagekit did not build: the signer states the parameters."""
LOCAL_BUILDER = "https://imagekit.dev/builder/local"
"""The builder that is named by default: this machine, which vouches for itself only."""


def provenance(
    recipe: Recipe,
    built: BuiltImage,
    *,
    subjects: Sequence[StatementSubject],
    invocation: str,
    builder: str = LOCAL_BUILDER,
    inputs: Inputs | IndexInputs | None = None,
    archive: RecipeArchive | None = None,
) -> Statement:
    """Return the provenance of a built image.

    Secrets appear by their id, never by value or by where the value came from.

    Args:
        recipe: what was built.
        built: the image.
        subjects: what the statement is about.
        invocation: identifies this run.
        builder: URI of the builder, which is trusted for the truth of this.
        inputs: all that decides the image.
        archive: the recipe as it is kept beside the image, if it is.
    """
    return Statement(
        subjects=tuple(subjects),
        predicate_type=SLSA_PROVENANCE,
        predicate={
            "buildDefinition": _definition(recipe, built, inputs, archive=archive),
            "runDetails": {
                "builder": {"id": builder, "version": dict(built.tools)},
                "metadata": {
                    "invocationId": invocation,
                    "startedOn": _time(built.started),
                    "finishedOn": _time(built.finished),
                },
                "byproducts": [
                    {"name": layer.title, "digest": {layer.diff_id.algorithm: layer.diff_id.hex}}
                    for layer in built.layers
                ],
            },
        },
    )


def index_provenance(
    recipe: Recipe,
    images: Sequence[Material],
    *,
    subjects: Sequence[StatementSubject],
    invocation: str,
    finished: datetime,
    builder: str = LOCAL_BUILDER,
    inputs: IndexInputs,
) -> Statement:
    """Return the provenance of an index of the images of several platforms.

    Each of these has a provenance of its own, which says what it was built from.

    Args:
        recipe: what they were built of.
        images: the images, by their digests.
        subjects: what the statement is about.
        invocation: identifies this run.
        finished: when the index was made, with its zone.
        builder: URI of what made the index.
        inputs: all that decides the images.
    """
    internal: dict[str, object] = {"platforms": [*inputs.platforms], **_inputs(inputs)}
    return Statement(
        subjects=tuple(subjects),
        predicate_type=SLSA_PROVENANCE,
        predicate={
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": _parameters(recipe),
                "internalParameters": internal,
                "resolvedDependencies": [_material(image) for image in images],
            },
            "runDetails": {
                "builder": {"id": builder},
                "metadata": {
                    "invocationId": invocation,
                    "finishedOn": _time(finished.timestamp()),
                },
            },
        },
    )


class Stated(Struct, frozen=True, kw_only=True):
    """What a signer states about the build of an image that something else built."""

    builder: str
    """URI of the builder."""
    materials: tuple[Material, ...] = ()


def stated_provenance(stated: Stated, *, subjects: Sequence[StatementSubject]) -> Statement:
    """Return the provenance of an image that imagekit did not build, marked as that.

    Args:
        stated: what the signer states; imagekit observed none of it.
        subjects: what the statement is about.
    """
    return Statement(
        subjects=tuple(subjects),
        predicate_type=SLSA_PROVENANCE,
        predicate={
            "buildDefinition": {
                "buildType": STATED_TYPE,
                "externalParameters": {"statedBy": "signer", "observed": False},
                "resolvedDependencies": [_material(material) for material in stated.materials],
            },
            "runDetails": {"builder": {"id": stated.builder}},
        },
    )


def recipe_digest_of(statement: Statement) -> Digest | None:
    """Return the digest of the recipe that a provenance of imagekit names, else None."""
    return _parameter_digest(statement, "recipe")


def lock_digest_of(statement: Statement) -> Digest | None:
    """Return the digest of the lock that a provenance of imagekit names, else None."""
    return _parameter_digest(statement, "lock")


def _parameter_digest(statement: Statement, name: str) -> Digest | None:
    definition = _inner(statement.predicate, "buildDefinition")
    ours = statement.predicate_type == SLSA_PROVENANCE and definition.get("buildType") == BUILD_TYPE
    parameter = _inner(_inner(definition, "externalParameters"), name)
    return _sha256(_inner(parameter, "digest").get("sha256")) if ours else None


def recipe_digests(statements: Iterable[Statement]) -> frozenset[Digest]:
    """Return the digests of all recipes that statements about an image say it was built from.

    There can be several: two states of a recipe may build the same bytes.
    """
    digests = (recipe_digest_of(statement) for statement in statements)
    return frozenset(digest for digest in digests if digest is not None)


def inputs_documents(statements: Iterable[Statement]) -> tuple[Mapping[str, object], ...]:
    """Return what statements about an image say that it was decided by: see ``Inputs.document``."""
    found = (
        _inner(
            _inner(_inner(statement.predicate, "buildDefinition"), "internalParameters"), "inputs"
        )
        for statement in statements
        if recipe_digest_of(statement) is not None
    )
    return tuple(document for document in found if document)


def recipe_archive_of(statement: Statement) -> RecipeArchive | None:
    """Return the archive of the recipe that a provenance of imagekit names, else None."""
    if recipe_digest_of(statement) is None:
        return None
    listed = _inner(statement.predicate, "buildDefinition").get("resolvedDependencies")
    for dependency in listed if isinstance(listed, list) else ():
        uri = dependency.get("uri") if isinstance(dependency, dict) else None
        value = _inner(dependency, "digest").get("sha256") if isinstance(uri, str) else None
        digest = _sha256(value)
        archive = RecipeArchive.named(uri, digest) if digest and isinstance(uri, str) else None
        if archive is not None:
            return archive
    return None


def same_build(first: Statement, other: Statement) -> bool:
    """Return whether two provenances differ only in ``runDetails.metadata``: in the run."""
    return _without_run(first) == _without_run(other)


def _definition(
    recipe: Recipe,
    built: BuiltImage,
    inputs: Inputs | IndexInputs | None,
    *,
    archive: RecipeArchive | None,
) -> Mapping[str, object]:
    # BuildDefinition: externalParameters are under the user's control and must be complete;
    # internalParameters are the builder's.
    materials = built.materials if archive is None else (*built.materials, _kept(archive, recipe))
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {**_parameters(recipe), **_lock(built)},
        "internalParameters": {
            "platform": str(built.platform),
            "sourceDateEpoch": built.epoch,
            "isolation": list(built.isolations),
            **_inputs(inputs),
        },
        "resolvedDependencies": [_material(material) for material in materials],
    }


def _kept(archive: RecipeArchive, recipe: Recipe) -> Material:
    name = f"recipes and locks of {recipe.name}@{recipe.version}"
    return Material(uri=archive.uri, name=name, digest=archive.digest)


def _parameters(recipe: Recipe) -> Mapping[str, object]:
    return {
        "recipe": {
            "path": f"{recipe.folder.name}/{recipe.file.name}",
            "name": recipe.name,
            "version": recipe.version,
            "digest": {recipe.digest.algorithm: recipe.digest.hex},
        },
        "buildArgs": dict(recipe.build_args),
        "secrets": [secret.id for secret in recipe.secrets],
    }


def _lock(built: BuiltImage) -> Mapping[str, object]:
    if built.lock is None:
        return {}
    return {"lock": {"path": FILE, "digest": {built.lock.algorithm: built.lock.hex}}}


def _inputs(inputs: Inputs | IndexInputs | None) -> Mapping[str, object]:
    if inputs is None:
        return {}
    return {"inputs": inputs.document, "inputsDigest": str(inputs.digest)}


def _material(material: Material) -> Mapping[str, object]:
    document: dict[str, object] = {"uri": material.uri}
    if material.name:
        document["name"] = material.name
    if material.digest is not None:
        document["digest"] = {material.digest.algorithm: material.digest.hex}
    return document


def _without_run(statement: Statement) -> Statement:
    run = {**_inner(statement.predicate, "runDetails"), "metadata": None}
    return Statement(
        subjects=statement.subjects,
        predicate_type=statement.predicate_type,
        predicate={**statement.predicate, "runDetails": run},
    )


def _sha256(value: object) -> Digest | None:
    try:
        return Digest("sha256", value) if isinstance(value, str) else None
    except InvalidReferenceError:
        return None


def _inner(document: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
