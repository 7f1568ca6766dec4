"""What Podman prints, as values: ``podman images --format json``."""

from collections.abc import Iterator
from dataclasses import dataclass

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields
from imagekit.errors import ImagekitError
from imagekit.oci.digest import Digest

MAX_IMAGES = 10_000
MAX_NAMES = 1000
_CODE = "BAD_STORE"
_WHAT = "podman's list of images"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalImage:
    """One image of a storage: what people call it, and what it is."""

    id: str
    names: tuple[str, ...] = ()
    """As ``HOST/PATH:TAG``; none where every name was taken from it."""
    digests: tuple[Digest, ...] = ()
    """Of the manifests that are stored for it; of an index and of the image chosen from it."""


def parse_local_images(raw: bytes) -> tuple[LocalImage, ...]:
    """Read the list.

    Raises:
        DocumentError: it is none (code ``BAD_STORE``).
    """
    wrapped = Fields({"images": strictjson.loads(raw, what=_WHAT)}, _WHAT, _CODE)
    entries = wrapped.array("images", limit=MAX_IMAGES)
    return tuple(_image(Fields.of(entry, what=_WHAT, code=_CODE)) for entry in entries)


def _image(entry: Fields) -> LocalImage:
    names = tuple(_texts(entry, "Names"))
    stored = [entry.optional_text("Digest")]
    stored += [text.rpartition("@")[2] for text in _texts(entry, "RepoDigests")]
    try:
        digests = tuple(dict.fromkeys(Digest.parse(text) for text in stored if text))
    except ImagekitError as error:
        raise entry.fault(f"has no digest: {error.message}") from error
    return LocalImage(id=entry.text("Id"), names=names, digests=digests)


def _texts(entry: Fields, key: str) -> Iterator[str]:
    if entry.get(key) is None:
        return
    for text in entry.array(key, limit=MAX_NAMES):
        if not isinstance(text, str):
            raise entry.fault(f"has no list of texts in {key!r}")
        yield text
