"""The images that bases were published as, for the locks of what stands on them."""

from imagekit.lock.lock import Lock
from imagekit.lock.lock_file import lock_digest
from imagekit.oci.codec import parse_manifest
from imagekit.oci.destination import Destination
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.types import Index
from imagekit.publish.claims import provenance_claims
from imagekit.publish.known_release import look
from imagekit.recipe.recipe import BUILD, Recipe

_MAX_PLATFORMS = 64


class PublishedBases:
    """Looks for the images of recipes at a destination, for each recipe once.

    Args:
        reader: reads what is there.
        destination: where recipes are published.
    """

    def __init__(self, reader: RegistryReader, destination: Destination) -> None:
        self._reader = reader
        self._destination = destination
        self._found: dict[tuple[Digest, Digest], Digest | None] = {}

    def image_of(self, recipe: Recipe, lock: Lock) -> Digest | None:
        """Return the image under the tag of a recipe's version, if it was made of this state of it.

        An image of another recipe or lock has other packages than those that the lock of what
        stands on it is resolved on. Its provenance is not verified here: a digest in a lock is
        reviewed with it, as its packages are, and the image is used by nothing but its digest.

        Args:
            recipe: the recipe.
            lock: the lock that it has.

        Raises:
            RegistryError: the registry did not answer.
        """
        key = (recipe.digest, lock_digest(lock))
        if key not in self._found:
            self._found[key] = self._find(recipe, key)
        return self._found[key]

    def _find(self, recipe: Recipe, made_of: tuple[Digest, Digest]) -> Digest | None:
        # What stands for {build} is not known before the recipe is built.
        tag = next((tag for tag in recipe.tags.all if BUILD not in tag), None)
        place = self._destination.place(recipe.name).repository
        found = None if tag is None else look(self._reader, place, tag)
        if found is None or not all(self._is_of(image, made_of) for image in self._images(found)):
            return None
        return found.digest

    def _images(self, found: PinnedReference) -> tuple[PinnedReference, ...]:
        """Return the image, or those of all platforms."""
        raw = self._reader.manifest(found)
        parsed = parse_manifest(raw.raw, raw.media_type)
        if isinstance(parsed, Index):
            listed = parsed.manifests[:_MAX_PLATFORMS]
            return tuple(found.with_digest(entry.digest) for entry in listed)
        return (found.with_digest(found.digest),)

    def _is_of(self, image: PinnedReference, made_of: tuple[Digest, Digest]) -> bool:
        claims = provenance_claims(self._reader, image)
        return any((claim.recipe, claim.lock) == made_of for claim in claims)
