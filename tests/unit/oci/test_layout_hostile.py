"""A layout folder that somebody else prepared."""

import os
from pathlib import Path

import pytest

from imagekit.errors import DocumentError, ImagekitError, NotFoundError, RegistryError
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutRegistry
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.types import LAYER, Descriptor

_RAW = b"content"
_BLOB = Descriptor(media_type=LAYER, digest=Digest.of(_RAW), size=len(_RAW))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A layout with one good blob."""
    found = Repository("localhost", "demo", tmp_path / "layout")
    LayoutRegistry().put_bytes(found, LAYER, _RAW)
    return found


def _folder(repository: Repository) -> Path:
    assert repository.layout is not None
    return repository.layout


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_blob_that_is_no_file_is_not_found(repository: Repository, kind: str) -> None:
    """A FIFO is not waited for, and a link is not followed out of the folder."""
    path = _folder(repository) / "blobs" / "sha256" / _BLOB.digest.hex
    path.rename(path.with_suffix(".kept"))
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(path.with_suffix(".kept"))
    else:
        path.mkdir()
    with pytest.raises(NotFoundError):
        LayoutRegistry().blob(repository, _BLOB, limit=100)


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_index_that_is_no_file_is_refused(repository: Repository, kind: str) -> None:
    """The same holds for index.json, without which nothing is found."""
    path = _folder(repository) / "index.json"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    else:
        path.mkdir()
    with pytest.raises(RegistryError):
        LayoutRegistry().tags(repository)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"manifests":[1]}', b'{"manifests":{}}'])
def test_index_that_is_none_is_refused(repository: Repository, raw: bytes) -> None:
    """Half an index is not an empty one."""
    (_folder(repository) / "index.json").write_bytes(raw)
    with pytest.raises(ImagekitError):
        LayoutRegistry().tags(repository)


@pytest.mark.parametrize("kind", [b"[]", b"{}", b"1", b"null", b'"text/plain"'])
def test_manifest_of_no_kind_is_refused(repository: Repository, kind: bytes) -> None:
    """What the manifest says of itself may be of any of JSON's types."""
    raw = b'{"schemaVersion":2,"mediaType":%b,"layers":[]}' % kind
    stored = LayoutRegistry().put_bytes(repository, LAYER, raw)
    with pytest.raises(DocumentError):
        LayoutRegistry().manifest(PinnedReference(repository, stored.digest))
