"""A layout folder that somebody else prepared."""

import os
from pathlib import Path

import pytest

from imagekit.errors import DocumentError, ImagekitError, NotFoundError, RegistryError
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.types import LAYER, Descriptor

_RAW = b"content"
_BLOB = Descriptor(media_type=LAYER, digest=Digest.of(_RAW), size=len(_RAW))


_REPOSITORY = Repository("localhost", "demo")


@pytest.fixture
def layout(tmp_path: Path) -> LayoutRegistry:
    """A layout with one good blob."""
    found = LayoutRegistry(LayoutStore(tmp_path / "layout"))
    found.put_bytes(_REPOSITORY, LAYER, _RAW)
    return found


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_blob_that_is_no_file_is_not_found(layout: LayoutRegistry, kind: str) -> None:
    """A FIFO is not waited for, and a link is not followed out of the folder."""
    path = layout.store.folder / "blobs" / "sha256" / _BLOB.digest.hex
    path.rename(path.with_suffix(".kept"))
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(path.with_suffix(".kept"))
    else:
        path.mkdir()
    with pytest.raises(NotFoundError):
        layout.blob(_REPOSITORY, _BLOB, limit=100)


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_index_that_is_no_file_is_refused(layout: LayoutRegistry, kind: str) -> None:
    """The same holds for index.json, without which nothing is found."""
    path = layout.store.folder / "index.json"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    else:
        path.mkdir()
    with pytest.raises(RegistryError):
        layout.tags(_REPOSITORY)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"manifests":[1]}', b'{"manifests":{}}'])
def test_index_that_is_none_is_refused(layout: LayoutRegistry, raw: bytes) -> None:
    """Half an index is not an empty one."""
    (layout.store.folder / "index.json").write_bytes(raw)
    with pytest.raises(ImagekitError):
        layout.tags(_REPOSITORY)


@pytest.mark.parametrize("kind", [b"[]", b"{}", b"1", b"null", b'"text/plain"'])
def test_manifest_of_no_kind_is_refused(layout: LayoutRegistry, kind: bytes) -> None:
    """What the manifest says of itself may be of any of JSON's types."""
    raw = b'{"schemaVersion":2,"mediaType":%b,"layers":[]}' % kind
    stored = layout.put_bytes(_REPOSITORY, LAYER, raw)
    with pytest.raises(DocumentError):
        layout.manifest(PinnedReference(_REPOSITORY, stored.digest))
