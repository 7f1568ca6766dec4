"""What ``docker save`` and ``podman save`` write is read as a layout of one image."""

import json
from pathlib import Path

import pytest

from imagekit.errors import DocumentError, ImagekitError
from imagekit.oci.archive import open_archive
from imagekit.oci.codec import parse_manifest
from imagekit.oci.docker_archive import DockerArchive, read_docker_archive
from imagekit.oci.layout import LayoutReader, entries
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.types import MANIFEST, REF_NAME, Manifest
from tests.support.exports import Member, member, tar_bytes

IMAGE = {"Config": "c.json", "RepoTags": ["localhost/a:1"], "Layers": ["1.tar", "two/layer.tar"]}
FILES = (
    member("c.json", b"{}"),
    member("1.tar", b"layer"),
    member("two/layer.tar", type=b"2", linkname="../1.tar"),
)


def saved(folder: Path, document: object, *members: Member) -> Path:
    """Return an archive with this manifest.json."""
    file = folder / "saved.tar"
    file.write_bytes(tar_bytes((*members, member("manifest.json", json.dumps(document).encode()))))
    return file


def read(folder: Path, document: object, *members: Member) -> DockerArchive:
    """Return the image of such an archive; its members are not read any more."""
    with open_archive(saved(folder, document, *members), links=True) as archive:
        return read_docker_archive(archive)


def test_an_image_is_read_as_from_a_layout(tmp_path: Path) -> None:
    """Its layers by the digests of their bytes; an equal one may be a link to the other."""
    with open_archive(saved(tmp_path, [IMAGE], *FILES), links=True) as archive:
        store = read_docker_archive(archive)
        reader, (entry,) = LayoutReader(store), entries(store)
        image = PinnedReference(Repository("localhost", "a"), entry.digest)
        manifest = parse_manifest(reader.manifest(image).raw, MANIFEST)

        assert isinstance(manifest, Manifest)
        assert entry.annotations == {REF_NAME: "localhost/a:1"}
        for layer in manifest.layers:
            assert reader.blob(image.repository, layer, limit=10) == b"layer"
        assert reader.blob(image.repository, manifest.config, limit=10) == b"{}"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "no list of images"),
        ([], "no list of images"),
        ([IMAGE, IMAGE], "holds 2 images"),
        ([3], "manifest.json"),
        ([IMAGE | {"Layers": [3]}], "something else than a text"),
        ([IMAGE | {"Layers": ["1.tar"] * 1001}], "Layers"),
        ([IMAGE | {"Layers": ["absent"]}], "has no 'absent'"),
        ([IMAGE | {"Config": "absent"}], "has no absent"),
        ([IMAGE | {"Config": 3}], "Config"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, document: object, said: str) -> None:
    """Anybody may have written it."""
    with pytest.raises(ImagekitError, match=said):
        read(tmp_path, document, *FILES)


def test_a_link_leads_nowhere_but_to_a_member(tmp_path: Path) -> None:
    """No path of the host is ever opened."""
    out = member("two/layer.tar", type=b"2", linkname="/etc/passwd")

    with pytest.raises(ImagekitError, match="has no '/etc/passwd'"):
        read(tmp_path, [IMAGE], *FILES[:2], out)


def test_links_are_accepted_only_where_they_are_asked_for(tmp_path: Path) -> None:
    """An export of ours has none."""
    with pytest.raises(DocumentError), open_archive(saved(tmp_path, [IMAGE], *FILES)):
        pass
