"""What ``docker save`` and ``podman save`` write: an image without a manifest, in a tar file.

Docker Image Specification v1.2, "Combined Image JSON + Filesystem Changeset Format": manifest.json
names the configuration and the layers of each image. A manifest is made of it here, so that the
archive is read as a layout; its digest is nobody's.
"""

import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from msgspec import Struct

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields
from imagekit.errors import DocumentError, NotFoundError
from imagekit.oci.archive import BAD_ARCHIVE, Archive, MemberPlace, MemberReader
from imagekit.oci.codec import index_bytes, manifest_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.layout import Readable
from imagekit.oci.types import (
    DOCKER_CONFIG,
    INDEX,
    LAYER,
    MANIFEST,
    MAX_MANIFEST,
    REF_NAME,
    Descriptor,
    Index,
    Manifest,
)

MANIFEST_FILE = "manifest.json"
_MAX_LAYERS = 1000
_MAX_IMAGES = 100
_PIECE = 1 << 20
_WHAT = "manifest.json of the archive"


class DockerArchive(Struct, frozen=True, kw_only=True):
    """An open archive with one image: a store of a layout (``layout.ReadStore``)."""

    archive: Archive
    small: Mapping[Digest, bytes]
    """Configuration and manifest."""
    layers: Mapping[Digest, MemberPlace]
    listed: Descriptor

    @property
    def folder(self) -> Any:
        """The file."""
        return self.archive.folder

    @contextmanager
    def open(self, digest: Digest) -> Iterator[Readable]:
        """Open a blob.

        Raises:
            NotFoundError: there is none of that digest.
        """
        if digest in self.small:
            yield BytesIO(self.small[digest])
        elif digest in self.layers:
            yield MemberReader(self.archive.handle, self.layers[digest])
        else:
            raise NotFoundError(f"the archive {self.folder} has no {digest}")

    def index(self) -> bytes:
        """Return the bytes of an index that lists the image."""
        return index_bytes(Index(media_type=INDEX, manifests=(self.listed,)))


def read_docker_archive(archive: Archive) -> DockerArchive:
    """Return the one image of an archive; its layers are read once, for their digests.

    Raises:
        DocumentError: it is none, or holds several images.
        NotFoundError: what manifest.json names is not there.
    """
    stated = strictjson.loads(archive.read(MANIFEST_FILE, limit=MAX_MANIFEST), what=_WHAT)
    if not isinstance(stated, list) or not 0 < len(stated) <= _MAX_IMAGES:
        raise DocumentError(f"{_WHAT} is no list of images", code=BAD_ARCHIVE)
    if len(stated) > 1:
        raise DocumentError(
            f"{archive.folder} holds {len(stated)} images",
            hint="save one image: podman save -o FILE NAME",
            code=BAD_ARCHIVE,
        )
    fields = Fields.of(stated[0], what=_WHAT, code=BAD_ARCHIVE)
    config = archive.read(fields.text("Config"), limit=MAX_MANIFEST)
    names = fields.array("Layers", limit=_MAX_LAYERS)
    if not all(isinstance(name, str) for name in names):
        raise fields.fault("names a layer by something else than a text")
    places = {name: _place(archive, name) for name in names}
    digests = {name: _digest(archive, place) for name, place in places.items()}
    raw = manifest_bytes(
        Manifest(
            media_type=MANIFEST,
            config=Descriptor(media_type=DOCKER_CONFIG, digest=Digest.of(config), size=len(config)),
            layers=tuple(
                Descriptor(media_type=LAYER, digest=digests[name], size=places[name].size)
                for name in names
            ),
        )
    )
    tags = fields.array("RepoTags", limit=_MAX_LAYERS) if fields.get("RepoTags") else []
    annotations = {REF_NAME: tags[0]} if tags and isinstance(tags[0], str) else {}
    return DockerArchive(
        archive=archive,
        small={Digest.of(config): config, Digest.of(raw): raw},
        layers={digests[name]: place for name, place in places.items()},
        listed=Descriptor(
            media_type=MANIFEST, digest=Digest.of(raw), size=len(raw), annotations=annotations
        ),
    )


def _place(archive: Archive, name: str) -> MemberPlace:
    """Return where a layer lies; of two equal ones the second is a link to the first."""
    target = archive.links.get(name)
    if target is not None:
        name = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    place = archive.members.get(name)
    if place is None:
        raise NotFoundError(f"the archive {archive.folder} has no {name[:200]!r}")
    return place


def _digest(archive: Archive, place: MemberPlace) -> Digest:
    reader, hasher = MemberReader(archive.handle, place), hashlib.sha256()
    for piece in iter(lambda: reader.read(_PIECE), b""):
        hasher.update(piece)
    return Digest.parse(f"sha256:{hasher.hexdigest()}")
