"""Images in the ``dir:`` layout of containers/image, as a registry that has their ``.sig`` tag.

https://github.com/podman-container-tools/container-libs/blob/main/image/docs/containers-transports.5.md
A folder has ``manifest.json`` and ``signature-1``, ``signature-2`` and so on: a NUL, the word
``sigstore-json``, a newline and JSON with a layer's media type, annotations and content.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imagekit.errors import NotFoundError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, Repository, TaggedReference
from imagekit.oci.types import CONFIG, MANIFEST, Descriptor, RawManifest

_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
_HEADER = b"\0sigstore-json\n"


class DirRegistry:
    """A RegistryReader with one image, whatever name it is asked for by; it has no blobs of it."""

    def __init__(self, folder: Path) -> None:
        self._blobs: dict[Digest, bytes] = {}
        manifest = folder / "manifest.json"
        self._image = _raw(manifest.read_bytes()) if manifest.exists() else None
        layers = [self._layer(each) for each in sorted(folder.glob("signature-*"))]
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._blob(CONFIG, b"{}"),
            "layers": layers,
        }
        self._signatures = _raw(json.dumps(document).encode()) if layers else None

    def resolve(self, reference: TaggedReference) -> PinnedReference:
        """Return what the tag points to."""
        return reference.pin(self.manifest(reference).digest)

    def manifest(self, reference: Reference) -> RawManifest:
        """Return the image, or by the tag of its signatures these."""
        tag = reference.tag if isinstance(reference, TaggedReference) else None
        found = self._image
        if tag and tag.startswith("sha256-"):
            mine = found is not None and tag == f"sha256-{found.digest.hex}.sig"
            found = self._signatures if mine else None
        if found is None:
            raise NotFoundError(f"{reference} does not exist", http_status=404)
        return found

    def blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        """Return a payload."""
        found = self._blobs.get(descriptor.digest)
        if found is None or len(found) > limit:
            raise NotFoundError(f"{repository}: no {descriptor.digest}", http_status=404)
        return found

    @contextmanager
    def stream(self, repository: Repository, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        """Yield a payload whole."""
        yield iter([self.blob(repository, descriptor, limit=descriptor.size)])

    def referrers(self, reference: PinnedReference) -> tuple[Descriptor, ...]:
        """Return none: the layout knows signatures only."""
        del reference
        return ()

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return none: the layout has no tags."""
        del repository
        return ()

    def _layer(self, file: Path) -> dict[str, Any]:
        raw = file.read_bytes()
        assert raw.startswith(_HEADER), file
        signature = json.loads(raw.removeprefix(_HEADER))
        layer = self._blob(signature["mimeType"], base64.b64decode(signature["payload"]))
        return layer | {"annotations": signature["annotations"]}

    def _blob(self, media_type: str, raw: bytes) -> dict[str, Any]:
        digest = Digest.of(raw)
        self._blobs[digest] = raw
        return {"mediaType": media_type, "digest": str(digest), "size": len(raw)}


def _raw(raw: bytes) -> RawManifest:
    media_type = json.loads(raw).get("mediaType", _SCHEMA_1)
    return RawManifest(media_type=media_type, digest=Digest.of(raw), raw=raw)
