"""Chains of layers for Buildah and Podman: layouts over the blobs of another layout."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from imagekit.build.image import BuiltLayer
from imagekit.build.job import ContainerStore
from imagekit.files import storage_errors
from imagekit.oci.codec import index_bytes, manifest_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutStore
from imagekit.oci.types import CONFIG, INDEX, MANIFEST, REF_NAME, Descriptor, Index, Manifest

FOLDER = "chains"
"""The folder of the layouts, and so a part of the names that Buildah makes of their paths."""
_NAME = "localhost/chain:1"
_DIGITS = 24


class Chain(Struct, frozen=True):
    """Layers and a configuration, under a name that only this content has."""

    manifest: Descriptor
    blobs: Path
    """Where they lie."""

    @classmethod
    def of(cls, config: bytes, layers: Sequence[BuiltLayer], store: LayoutStore) -> "Chain":
        """Write the configuration and the manifest beside the layers.

        Args:
            config: the configuration.
            layers: the layers.
            store: whose blobs they are.

        Raises:
            RegistryError: the disk cannot be written.
        """
        manifest = Manifest(
            media_type=MANIFEST,
            config=_add(store, CONFIG, config),
            layers=tuple(layer.descriptor for layer in layers),
        )
        written = _add(store, MANIFEST, manifest_bytes(manifest))
        return cls(written, store.folder.resolve() / "blobs")

    @property
    def name(self) -> str:
        """Its name: made of the digest of its content and of where that lies."""
        place = os.fsencode(self.blobs) + str(self.manifest.digest).encode()
        return Digest.of(place).hex[:_DIGITS]

    def lock(self, locks: Path) -> Path:
        """Return the lock that whoever uses the chain holds, shared."""
        return lock_of(self.name, locks)

    def place(self, storage: ContainerStore) -> str:
        """Make the layout, unless it is there: under another name first, so that it is complete.

        Args:
            storage: the container storage that will read it.

        Returns:
            ``oci:FOLDER:NAME``, as Buildah and Podman take it.

        Raises:
            RegistryError: the disk cannot be written.
        """
        folder = storage.run / FOLDER / self.name
        with storage_errors(f"the folder {folder}"):
            if not folder.is_dir():
                self._make(folder)
        return f"oci:{folder}:{_NAME}"

    def _make(self, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
        try:
            # image-spec image-layout.md: these three make a layout, and the annotation gives an
            # image of it a name.
            (made / "blobs").symlink_to(self.blobs)
            (made / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
            named = Descriptor(
                media_type=MANIFEST,
                digest=self.manifest.digest,
                size=self.manifest.size,
                annotations={REF_NAME: _NAME},
            )
            index = Index(media_type=INDEX, manifests=(named,))
            (made / "index.json").write_bytes(index_bytes(index))
            try:
                made.rename(folder)
            except OSError:
                # Another job made it first; the same name stands for the same content.
                if not folder.is_dir():
                    raise
        finally:
            shutil.rmtree(made, ignore_errors=True)


def lock_of(name: str, locks: Path) -> Path:
    """Return the lock of a chain by its name."""
    return locks / f"chain-{name}.lock"


def _add(store: LayoutStore, media_type: str, raw: bytes) -> Descriptor:
    digest = Digest.of(raw)
    store.add(digest, iter((raw,)))
    return Descriptor(media_type=media_type, digest=digest, size=len(raw))
