"""The recipe that is kept beside its image, so that anybody can build the image again."""

from collections.abc import Iterator
from contextlib import suppress

from imagekit.build.build import BuildOptions, lock_of
from imagekit.build.use_lock import can_move
from imagekit.errors import DocumentError, IntegrityError, NotFoundError, RecipeError
from imagekit.lock.recipe_archive import NOT_KEPT, RecipeArchive, pack_recipe
from imagekit.oci.codec import parse_manifest
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import RECIPE, Descriptor, Manifest
from imagekit.progress import Note, Progress
from imagekit.recipe.recipe import Recipe

_MAX_LOOKED_AT = 256
"""Most attached artifacts whose manifests are read: anybody who may push can attach more."""


def attached_archives(look: RegistryReader, image: PinnedReference) -> Iterator[Descriptor]:
    """Yield the layers of what is attached to the image and calls itself a recipe.

    What strangers attached and cannot be read is passed over. Some registries list an artifact
    under the type of its configuration: what it is, its manifest says.

    Raises:
        RegistryError: the registry did not answer.
    """
    listed = sorted(look.referrers(image), key=lambda entry: entry.artifact_type != RECIPE)
    for entry in listed[:_MAX_LOOKED_AT]:
        with suppress(NotFoundError, DocumentError, IntegrityError):
            raw = look.manifest(image.with_digest(entry.digest))
            manifest = parse_manifest(raw.raw, raw.media_type)
            # The archive is the only layer.
            if (
                isinstance(manifest, Manifest)
                and manifest.artifact_type == RECIPE
                and len(manifest.layers) == 1
            ):
                yield manifest.layers[0]


def kept_recipe(
    recipe: Recipe, build: BuildOptions, *, progress: Progress
) -> tuple[RecipeArchive, bytes] | None:
    """Return a recipe as it is kept beside its image; None where it is not to be.

    Where a mirror decides what a recipe builds, the recipe alone says little: all that asks one
    must be locked, also in the recipes that it stands on.

    Args:
        recipe: the recipe.
        build: how it is built.
        progress: told why it cannot be kept.

    Raises:
        RecipeError: a file cannot be read, or a lock is stale.
    """
    chain = build.recipes.with_bases(recipe)
    if any(can_move(each) and lock_of(each, build) is None for each in chain):
        return None
    try:
        return pack_recipe(recipe, build.recipes)
    except RecipeError as error:
        if error.code != NOT_KEPT:
            raise
        progress(Note(message=error.message))
        return None
