"""Uploads to a real registry over a connection that breaks in the middle."""

import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY, LocatedRepository
from imagekit.oci.reference import Repository
from imagekit.oci.registry import connect, upload
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.types import LAYER, Descriptor

pytestmark = pytest.mark.real
MEGABYTE = 1 << 20


class Cutting:
    """Passes connections on, and cuts each of the first ones after so many bytes."""

    def __init__(self, server: socket.socket, target: tuple[str, int], cuts: list[int]) -> None:
        self.passed = 0
        self._server, self._target, self._cuts = server, target, cuts

    def run(self) -> None:
        """Pass on until the server is closed."""
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as target:
            threading.Thread(target=_pour, args=(target, client), daemon=True).start()
            seen = 0
            while piece := client.recv(64 << 10):
                seen += len(piece)
                self.passed += len(piece)
                if self._cuts and seen > self._cuts[0]:
                    self._cuts.pop(0)
                    target.sendall(piece[: len(piece) // 2])
                    break
                target.sendall(piece)
            # Closing alone would wait for whoever reads from it.
            for end in (client, target):
                end.shutdown(socket.SHUT_RDWR)


def _pour(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(64 << 10):
            target.sendall(piece)
    except OSError:
        return


@contextmanager
def cutting(host: str, cuts: list[int]) -> Iterator[tuple[str, Cutting]]:
    """Stand before a registry; yield HOST:PORT, and what counts."""
    name, _, port = host.partition(":")
    with socket.create_server(("127.0.0.1", 0)) as server:
        between = Cutting(server, (name, int(port)), cuts)
        thread = threading.Thread(target=between.run)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}", between
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize("name", ["registry", "with_api"])
def test_a_blob_arrives_whole(
    request: pytest.FixtureRequest, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two connections break, one at the half: these registries keep no part of a chunk."""
    monkeypatch.setattr(upload, "LARGE", MEGABYTE)
    monkeypatch.setattr(upload, "CHUNK", 2 * MEGABYTE)
    source, raw = tmp_path / "blob", secrets.token_bytes(8 * MEGABYTE)
    source.write_bytes(raw)
    blob = Descriptor(media_type=LAYER, digest=Digest.of(raw), size=len(raw))
    half = len(raw) // 2 + MEGABYTE
    with cutting(request.getfixturevalue(name), [half, MEGABYTE]) as (host, between):
        repository = Repository(host, f"team/{secrets.token_hex(6)}")
        client = connect.writer(LocatedRepository(REGISTRY, repository), RegistryOptions())

        assert client.put_blob(repository, blob, source)
        with client.stream(repository, blob) as pieces:
            assert b"".join(pieces) == raw
    assert between.passed < 2 * len(raw)
