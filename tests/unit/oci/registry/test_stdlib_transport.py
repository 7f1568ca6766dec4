"""Connections that are kept: bounded, and none is made again behind our back."""

import http.client
import socket
import threading

import pytest

from imagekit.errors import IntegrityError
from imagekit.oci.location import REGISTRY
from imagekit.oci.registry import connect
from imagekit.oci.registry.bodies import BytesBody
from imagekit.oci.registry.deadline_socket import Limit
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.stdlib_transport import StdlibTransport
from imagekit.oci.registry.transport import Request
from imagekit.oci.types import BUNDLE, Descriptor
from tests.support.hostile import Answer, HostileRegistry
from tests.support.replay import Stage


def test_no_more_than_32_connections_stay_open() -> None:
    """Ten thousand images in as many registries do not use up the files of a process."""
    transport = StdlibTransport(RegistryOptions())
    closed: list[int] = []
    for number in range(40):
        connection = http.client.HTTPConnection(f"host{number}")
        connection.close = lambda number=number: closed.append(number)  # type: ignore[method-assign, misc]
        request = Request(method="GET", url=f"http://host{number}/v2/", deadline=1)
        transport._give_back(connection, request, good=True)

    assert closed == list(range(8))


def test_one_connection_serves_one_request_after_the_other() -> None:
    """What was read to its end is asked again over the same connection."""
    with HostileRegistry(lambda _: Answer(body=b"x")) as server:
        transport = StdlibTransport(RegistryOptions())
        for _ in range(5):
            request = Request(method="GET", url=f"http://{server.host}/v2/", deadline=5)
            with transport.send(request) as response:
                assert response.read(10) == b"x"

        assert len(transport._idle) == 1


def test_an_answer_that_comes_before_the_body_was_taken_is_read() -> None:
    """Such as 413 of a proxy, which closes then: it says why, and a broken connection does not."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
                connection.shutdown(socket.SHUT_RD)

        thread = threading.Thread(target=refuse)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v2/"
        body = BytesBody(bytes(50 << 20))
        request = Request(method="PUT", url=url, body=body, deadline=5)
        with StdlibTransport(RegistryOptions()).send(request) as response:
            assert response.status == 413
        thread.join(5)


def test_a_limit_that_passed_gives_no_more_time() -> None:
    """Not even a read of no bytes is begun."""
    assert 0 < Limit(10, silence=3).left() <= 3
    with pytest.raises(TimeoutError):
        Limit(0, silence=3).left()


def test_a_known_blob_of_another_size_is_asked_for_again() -> None:
    """A list that lies about the size gets no answer from what is kept, but the registry's."""
    stage = Stage()
    with stage.server:
        repository = stage.world.repository
        blob = stage.world.registry.put_bytes(repository, BUNDLE, b"bundle")
        reader = connect.reader(REGISTRY, RegistryOptions())
        assert reader.blob(repository, blob, limit=10) == b"bundle"
        assert reader.blob(repository, blob, limit=10) == b"bundle"
        lying = Descriptor(media_type=BUNDLE, digest=blob.digest, size=5)
        with pytest.raises(IntegrityError):
            reader.blob(repository, lying, limit=10)

    assert len(stage.server.asked) == 2
