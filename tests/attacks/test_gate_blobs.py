"""Attacks with blobs: never a complete wrong body, and never one that is no part of an image."""

import contextlib
import http.client
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagekit.gate.blobs.download import HELD_BACK
from imagekit.oci.digest import Digest
from tests.e2e.gate.kit import Reply, wait_for
from tests.e2e.gate.local import LocalGate, Making
from tests.e2e.gate.origin import Origin
from tests.support.hostile import Answer, Asked

pytestmark = pytest.mark.real

CONTENT = os.urandom(3 << 20)
OCTETS = "application/octet-stream"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A registry with one image."""
    with Origin(CONTENT) as running:
        yield running


@pytest.fixture(params=["cache", "no-cache"])
def gate(origin: Origin, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LocalGate]:
    """A gate in front of it, whose client asked for the manifest already."""
    with LocalGate(making(origin, tmp_path, cached=request.param == "cache")) as running:
        assert running.get(origin.manifest).status == 200
        yield running


def making(origin: Origin, folder: Path, *, cached: bool = True) -> Making:
    """Return what the gate is made of."""
    return Making(
        folder=folder,
        policy=origin.world.policy(),
        upstreams=(origin.upstream(),),
        cache_size=(64 << 20) if cached else 0,
    )


def on_blob(change: Answer) -> object:
    """Return the lie that answers so for the layer."""
    return lambda asked, _answer: change if "/blobs/" in asked.path else None


def broken(gate: LocalGate, path: str) -> bytes:
    """Return what came of a body that must not come whole; or nothing where it was refused."""
    try:
        answer = gate.get(path)
    except http.client.IncompleteRead as error:
        return error.partial
    except ConnectionError:
        return b""
    assert answer.status >= 400
    return b""


def test_00_an_honest_registry(origin: Origin, gate: LocalGate) -> None:
    """Without an attack the blob comes."""
    assert Digest.of(gate.get(origin.blob).body) == origin.digest


@pytest.mark.parametrize(
    "content",
    [
        CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]),
        CONTENT + b"!",
        CONTENT[:-1],
        CONTENT[: 1 << 20],
        b"",
        bytes([CONTENT[0] ^ 1]) + CONTENT[1:],
    ],
    ids=["last-byte", "one-more", "one-less", "a-third", "nothing", "first-byte"],
)
def test_23_altered_blob(origin: Origin, gate: LocalGate, content: bytes) -> None:
    """Attack 23: what differs from its digest never comes whole."""
    answer = Answer(headers={"Docker-Content-Digest": str(origin.digest)}, body=content)
    origin.lie = on_blob(answer)  # type: ignore[assignment]

    came = broken(gate, origin.blob)

    assert len(came) <= len(CONTENT) - 1
    origin.lie = lambda _asked, _answer: None
    assert Digest.of(gate.get(origin.blob).body) == origin.digest


def test_23_chunks_without_length(origin: Origin, gate: LocalGate) -> None:
    """A body without a length that goes on and on is cut where the blob should end."""

    def endless(write: object) -> None:
        for _ in range(1000):
            write(b"x" * (1 << 16))  # type: ignore[operator]

    origin.lie = on_blob(Answer(drip=endless))  # type: ignore[assignment]

    assert len(broken(gate, origin.blob)) < len(CONTENT)


def test_23_small_blob_is_an_error_and_no_broken_body(origin: Origin, gate: LocalGate) -> None:
    """What is small is checked before anything is said."""
    origin.lie = lambda asked, _a: Answer(body=b"evil") if asked.path == origin.config else None

    answer = gate.get(origin.config)

    assert answer.status in {403, 502, 503}


def test_26_a_manifest_is_no_blob(origin: Origin, gate: LocalGate) -> None:
    """Attack 26: a manifest fetched as a blob, also one that is allowed."""
    answer = gate.get(f"/v2/apps/demo/blobs/{origin.image.digest}")

    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")


def test_26_always_octets(origin: Origin, gate: LocalGate) -> None:
    """Attack 26: whatever the registry calls a blob, it is octets here."""
    typed = Answer(headers={"Content-Type": MANIFEST}, body=CONTENT)
    origin.lie = lambda asked, _answer: typed if asked.path == origin.blob else None

    assert gate.get(origin.blob).headers["Content-Type"] == OCTETS
    assert gate.get(origin.blob, method="HEAD").headers["Content-Type"] == OCTETS


def test_blob_that_no_image_has(origin: Origin, gate: LocalGate) -> None:
    """The registry is not even asked for it."""
    other = origin.world.registry.put_bytes(origin.world.repository, OCTETS, b"other")

    answer = gate.get(f"/v2/apps/demo/blobs/{other.digest}")

    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")
    assert not [one for one in origin.asked if str(other.digest) in one.path]


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://user:pass@127.0.0.1/x",
        "gopher://x/",
        "//[::ffff:169.254.169.254]/x",
    ],
)
def test_34_redirect(origin: Origin, gate: LocalGate, location: str) -> None:
    """Attack 34: a redirect to where a registry has no say is not followed."""
    origin.lie = on_blob(Answer(307, {"Location": location}))  # type: ignore[assignment]

    answer = gate.get(origin.blob)

    assert answer.status in {403, 503}
    assert "must not go" in answer.message or "FOREIGN_REDIRECT" in answer.message


def test_34_redirects_that_go_round(origin: Origin, gate: LocalGate) -> None:
    """They end."""
    origin.lie = on_blob(Answer(307, {"Location": origin.blob}))  # type: ignore[assignment]

    assert gate.get(origin.blob).status in {403, 503}
    assert len(origin.blobs_asked()) < 10


def test_redirect_to_another_host_without_login(origin: Origin, gate: LocalGate) -> None:
    """A redirect to a store of blobs is followed."""
    with Origin(CONTENT) as store:
        place = f"http://{store.host}{store.blob}"
        origin.lie = on_blob(Answer(307, {"Location": place}))  # type: ignore[assignment]

        assert Digest.of(gate.get(origin.blob).body) == origin.digest
        assert "authorization" not in store.asked[-1].headers


def test_connection_that_breaks_is_resumed(origin: Origin, gate: LocalGate) -> None:
    """Where the registry breaks off, the rest is asked for by range, and all is checked."""
    half = len(CONTENT) // 2

    def lie(asked: Asked, answer: Answer) -> Answer | None:
        if asked.path != origin.blob or "range" in asked.headers:
            return None
        length = {"Content-Length": str(len(CONTENT))}
        return Answer(200, length, drip=lambda write: write(CONTENT[:half]))

    origin.lie = lie

    assert Digest.of(gate.get(origin.blob).body) == origin.digest
    assert any("range" in one.headers for one in origin.blobs_asked())


def test_resumed_elsewhere(origin: Origin, gate: LocalGate) -> None:
    """A registry that resumes at another place is not believed."""
    half = len(CONTENT) // 2

    def lie(asked: Asked, answer: Answer) -> Answer | None:
        if asked.path != origin.blob:
            return None
        if "range" in asked.headers:
            return Answer(206, {"Content-Range": f"bytes 0-9/{len(CONTENT)}"}, CONTENT[half:])
        length = {"Content-Length": str(len(CONTENT))}
        return Answer(200, length, drip=lambda write: write(CONTENT[:half]))

    origin.lie = lie

    assert len(broken(gate, origin.blob)) < len(CONTENT)


def test_upstream_is_let_go_when_the_client_goes(origin: Origin, gate: LocalGate) -> None:
    """A client that goes away in the middle ends the download at the registry."""
    ended = threading.Event()

    def slowly(write: object) -> None:
        try:
            for at in range(0, len(CONTENT), 1 << 14):
                write(CONTENT[at : at + (1 << 14)])  # type: ignore[operator]
                time.sleep(0.05)
        except OSError:
            ended.set()
            raise

    length = {"Content-Length": str(len(CONTENT))}
    origin.lie = on_blob(Answer(200, length, drip=slowly))  # type: ignore[assignment]
    with socket.create_connection(("127.0.0.1", gate.port), timeout=10) as client:
        client.sendall(f"GET {origin.blob} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.recv(100)

    assert ended.wait(5)


def test_one_download_for_all(origin: Origin, tmp_path: Path) -> None:
    """Eight clients at once cost the registry one download, and each gets all of it."""

    def slowly(write: object) -> None:
        for at in range(0, len(CONTENT), 1 << 18):
            write(CONTENT[at : at + (1 << 18)])  # type: ignore[operator]
            time.sleep(0.05)

    length = {"Content-Length": str(len(CONTENT))}
    answers: list[Reply] = []
    with LocalGate(making(origin, tmp_path)) as gate:
        gate.get(origin.manifest)
        origin.lie = on_blob(Answer(200, length, drip=slowly))  # type: ignore[assignment]
        threads = [
            threading.Thread(target=lambda: answers.append(gate.get(origin.blob))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [Digest.of(answer.body) == origin.digest for answer in answers] == [True] * 8
    assert len(origin.blobs_asked()) == 1


def test_last_bytes_wait_for_the_digest(origin: Origin, gate: LocalGate) -> None:
    """Until all bytes are there and right, the last ones are held back."""
    more = threading.Event()

    def drip(write: object) -> None:
        write(CONTENT[:-1])  # type: ignore[operator]
        more.wait(10)
        write(CONTENT[-1:])  # type: ignore[operator]

    length = {"Content-Length": str(len(CONTENT))}
    origin.lie = on_blob(Answer(200, length, drip=drip))  # type: ignore[assignment]
    with socket.create_connection(("127.0.0.1", gate.port), timeout=20) as client:
        client.sendall(f"GET {origin.blob} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        came = client.recv(1 << 20)
        client.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while piece := client.recv(1 << 20):
                came += piece
        body = came.partition(b"\r\n\r\n")[2]
        assert len(body) < len(CONTENT) - 1
        more.set()
        client.settimeout(20)
        while len(body) < len(CONTENT):
            rest = client.recv(1 << 20)
            assert rest
            body += rest

    assert Digest.of(body) == origin.digest


def test_what_was_altered_on_disk_is_found(origin: Origin, tmp_path: Path) -> None:
    """A cached blob that somebody altered while no gate ran is not sent whole, but fetched anew."""
    with LocalGate(making(origin, tmp_path)) as gate:
        gate.get(origin.manifest)
        assert Digest.of(gate.get(origin.blob).body) == origin.digest
    file = tmp_path / "cache" / "sha256" / origin.digest.hex
    file.write_bytes(b"!" + CONTENT[1:])

    with LocalGate(making(origin, tmp_path)) as gate:
        came = broken(gate, origin.blob)
        again = gate.get(origin.blob)

    assert len(came) <= len(CONTENT) - HELD_BACK
    assert Digest.of(again.body) == origin.digest


def test_link_in_the_cache_is_not_followed(origin: Origin, tmp_path: Path) -> None:
    """A link in the cache's place leads nowhere."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * len(CONTENT))
    (tmp_path / "cache" / "sha256").mkdir(parents=True)
    (tmp_path / "cache" / "sha256" / origin.digest.hex).symlink_to(secret)

    with LocalGate(making(origin, tmp_path)) as gate:
        gate.get(origin.manifest)
        answer = gate.get(origin.blob)

    assert Digest.of(answer.body) == origin.digest


