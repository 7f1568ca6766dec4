"""What a registry has of a release already, read before anything is built."""

from collections.abc import Callable, Iterable, Sequence

from imagekit.build.inputs_digest import IndexInputs, Inputs
from imagekit.errors import InputError, NotFoundError
from imagekit.oci.digest import Digest
from imagekit.oci.location import LocatedRepository, Location
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.publish.push import IMMUTABLE_TAG
from imagekit.recipe.recipe import Tags
from imagekit.sign.provenance import inputs_documents
from imagekit.signatures.intoto import Statement


def find_release(
    reader: RegistryReader, place: LocatedRepository, tags: Tags
) -> PinnedReference | None:
    """Return what the immutable tags point to, or None where none of them exists.

    Args:
        reader: where to look.
        place: the recipe's repository at the destination.
        tags: the tags of the recipe.

    Raises:
        InputError: two immutable tags point to different images.
        RegistryError: the registry did not answer.
    """
    named = (look(reader, place.repository, tag) for tag in tags.immutable)
    references = [reference for reference in named if reference is not None]
    for other in references[1:]:
        if other.digest != references[0].digest:
            raise InputError(
                f"{place}: the immutable tags {references[0].tag} and {other.tag} "
                f"point to different images",
                hint="raise `version` in the recipe; one of the tags was written by another tool",
                code=IMMUTABLE_TAG,
            )
    return references[0] if references else None


def look(reader: RegistryReader, repository: Repository, tag: str) -> PinnedReference | None:
    """Return what the tag points to, or None where it does not exist.

    Raises:
        RegistryError: the registry did not answer.
    """
    try:
        return reader.resolve(TaggedReference(repository, tag))
    except NotFoundError:
        return None


def missing_tags(
    reader: RegistryReader,
    image: PinnedReference,
    tags: Tags,
    *,
    sequence: Callable[[PinnedReference, str], int],
) -> Tags:
    """Return the tags of a release that exists and that do not point to it as they should.

    Those are the ones that are not there, and moving ones that an older release of this signer
    still has: a publish that was killed wrote the immutable tags, and had not moved them yet. One
    that points to a newer release, or to another signer's, was moved since.

    Args:
        reader: where to look.
        image: the release.
        tags: the tags of the recipe.
        sequence: returns that of the signer's releases of an image under a tag, 0 for none.

    Raises:
        RegistryError: the registry did not answer.
    """
    repository = image.repository
    immutable = tuple(tag for tag in tags.immutable if look(reader, repository, tag) is None)
    moving = tuple(tag for tag in tags.moving if tag not in tags.immutable)
    behind = []
    for tag in moving:
        there = look(reader, repository, tag)
        if there is None or 0 < sequence(there, tag) < sequence(image, tag):
            behind.append(tag)
    return Tags(immutable=immutable, moving=tuple(behind))


def refuse_other_recipe(
    image: PinnedReference, location: Location, *, published: Digest | None, recipe: Digest
) -> None:
    """Refuse to go on where an immutable tag belongs to something else.

    Args:
        image: what the tag points to.
        location: where it is, for messages.
        published: the recipe digest in its signed provenance, where that could be verified.
        recipe: the digest of the recipe at hand.

    Raises:
        InputError: they differ, or the provenance could not be verified.
    """
    if published == recipe:
        return
    name = location.shown(f"{image.repository}:{image.tag}")
    if published is None:
        message = f"{name} exists as {image.digest.short}, without provenance signed by this key"
    else:
        message = f"{name} exists as {image.digest.short}, made from another state of the recipe"
    raise InputError(
        message,
        hint="an immutable tag is never moved: raise `version` in the recipe",
        code=IMMUTABLE_TAG,
    )


def moved_since(statements: Iterable[Statement], inputs: Inputs | IndexInputs) -> tuple[str, ...]:
    """Return what is another one since an image was built, in words; nothing where all is the same.

    Args:
        statements: those of this signer about the image, of which several builds can have made one.
        inputs: what would decide the image now.
    """
    documents = inputs_documents(statements)
    if not documents or inputs.document in documents:
        return ()
    return inputs.moved(documents[-1])


def tell_stale(name: str, moved: Sequence[str]) -> str:
    """Return how a stale image is told, with the remedy."""
    return (
        f"{name} is as it was built, and since then another one is: {', '.join(moved)}. To publish "
        'what it would be now, raise `version`; or write `tags: {immutable: ["{version}-{build}"], '
        'moving: ["{version}"]}`, and each change of a base or lock is a release by itself'
    )
