"""Proxies of the environment: which requests go through one, and that every transport does."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagekit.errors import InputError, RegistryError
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.proxies import Proxies
from imagekit.oci.registry.stdlib_transport import StdlibTransport
from imagekit.oci.registry.transport import Request
from tests.support.hostile import Answer, HostileRegistry
from tests.support.proxy import Told, proxy, tls_server
from tests.support.server_requests import BODY, DIGEST, HOST, WAYS

_BASIC = f"Basic {base64.b64encode(b'me:s p').decode()}"
_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "REQUEST_METHOD")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the proxies of the machine that tests."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("environment", "origin", "through"),
    [
        ({"HTTPS_PROXY": "http://p:3128"}, ("https", "r.site", 443), "p:3128"),
        ({"HTTPS_PROXY": "p:3128"}, ("https", "r.site", 443), "p:3128"),
        ({"https_proxy": "http://p"}, ("https", "r.site", 443), "p:80"),
        ({"https_proxy": "a:1", "HTTPS_PROXY": "b:2"}, ("https", "r.site", 443), "a:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "b:2"}, ("https", "r.site", 443), None),
        ({"HTTPS_PROXY": "p:1"}, ("http", "r.site", 80), None),
        ({"HTTP_PROXY": "p:1"}, ("http", "r.site", 80), "p:1"),
        ({"HTTP_PROXY": "p:1"}, ("https", "r.site", 443), None),
        ({"HTTP_PROXY": "p:1", "REQUEST_METHOD": "GET"}, ("http", "r.site", 80), None),
        ({"HTTP_PROXY": "p:1"}, ("http", "localhost", 80), None),
        ({"HTTP_PROXY": "p:1"}, ("http", "127.0.0.9", 80), None),
        ({"HTTP_PROXY": "p:1"}, ("http", "::1", 80), None),
        ({"HTTP_PROXY": "p:1"}, ("http", "localhost.evil.site", 80), "p:1"),
        ({}, ("https", "r.site", 443), None),
    ],
)
def test_which_requests_go_through_a_proxy(
    environment: dict[str, str], origin: tuple[str, str, int], through: str | None
) -> None:
    """By the scheme of the server; this machine is always reached directly."""
    found = Proxies(environment).of(origin)

    assert (None if found is None else str(found)) == through


@pytest.mark.parametrize(
    ("listed", "host", "direct"),
    [
        ("r.site", "r.site", True),
        ("r.site", "x.r.site", True),
        (".r.site", "x.r.site", True),
        ("*.r.site", "x.r.site", True),
        (" other , R.Site ", "r.site", True),
        ("r.site:443", "r.site", True),
        ("r.site:5000", "r.site", False),
        ("site", "r.site", True),
        ("ite", "r.site", False),
        ("r.site", "evil-r.site", False),
        ("*", "r.site", True),
        ("", "r.site", False),
        (",", "r.site", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "r.site", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:443", "10.1.2.3", True),
        ("2.3", "10.1.2.3", False),
        ("fd00::/8", "fd00::1", True),
        ("fd00::1", "fd00:0::1", True),
        ("[fd00::1]:443", "fd00::1", True),
        ("[fd00::1]:5000", "fd00::1", False),
        ("1/2/3", "r.site", False),
    ],
)
def test_what_no_proxy_covers(listed: str, host: str, *, direct: bool) -> None:
    """Domains with what is below them, addresses and networks, each with a port or without."""
    environment = {"HTTPS_PROXY": "p:1", "NO_PROXY": listed}

    assert (Proxies(environment).of(("https", host, 443)) is None) is direct


@pytest.mark.parametrize(
    "value", ["socks5://p:1", "https://p:1", "http://", "http://p:x", "http://p:secret\n"]
)
def test_a_proxy_that_cannot_be_used(value: str) -> None:
    """It is not gone round in silence, and its password is not shown."""
    with pytest.raises(InputError) as caught:
        Proxies({"HTTPS_PROXY": value}).of(("https", "r.site", 443))
    assert "HTTPS_PROXY" in caught.value.message
    assert "secret" not in caught.value.message


def test_a_password_is_not_shown() -> None:
    """Neither in messages nor where a value is printed."""
    found = Proxies({"HTTPS_PROXY": "http://me:secret@p:1"}).of(("https", "r.site", 443))

    assert "secret" not in f"{found} {found!r}"


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Callable[..., bytes]:
    """Every way by which imagekit asks a server."""
    return WAYS[request.param]


@pytest.fixture
def behind_tls(tmp_path: Path) -> Iterator[tuple[str, Told, Path]]:
    """A server with TLS that only a proxy leads to: its name is in no name service."""
    with (
        tls_server(tmp_path, HOST, lambda _: ({}, BODY)) as (address, authority),
        proxy(address) as (at, told),
    ):
        yield at, told, authority


def test_every_transport_makes_a_tunnel(
    way: Callable[..., bytes],
    behind_tls: tuple[str, Told, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """With TLS, the proxy sees the name of the server and its own password, and nothing else."""
    at, told, authority = behind_tls
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:s%20p@{at}")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    url = f"https://{HOST}/v2/a/b/blobs/{DIGEST}"

    assert way(url, RegistryOptions(ca_file=authority), tmp_path) == BODY
    ((line, secret),) = told
    assert line.startswith(f"CONNECT {HOST}:443 HTTP/1.")
    assert secret == _BASIC


def test_every_transport_forwards_without_tls(
    way: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A proxy is told the whole address."""
    with HostileRegistry(lambda _: Answer(body=BODY)) as server:
        name, _, port = server.host.partition(":")
        with proxy((name, int(port))) as (at, told):
            monkeypatch.setenv("http_proxy", f"http://me:s%20p@{at}")
            url = f"http://{HOST}/v2/a/b/blobs/{DIGEST}"
            assert way(url, RegistryOptions(plain_http=True), tmp_path) == BODY
    assert told == [(f"GET {url} HTTP/1.1", _BASIC)]
    assert server.asked[-1].headers["host"] == HOST


def test_loopback_is_direct(
    way: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A proxy's own loopback is another machine's."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with HostileRegistry(lambda _: Answer(body=BODY)) as server:
        url = f"http://{server.host}/v2/a/b/blobs/{DIGEST}"
        assert way(url, RegistryOptions(), tmp_path) == BODY


def test_no_transport_goes_round_a_proxy_that_is_down(
    way: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is reached directly stands in NO_PROXY."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises((RegistryError, Exception), match=r"127\.0\.0\.1|[Pp]roxy"):
        way(f"http://{HOST}/v2/a/b/blobs/{DIGEST}", RegistryOptions(plain_http=True), tmp_path)


def test_a_place_of_this_machine_is_refused_before_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry sends its client to an address of the link: neither directly nor by a proxy."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    request = Request(method="GET", url="http://169.254.169.254/", deadline=5, outside=True)
    with pytest.raises(RegistryError):
        StdlibTransport(RegistryOptions()).send(request)
