"""The list of a registry's repositories: its scope, its pages, and what is no name."""

import pytest

from imagekit.errors import DocumentError
from imagekit.oci.reference import Repository
from imagekit.oci.registry import protocol


def test_the_list_needs_a_right_of_its_own() -> None:
    """Docker's token specification: ``registry:catalog:*``, and no repository's."""
    listing = Repository("registry.site", protocol.CATALOG)

    assert protocol.scope(listing, push=False) == "registry:catalog:*"
    assert protocol.catalog_path().startswith("/v2/_catalog?n=")


@pytest.mark.parametrize(
    "raw", [b"[]", b'{"repositories": 1}', b'{"repositories": [1]}', b"<html>"]
)
def test_what_is_no_list_is_refused(raw: bytes) -> None:
    """A proxy answers with anything."""
    with pytest.raises(DocumentError):
        protocol.parse_repositories(raw)


def test_an_empty_list_may_be_null() -> None:
    """Go writes it so."""
    assert protocol.parse_repositories(b'{"repositories": null}') == []