def test_cache_is_bounded(origin: Origin, tmp_path: Path) -> None:
    """What was used least recently goes, and what is larger than the cache is passed through."""
    made = making(origin, tmp_path)
    made.cache_size = 1 << 20
    with LocalGate(made) as gate:
        gate.get(origin.manifest)
        assert Digest.of(gate.get(origin.blob).body) == origin.digest
        assert gate.get(origin.config).status == 200
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]

    assert sum(path.stat().st_size for path in kept) <= 1 << 20
    assert not (tmp_path / "cache" / "sha256" / origin.digest.hex).exists()


def test_range_is_served_before_the_whole(origin: Origin, gate: LocalGate) -> None:
    """Who resumes gets the rest, from a cache or from the registry."""
    answer = gate.get(origin.blob, headers={"Range": "bytes=1000000-"})

    assert answer.status == 206
    assert Digest.of(answer.body) == Digest.of(CONTENT[1_000_000:])


def test_no_download_is_left(origin: Origin, tmp_path: Path) -> None:
    """After all of this there is no part in the cache, and the digest of what is there is right."""
    with LocalGate(making(origin, tmp_path)) as gate:
        gate.get(origin.manifest)
        gate.get(origin.blob)
        origin.lie = on_blob(Answer(500))  # type: ignore[assignment]
        gate.get(origin.config)
        wait_for(lambda: not [*(tmp_path / "cache" / "parts").iterdir()])
    for file in (tmp_path / "cache" / "sha256").iterdir():
        assert Digest.of(file.read_bytes()).hex == file.name
