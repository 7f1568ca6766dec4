"""A read-only additional image store of Podman: filled here, read by every node.

Layout of containers/storage: ``DRIVER-images/images.json``, ``DRIVER-layers/layers.json``, and the
layers' files in ``overlay/ID/diff`` or ``vfs/dir/ID``. The overlay driver finds the layers below by
``lower`` and ``l/``, so that these belong to what is bound as well.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from msgspec import Struct

from imagekit.build.tools.podman import Podman, Programs, in_namespace
from imagekit.documents import strictjson
from imagekit.errors import DocumentError, IntegrityError, NotFoundError
from imagekit.files import storage_errors
from imagekit.inputs import read_regular
from imagekit.oci.digest import Digest
from imagekit.oci.location import LayoutLocation
from imagekit.oci.reference import PinnedReference
from imagekit.offline.mount_stubs import STUBS

DRIVERS = ("overlay", "vfs")
RECEIPTS = "imagekit"
_MAX_TABLE = 64 << 20
_MAX_NAME = 4096
_MAX_LAYERS = 512
_FILES_SECONDS = 4 * 3600.0
_STUBS = f'{STUBS}\nfor layer; do stubs "$layer"; done'
_OPEN = 'find "$@" "(" -type d -o -type f ")" -exec chmod a+rX,ug-s {} +'
_OPAQUE, _USERS_OPAQUE = "trusted.overlay.opaque", "user.overlay.opaque"
_HEX = frozenset("0123456789abcdef")
_ID = 64


class StoredImage(Struct, frozen=True, kw_only=True):
    """An image in a store."""

    image: str
    """Its id."""
    digest: Digest
    """Of its manifest, or of the index that it was pulled by."""
    names: tuple[str, ...]
    layer: str
    digests: frozenset[str] = frozenset()
    """All manifests that the store has of it."""


class ImageStore(Struct, frozen=True, kw_only=True):
    """A store in a folder."""

    folder: Path
    driver: str

    @classmethod
    def find(cls, folder: Path) -> "ImageStore | None":
        """Return the store that is there; None where there is none."""
        for driver in DRIVERS:
            if (folder / f"{driver}-images" / "images.json").is_file():
                return cls(folder=folder, driver=driver)
        return None

    def images(self) -> tuple[StoredImage, ...]:
        """Return the images in it.

        Raises:
            DocumentError: its table is malformed.
            RegistryError: it cannot be read.
        """
        table = self.folder / f"{self.driver}-images" / "images.json"
        return tuple(_image(entry) for entry in _table(table))

    def roots(self, image: StoredImage) -> list[tuple[str, Path]]:
        """Return all that an image consists of: its documents, and each of its layers.

        Raises:
            NotFoundError: a layer is not there.
            DocumentError: a table is malformed.
        """
        roots = [("image", self.folder / f"{self.driver}-images" / image.image)]
        for number, layer in enumerate(self._chain(image.layer)):
            roots += self._layer(f"layer/{number}", layer)
        return roots

    def layers(self, image: StoredImage) -> list[Path]:
        """Return where the files of each layer lie, the uppermost first.

        Raises:
            NotFoundError: a layer is not there.
            DocumentError: a table is malformed.
        """
        below = ("vfs", "dir", "") if self.driver == "vfs" else ("overlay", "", "diff")
        base = self.folder / below[0] / below[1]
        return [base / layer / below[2] for layer in self._chain(image.layer)]

    def _layer(self, name: str, layer: str) -> Iterator[tuple[str, Path]]:
        if self.driver == "vfs":
            yield name, self.folder / "vfs" / "dir" / layer
            return
        base = self.folder / "overlay" / layer
        yield f"{name}/diff", base / "diff"
        for small in ("lower", "link"):
            if (base / small).exists():
                yield f"{name}/{small}", base / small
        link = self.folder / "overlay" / "l" / _small(base / "link")
        yield f"{name}/l", link
        if os.fspath(link.readlink()) != f"../{layer}/diff":
            raise IntegrityError(f"{link} does not lead to its layer")

    def _chain(self, layer: str) -> Iterator[str]:
        parents = {
            _hex(entry.get("id")): _hex(entry.get("parent") or "", empty=True)
            for entry in _table(self.folder / f"{self.driver}-layers" / "layers.json")
        }
        for _ in range(_MAX_LAYERS):
            if not layer:
                return
            if layer not in parents:
                raise NotFoundError(f"the store {self.folder} has no layer {layer[:12]}")
            yield layer
            layer = parents[layer]
        raise DocumentError(f"the store {self.folder} has an image of over {_MAX_LAYERS} layers")

    def open_to_all(self) -> None:
        """Let every user read the tables, as an additional store requires; not the images' files.

        Raises:
            RegistryError: it cannot be changed.
        """
        with storage_errors(f"the store {self.folder}"):
            for path in self._metadata():
                if not path.is_symlink() and path.exists():
                    path.chmod(0o755 if path.is_dir() else 0o644)

    def _metadata(self) -> Iterator[Path]:
        yield self.folder
        for part in ("images", "layers"):
            folder = self.folder / f"{self.driver}-{part}"
            yield folder
            yield from folder.rglob("*")
        layers = self.folder / self.driver
        yield layers
        if self.driver == "vfs":
            yield layers / "dir"
            return
        yield layers / "l"
        for layer in layers.iterdir():
            if len(layer.name) == _ID:
                yield layer
                yield from (layer / small for small in ("lower", "link"))


class StoreWriter(Struct, frozen=True, kw_only=True):
    """Fills a store by Podman."""

    programs: Programs
    folder: Path
    runroot: Path
    driver: str = "overlay"

    def add(self, image: PinnedReference, name: str, *, layout: Path) -> str:
        """Pull an image from a layout into the store, under one name; return its id.

        Raises:
            ToolError: Podman failed.
            IntegrityError: what it stored has another digest.
        """
        self._forget()
        podman = self._podman().pulling(LayoutLocation(layout))
        stored = podman.pull(image)
        podman.name(stored, name)
        self._open(stored)
        return stored

    def _open(self, stored: str) -> None:
        """Let everybody read the files of an image, and Podman of every user start it.

        No file lends its owner's rights; devices stay as they are.
        """
        store = ImageStore.find(self.folder)
        if store is None:
            raise IntegrityError(f"podman left no store in {self.folder}")
        (image,) = (image for image in store.images() if image.image == stored)
        layers = [str(path.absolute()) for path in store.layers(image)]
        # What is in the lowest layer of an overlay yields to that of all others.
        bare = layers[-1:] if self.driver == "overlay" else layers
        for script, folders in ((_STUBS, bare), (_OPEN, layers)):
            words = ("sh", "-euc", script, "open", *folders)
            self.programs.run(in_namespace(words), limit=_FILES_SECONDS)
        if self.driver == "overlay" and os.geteuid() == 0:
            for layer in layers:
                _hide_from_users(layer)

    def remove(self, image: str) -> None:
        """Remove an image.

        Raises:
            ToolError: Podman failed.
        """
        self._forget()
        self._podman().remove(image)

    def _podman(self) -> Podman:
        own = Podman(programs=self.programs)
        return own.in_storage(self.folder, self.runroot, self.driver)

    def _forget(self) -> None:
        """Remove Podman's record of containers: it has paths of the last run, and no containers.

        Raises:
            RegistryError: it cannot be removed.
        """
        with storage_errors(f"the store {self.folder}"):
            shutil.rmtree(self.folder / "libpod", ignore_errors=True)
            (self.folder / "db.sql").unlink(missing_ok=True)


def _hide_from_users(layer: str) -> None:
    """Have users' overlays hide what the folders of a layer hide of the layers below.

    The kernel shows root's mark to root alone, and takes the other one where a user mounts (Linux,
    Documentation/filesystems/overlayfs.rst, "User xattr"): deleted files came back without it.

    Raises:
        RegistryError: the marks cannot be read or written.
    """
    with storage_errors(f"the attributes of the layer {layer}"):
        for _, _, _, handle in os.fwalk(layer, onerror=_raise):
            if _OPAQUE in os.listxattr(handle):
                os.setxattr(handle, _USERS_OPAQUE, b"y")


def _raise(error: OSError) -> NoReturn:
    raise error


def _table(file: Path) -> list[Mapping[str, Any]]:
    with storage_errors(f"the table {file}"):
        raw = read_regular(file, limit=_MAX_TABLE)
    table = strictjson.loads(raw, what=str(file))
    if not isinstance(table, list) or not all(isinstance(entry, dict) for entry in table):
        raise DocumentError(f"{file} is no table of a store")
    return table


def _image(entry: Mapping[str, Any]) -> StoredImage:
    names = entry.get("names") or []
    stored = entry.get("big-data-digests") or {}
    if not isinstance(names, list) or not isinstance(stored, dict):
        raise DocumentError("an image of the store is described by something else")
    manifests = {str(value) for key, value in stored.items() if str(key).startswith("manifest")}
    return StoredImage(
        image=_hex(entry.get("id")),
        digest=Digest.parse(str(entry.get("digest"))),
        names=tuple(str(name) for name in names),
        layer=_hex(entry.get("layer") or "", empty=True),
        digests=frozenset(manifests),
    )


def _hex(value: object, *, empty: bool = False) -> str:
    """Return an id, which becomes a part of a path, so nothing else is accepted."""
    if empty and value == "":
        return ""
    if not isinstance(value, str) or len(value) != _ID or not _HEX.issuperset(value):
        raise DocumentError("the store has a malformed id")
    return value


def _small(file: Path) -> str:
    with storage_errors(f"the store's {file}"):
        text = read_regular(file, limit=_MAX_NAME).decode("ascii", "replace").strip()
    if not text.isalnum() or not text.isascii():
        raise DocumentError(f"{file} is no name of a link")
    return text
