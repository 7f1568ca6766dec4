"""Names of images: what is one, and above all what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import InvalidReferenceError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import (
    PinnedReference,
    Repository,
    canonical_name,
    parse_reference,
)

HEX = "ab" * 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "solver",
        "solver:1",
        "apps/solver:1",
        "reg.example/apps/solver",
        "reg.example/Apps/solver:1",
        "reg.example//solver:1",
        "reg.example/../solver:1",
        "reg.example/a%2Fb:1",
        "reg.example/a;b:1",
        "reg.example/a..b:1",
        "reg.example/a___b:1",
        "reg.example/-a:1",
        "reg.example/a-:1",
        "reg.example/a:",
        "reg.example/a:-x",
        "reg.example/a:" + "x" * 129,
        "reg.example/" + "a/" * 200 + "a:1",
        "reg.example/a:1\n",
        "reg.example/a\n:1",
        "reg.example\0/a:1",
        "reg.example:0/a:1",
        "reg.example:99999/a:1",
        "reg.example:8x/a:1",
        "http://reg.example/a:1",
        "user@reg.example/a:1",
        f"reg.example/a@sha256:{HEX.upper()}",
        f"reg.example/a@sha256:{HEX[:-1]}",
        f"reg.example/a@sha512:{HEX}",
        f"reg.example/a@md5:{HEX[:32]}",
        "reg.example/a@sha256:../../x",
        f"reg.example/a@sha256:{HEX}\nEVIL",
        "oci:folder",
        "oci:folder:",
        "oci::name:1",
        "oci:folder:name",
        "127.1:5000/a:1",
        "0x7f.1:5000/a:1",
        "2130706433:5000/a:1",
        "0177.0.0.1/a:1",
        "0.0.0.0:5000/a:1",
        "[::1%lo]:5000/a:1",
        "[::]:5000/a:1",
        "reg%2eexample/a:1",
        "reg\N{FULLWIDTH FULL STOP}example/a:1",
        "oci:folder:a:1",
        "oci:5000/a:1",
        f"oci:folder:a@sha256:{HEX}",
    ],
)
def test_parse_refuses(text: str) -> None:
    """Nothing outside the grammar becomes a reference, before any request is made."""
    with pytest.raises(InvalidReferenceError):
        parse_reference(text)


@pytest.mark.parametrize(
    "text",
    [
        "reg.example/a:1",
        "reg.example:5000/a/b-c/d__e/f.g:V_1.2-x",
        "localhost/a:1",
        "localhost:5000/a:1",
        "127.0.0.1:5000/a:1",
        "[::1]:5000/a:1",
        f"reg.example/a@sha256:{HEX}",
        f"reg.example/a@sha512:{HEX}{HEX}",
    ],
)
def test_text_survives_parsing(text: str) -> None:
    """What was parsed prints as it was written."""
    assert str(parse_reference(text)) == text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("LOCALHOST/a:1", "localhost/a:1"),
        ("Reg.Example.:443/a:1", "reg.example/a:1"),
        ("[0:0::1]:05000/a:1", "[::1]:5000/a:1"),
        ("[::ffff:127.0.0.1]/a:1", "127.0.0.1/a:1"),
        ("index.docker.io/org/a:1", "docker.io/org/a:1"),
        ("registry-1.docker.io/a:1", "docker.io/library/a:1"),
        ("docker.io/a:1", "docker.io/library/a:1"),
    ],
)
def test_a_name_has_one_spelling(text: str, name: str) -> None:
    """Whatever is matched, signed, logged in to and pinned by it is the same."""
    assert str(parse_reference(text)) == name


def test_no_repository_has_another_spelling() -> None:
    """Also one that was not read from a text."""
    assert Repository("Index.Docker.IO", "a") == Repository("docker.io", "library/a")
    with pytest.raises(InvalidReferenceError):
        Repository("127.1", "a")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a", "docker.io/library/a"),
        ("org/a:1", "docker.io/org/a:1"),
        ("index.docker.io/org/a@sha256:00", "docker.io/org/a@sha256:00"),
        ("Reg.Example:443/a:1", "reg.example/a:1"),
        ("127.1/a", None),
        ("a b", None),
        ("", None),
    ],
)
def test_names_that_others_wrote(text: str, name: str | None) -> None:
    """A name in a signature is completed and spelled as ours are, or is none."""
    assert canonical_name(text) == name


def test_tag_with_digest_is_pinned_and_remembers_the_tag() -> None:
    """``name:tag@digest`` is found by digest and judged for the tag."""
    reference = parse_reference(f"reg.example/a:1@sha256:{HEX}")

    assert isinstance(reference, PinnedReference)
    assert reference.tag == "1"
    assert str(reference) == f"reg.example/a@sha256:{HEX}"
    assert reference.full == f"reg.example/a:1@sha256:{HEX}"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("10.0.0.1:5000", False),
        ("reg.example", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:  # noqa: FBT001 - the expected value
    """TLS is left out only where the name can mean nothing but this machine."""
    assert Repository(host, "a").is_loopback is loopback


def test_digest_check_names_both() -> None:
    """Bytes that differ from their digest are told with both digests."""
    digest = Digest.of(b"a")

    digest.check(b"a", what="x")
    with pytest.raises(Exception, match="and not"):
        digest.check(b"b", what="x")


@given(st.text(max_size=300))
def test_any_text_is_refused_or_survives(text: str) -> None:
    """The parser has no third way out, and takes no time over it."""
    try:
        reference = parse_reference(text)
    except InvalidReferenceError:
        return
    assert parse_reference(str(reference)).repository == reference.repository
