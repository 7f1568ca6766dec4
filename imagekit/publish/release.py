"""What a registry has of a release already, looked at before anything is built."""

from imagekit.errors import InputError, NotFoundError
from imagekit.model.digest import Digest
from imagekit.model.recipe import Tags
from imagekit.model.reference import PinnedReference, Repository, TaggedReference
from imagekit.ports import RegistryReader


def find_release(
    reader: RegistryReader, repository: Repository, tags: Tags
) -> PinnedReference | None:
    """Return what the immutable tags point to, or None where none of them exists.

    Args:
        reader: where to look.
        repository: the recipe's repository at the destination.
        tags: the tags of the recipe.

    Raises:
        InputError: two immutable tags point to different images.
        RegistryError: the registry did not answer.
    """
    found = [reference for tag in tags.immutable if (reference := look(reader, repository, tag))]
    for other in found[1:]:
        if other.digest != found[0].digest:
            raise InputError(
                f"{repository}: the immutable tags {found[0].tag} and {other.tag} "
                f"point to different images",
                hint="raise `version` in the recipe; somebody wrote one of the tags by hand",
                code="publish/immutable-tag",
            )
    return found[0] if found else None


def look(reader: RegistryReader, repository: Repository, tag: str) -> PinnedReference | None:
    """Return what the tag points to, or None where it does not exist.

    Raises:
        RegistryError: the registry did not answer.
    """
    try:
        return reader.resolve(TaggedReference(repository, tag))
    except NotFoundError:
        return None


def missing_tags(reader: RegistryReader, image: PinnedReference, tags: Tags) -> tuple[str, ...]:
    """Return the tags of a release that exists and that are not there.

    A moving tag that points elsewhere is not missing: since the immutable tags are written last,
    a release that has one had its moving tags, and a newer release moved them on.

    Raises:
        RegistryError: the registry did not answer.
    """
    return tuple(tag for tag in tags.all if look(reader, image.repository, tag) is None)


def refuse_other_recipe(
    image: PinnedReference, *, published: Digest | None, recipe: Digest
) -> None:
    """Refuse to go on where an immutable tag belongs to something else.

    Args:
        image: what the tag points to.
        published: the recipe digest in its signed provenance, where that could be verified.
        recipe: the digest of the recipe at hand.

    Raises:
        InputError: they differ, or the provenance could not be verified.
    """
    if published == recipe:
        return
    name = f"{image.repository}:{image.tag}"
    if published is None:
        message = f"{name} exists as {image.digest.short}, without provenance signed by this key"
    else:
        message = f"{name} exists as {image.digest.short}, made from another state of the recipe"
    raise InputError(
        message,
        hint="an immutable tag is never moved: raise `version` in the recipe",
        code="publish/immutable-tag",
    )
