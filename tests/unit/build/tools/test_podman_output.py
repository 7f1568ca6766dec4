"""What Podman prints is read as it is written, or refused."""

import json

import pytest

from imagekit.build.tools.podman_output import parse_local_images
from imagekit.errors import DocumentError
from imagekit.oci.digest import Digest

NAME = "r.site/apps/demo:1"


def test_podmans_list_is_read() -> None:
    """As Podman 4.3 writes it: nothing is null in an image without a name."""
    digest = f"sha256:{'b' * 64}"
    one = {"Id": "c" * 64, "Names": [NAME], "Digest": digest, "RepoDigests": [f"r.site/x@{digest}"]}
    two = {"Id": "d" * 64, "Names": None, "RepoDigests": None}

    found = parse_local_images(json.dumps([one, two]).encode())

    assert [(each.names, each.digests) for each in found] == [
        ((NAME,), (Digest.parse(digest),)),
        ((), ()),
    ]


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b"[1]",
        b'[{"Id": 1}]',
        b'[{"Id": "x", "Digest": "y"}]',
        b'[{"Id": "x", "Names": [1]}]',
    ],
)
def test_a_list_of_another_shape_is_refused(raw: bytes) -> None:
    """Nothing is skipped in silence."""
    with pytest.raises(DocumentError) as caught:
        parse_local_images(raw)
    assert caught.value.code == "BAD_STORE"
