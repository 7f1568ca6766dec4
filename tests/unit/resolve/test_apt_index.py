"""Packages are found in the indexes by the digests of their files."""

from pathlib import Path

import pytest

from imagekit.oci.digest import Digest
from imagekit.resolve.apt_index import AptIndex

_ONE, _TWO = Digest.of(b"1"), Digest.of(b"2")


@pytest.fixture
def index(tmp_path: Path) -> AptIndex:
    """Two archives, which have different files of one version."""
    (tmp_path / "a_Packages").write_text(
        f"Package: libfoo1\nVersion: 1\nSource: foo (0.9)\nSHA256: {_ONE.hex}\nFrom: a\n\n"
        "Package: bar\nVersion: 1\nDescription: x\n"
    )
    (tmp_path / "b_Packages").write_text(
        f"Package: libfoo1\nVersion: 1\nSource: foo\nSHA256: {_TWO.hex}\nFrom: b\n"
    )
    (tmp_path / "b_InRelease").write_text(f"SHA256: {Digest.of(b'3').hex}\n")
    return AptIndex(tmp_path)


def test_a_stanza_is_that_of_the_file(index: AptIndex) -> None:
    """And not that of another file of the same version."""
    assert (index.stanza(_ONE) or "").endswith("From: a")
    assert (index.stanza(_TWO) or "").endswith("From: b")
    assert index.stanza(Digest.of(b"3")) is None


def test_the_source_of_a_package_is_known_by_any_version(index: AptIndex) -> None:
    """Its own name where nothing says it."""
    assert index.source("libfoo1") == "foo"
    assert index.source("bar") == "bar"
    assert index.source("unknown") == "unknown"
