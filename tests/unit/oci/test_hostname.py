"""Hosts of registries: one spelling each, and what is refused for having several meanings."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import InvalidReferenceError
from imagekit.oci.hostname import (
    canonical_host,
    is_canonical,
    is_loopback,
    login_key,
    names_host,
    server_of,
    url_host,
)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Reg.Example.ORG", "reg.example.org"),
        ("reg.example.org.", "reg.example.org"),
        ("reg.example.org:443", "reg.example.org"),
        ("reg.example.org.:0443", "reg.example.org"),
        ("reg.example.org:05000", "reg.example.org:5000"),
        ("reg.example.org:80", "reg.example.org:80"),
        ("LOCALHOST", "localhost"),
        ("localhost.:5000", "localhost:5000"),
        ("127.0.0.1.", "127.0.0.1"),
        ("[0:0:0::1]:5000", "[::1]:5000"),
        ("[2001:DB8:0:0:0:0:0:1]", "[2001:db8::1]"),
        ("[::1]:443", "[::1]"),
        ("[::ffff:127.0.0.1]:5000", "127.0.0.1:5000"),
        ("[::FFFF:7f00:1]", "127.0.0.1"),
        ("XN--Bcher-kva.example", "xn--bcher-kva.example"),
        ("index.docker.io", "docker.io"),
        ("Registry-1.Docker.IO.:443", "docker.io"),
        ("registry.hub.docker.com", "docker.io"),
        ("index.docker.io:5000", "index.docker.io:5000"),
        ("registry", "registry"),
    ],
)
def test_one_spelling(text: str, host: str) -> None:
    """However a host is written, it is the same registry."""
    assert canonical_host(text) == host
    assert is_canonical(host)
    assert canonical_host(host) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a..b",
        ".a.b",
        "a.b..",
        "-a.b",
        "a.b-",
        "a_b.c",
        "a%2eb.c",
        "a b.c",
        "a.b\n",
        "a.b\0",
        "x" * 64 + ".c",
        ".".join(["x" * 60] * 5),
        "\N{KELVIN SIGN}elvin.org",
        "\N{FULLWIDTH LATIN SMALL LETTER L}ocalhost",
        "example\N{IDEOGRAPHIC FULL STOP}org",
        "b\xfccher.example",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "0x7f.1",
        "0x7f.0x0.0x0.0x1",
        "0x7f000001",
        "2130706433",
        "2130706433:5000",
        "1.2.3.4.5",
        "256.0.0.1",
        "reg.0x",
        "reg.1",
        "0.0.0.0:5000",
        "[::]",
        "[::ffff:0.0.0.0]",
        "[fe80::1%eth0]",
        "[fe80::1%25eth0]",
        "[::1",
        "[::1]x",
        "[]",
        "[127.0.0.1]",
        "::1",
        "a.b:",
        "a.b:0",
        "a.b:65536",
        "a.b:1x",
        "a.b:\N{ARABIC-INDIC DIGIT FOUR}43",
        "a.b:5000:5000",
        "user@a.b",
    ],
)
def test_what_has_several_meanings_is_refused(text: str) -> None:
    """Resolvers differ about these, so that nobody can say which registry is meant."""
    with pytest.raises(InvalidReferenceError):
        canonical_host(text)


@given(st.text(string.printable + "\N{KELVIN SIGN}\N{IDEOGRAPHIC FULL STOP}", max_size=30))
def test_a_spelling_is_final(text: str) -> None:
    """What comes out is read as itself, whatever came in."""
    try:
        host = canonical_host(text)
    except InvalidReferenceError:
        return

    assert canonical_host(host) == host
    assert host == host.lower()
    assert not host.endswith((".", ":443"))


def test_port_of_the_scheme() -> None:
    """The port that is left out is that of the scheme which the registry speaks."""
    assert canonical_host("reg.example:80", scheme="http") == "reg.example"
    assert canonical_host("reg.example:443", scheme="http") == "reg.example:443"
    assert canonical_host("reg.example:443", scheme="") == "reg.example:443"


@pytest.mark.parametrize(
    ("component", "is_one"),
    [
        ("reg.example", True),
        ("reg:5000", True),
        ("LocalHost", True),
        ("127.1", True),
        ("[::1]", True),
        ("library", False),
        ("", False),
    ],
)
def test_what_is_meant_to_be_a_host(component: str, is_one: bool) -> None:  # noqa: FBT001 - expected
    """An odd host is meant to be one, and not taken for a name on Docker Hub."""
    assert names_host(component) is is_one


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("[::1]:5000", True), ("127.9.9.9:1", True), ("[::2]", False)],
)
def test_loopback(host: str, loopback: bool) -> None:  # noqa: FBT001 - the expected value
    """This machine, and nothing that only looks like it."""
    assert is_loopback(host) is loopback


def test_docker_hub() -> None:
    """Docker Hub has one name, another server, and logins under a third."""
    assert server_of("docker.io") == "registry-1.docker.io"
    assert login_key("docker.io") == "https://index.docker.io/v1/"
    assert server_of("reg.example:5000") == login_key("reg.example:5000") == "reg.example:5000"


def test_hosts_of_addresses() -> None:
    """A server of blobs keeps its own name, and may have an underscore; odd forms are refused."""
    assert url_host("My_Bucket.Example.") == "my_bucket.example"
    assert url_host("index.docker.io") == "index.docker.io"
    assert url_host("0::FFFF:7f00:1") == "127.0.0.1"
    for odd in ("127.1", "0x7f.1", "2130706433", "fe80::1%1", "\N{KELVIN SIGN}.org"):
        with pytest.raises(InvalidReferenceError):
            url_host(odd)
