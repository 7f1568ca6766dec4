"""What Podman prints, as values; what has another shape is an error."""

import json
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields
from imagekit.errors import DocumentError, ImagekitError
from imagekit.oci.digest import Digest

MAX_IMAGES = 10_000
MAX_NAMES = 1000
_CODE = "BAD_STORE"
_WHAT = "podman's list of images"


class LocalImage(Struct, frozen=True, kw_only=True):
    """One image of a storage: its names, and the digests that identify it."""

    id: str
    names: tuple[str, ...] = ()
    """As ``HOST/PATH:TAG``; none where every name was taken from it."""
    digests: tuple[Digest, ...] = ()
    """Of the manifests that are stored for it; of an index and of the image chosen from it."""


def parse_local_images(raw: bytes) -> tuple[LocalImage, ...]:
    """Read what ``podman images --format json`` prints.

    Raises:
        DocumentError: it is no list of images (code ``BAD_STORE``).
    """
    wrapped = Fields({"images": strictjson.loads(raw, what=_WHAT)}, _WHAT, _CODE)
    entries = wrapped.array("images", limit=MAX_IMAGES)
    return tuple(_image(Fields.of(entry, what=_WHAT, code=_CODE)) for entry in entries)


def inspected_names(shown: str) -> tuple[str, ...]:
    """Return the names of the one image that ``podman image inspect`` prints.

    Raises:
        DocumentError: it prints no image.
    """
    try:
        return tuple(str(name) for name in json.loads(shown)[0].get("RepoTags") or [])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DocumentError("podman image inspect did not show an image") from error


def inspected_digests(shown: str) -> frozenset[str]:
    """Return the digests of the one image that ``podman image inspect`` prints.

    Raises:
        DocumentError: it prints no image.
    """
    try:
        image = json.loads(shown)[0]
        names = image.get("RepoDigests") or []
        return frozenset({str(image["Digest"]), *(str(n).rpartition("@")[2] for n in names)})
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DocumentError("podman image inspect did not show an image") from error


class LocalStorage(Struct, frozen=True, kw_only=True):
    """Where Podman keeps images of this user."""

    driver: str = ""
    """Empty where Podman did not report it."""
    root: Path | None = None


def local_storage(shown: str) -> LocalStorage:
    """Return the storage that ``podman info --format json`` prints.

    Raises:
        DocumentError: it prints none.
    """
    try:
        store = json.loads(shown)["store"]
        return LocalStorage(
            driver=str(store["graphDriverName"]), root=Path(str(store["graphRoot"]))
        )
    except (ValueError, LookupError, TypeError) as error:
        raise DocumentError("podman info did not tell the driver of its storage") from error


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
