"""A registry that cannot be reached is told in the same words, whatever asks for it."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.errors import RegistryError
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.oras import OrasTransport
from imagekit.oci.registry.stdlib_transport import StdlibTransport
from imagekit.oci.registry.transport import Request, Transport
from tests.support.proxy import tls_server

Make = Callable[[str, RegistryOptions], Transport]
WAYS: dict[str, Make] = {
    "stdlib": lambda _host, options: StdlibTransport(options),
    "oras": OrasTransport,
}


@pytest.fixture(params=WAYS)
def make(request: pytest.FixtureRequest) -> Make:
    """Each transport that publish and verify use."""
    return WAYS[request.param]


def _fault(make: Make, url: str) -> RegistryError:
    host = url.partition("://")[2].partition("/")[0]
    transport = make(host, RegistryOptions(connect_seconds=5, read_seconds=5))
    with pytest.raises(RegistryError) as caught:
        transport.send(Request(method="GET", url=url, deadline=5.0))
    return caught.value


def test_a_port_at_which_nobody_listens(make: Make) -> None:
    """One line with the place and the system's reason, and nothing of a library's insides."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        place = f"127.0.0.1:{closed.getsockname()[1]}"

    fault = _fault(make, f"http://{place}/v2/")

    assert (fault.code, fault.message) == (
        "CONNECTION",
        f"cannot reach {place} by http: Connection refused",
    )


def test_a_name_that_nobody_has(make: Make) -> None:
    """RFC 6761 section 6.4: nothing is ever called so."""
    fault = _fault(make, "http://registry.invalid/v2/")

    assert fault.code == "CONNECTION"
    assert fault.message.startswith("cannot reach registry.invalid:80 by http: ")
    assert "Pool" not in fault.message


def test_a_certificate_that_nobody_vouches_for(make: Make, tmp_path: Path) -> None:
    """The remedy is the authority's file."""
    with tls_server(tmp_path, "localhost", lambda _path: ({}, b"")) as ((host, port), _):
        fault = _fault(make, f"https://{host}:{port}/v2/")

    assert (fault.code, fault.message) == (
        "TLS",
        f"the certificate of {host}:{port} is not trusted: self-signed certificate",
    )
    assert "--ca-file" in fault.hint


def test_a_server_without_tls(make: Make) -> None:
    """The remedy is --plain-http."""
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def greet() -> None:
            client, _ = plain.accept()
            with client:
                client.recv(1024)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        fault = _fault(make, f"https://127.0.0.1:{plain.getsockname()[1]}/v2/")
        thread.join(5)

    assert fault.code == "CONNECTION"
    assert "--plain-http" in fault.hint
