"""Uploads over registries that fail, forget, lie and let tokens end: whole, or refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.errors import IntegrityError, RegistryError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Repository
from imagekit.oci.registry import upload
from imagekit.oci.registry.client import RegistryClient
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.session import Session
from imagekit.oci.registry.transport import Request
from imagekit.oci.types import LAYER, Descriptor
from tests.support.uploads import (
    HOST,
    Answered,
    Fault,
    UploadRegistry,
    answered,
    dropped,
    expired,
    forgotten,
    lying,
    unanswered,
)

RAW = b"0123456789abcdefghijklmnopqrstu"
BLOB = Descriptor(media_type=LAYER, digest=Digest.of(RAW), size=len(RAW))
REPOSITORY, OTHER = Repository(HOST, "apps/demo"), Repository(HOST, "base/debian")
HERE = ("apps/demo", str(BLOB.digest))
Put = Callable[..., bool]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Put a blob of 31 bytes, as large ones are: in four chunks of at most ten."""
    monkeypatch.setattr(upload, "LARGE", 20)
    monkeypatch.setattr(upload, "CHUNK", 10)
    source = tmp_path / "blob"
    source.write_bytes(RAW)

    def run(registry: UploadRegistry, *, known_in: tuple[Repository, ...] = ()) -> bool:
        return client(registry).put_blob(REPOSITORY, BLOB, source, known_in=known_in)

    return run


def client(registry: UploadRegistry) -> RegistryClient:
    """Return a client that does not wait."""
    session = Session(
        registry,
        registry,
        options=RegistryOptions(),
        credentials=lambda _: None,
        sleep=lambda _: None,
    )
    return RegistryClient(session, sleep=lambda _: None)


def test_a_large_blob_goes_in_chunks(put: Put) -> None:
    """Each behind the one before, and a PUT without a body at the end."""
    registry = UploadRegistry()

    assert put(registry)
    assert registry.blobs == {HERE: RAW}
    assert registry.methods == "HEAD POST PATCH PATCH PATCH PATCH PUT"


@pytest.mark.parametrize(
    ("at", "fault", "most"),
    [
        (("PATCH", 2), dropped(), 10),
        (("PATCH", 2), dropped(0), 10),
        (("PATCH", 1), dropped(), 10),
        (("PATCH", 1), dropped(0), 10),
        (("PATCH", 4), dropped(), 10),
        (("PATCH", 3), unanswered, 10),
        (("PATCH", 3), answered(500), 10),
        (("PATCH", 3), answered(503, Retry_After="1"), 10),
        (("PATCH", 3), forgotten, 31),
        (("PATCH", 3), answered(404), 31),
        (("PUT", 1), unanswered, 0),
        (("PUT", 1), forgotten, 31),
        (("PUT", 1), answered(500), 31),
        (("PUT", 1), answered(404), 31),
        (("POST", 1), answered(500), 0),
    ],
)
def test_what_was_taken_is_not_sent_again(
    put: Put, at: tuple[str, int], fault: Fault, most: int
) -> None:
    """A connection that breaks in the middle costs a chunk at most; a lost upload begins anew."""
    registry = UploadRegistry({at: fault})

    assert put(registry)
    assert registry.blobs == {HERE: RAW}
    assert registry.received <= len(RAW) + most


def test_what_goes_on_begins_where_the_registry_says(put: Put) -> None:
    """Half of the second chunk was there: the next one begins behind it."""
    registry = UploadRegistry({("PATCH", 2): dropped()})
    put(registry)

    assert registry.methods == "HEAD POST PATCH PATCH GET PATCH PATCH PUT"
    assert registry.received == len(RAW) + 5


def test_a_registry_that_forgets_what_was_cut_is_sent_all_of_it(put: Put) -> None:
    """Distribution 2 does; what it took whole chunks of it knows."""
    registry = UploadRegistry({("PATCH", 2): dropped()}, forgetful=True)

    assert put(registry)
    assert registry.blobs == {HERE: RAW}
    registry = UploadRegistry({("PATCH", 2): answered(500)}, forgetful=True)

    assert put(registry)
    assert (registry.blobs, registry.received) == ({HERE: RAW}, len(RAW))


@pytest.mark.parametrize("method", ["PATCH", "PUT", "POST"])
def test_faults_without_end_are_an_error(put: Put, method: str) -> None:
    """As often as any request is tried, and not for ever."""
    registry = UploadRegistry({(method, number): answered(500) for number in range(1, 100)})
    with pytest.raises(RegistryError, match="500"):
        put(registry)

    assert registry.methods.split().count(method) <= 8
    assert not registry.blobs


@pytest.mark.parametrize("method", ["PATCH", "PUT", "GET"])
def test_a_token_that_ends_is_replaced(put: Put, method: str) -> None:
    """Between two chunks too: an upload may take longer than a token is good for."""
    registry = UploadRegistry({(method, 1): expired, ("PATCH", 3): dropped()})
    registry.tokens = ["third", "second", "first"]
    registry.tokens.reverse()

    assert put(registry)
    assert registry.blobs == {HERE: RAW}


@pytest.mark.parametrize(
    "said", ["0-40", "0-19", "3-9", "x", "0-", "0-9999999999999999999999", "0--1", "bytes"]
)
def test_a_registry_that_has_more_than_was_sent_is_not_believed(put: Put, said: str) -> None:
    """Nor one that says what is no range."""
    registry = UploadRegistry({("PATCH", 1): lying(Range=said)})
    with pytest.raises(RegistryError) as caught:
        put(registry)

    assert caught.value.code == "BAD_ANSWER"
    assert not registry.blobs


@pytest.mark.parametrize(
    "faults",
    [
        {("PATCH", 2): dropped(), ("GET", 1): lying(Range="0-19")},
        {("PATCH", 2): dropped(), ("GET", 1): lying(Range="0-9")},
        {("PATCH", 2): lying(Range="0-9")},
        {("PATCH", 2): dropped(), ("GET", 1): lying(Range="0-0")},
        {("PATCH", 2): dropped(), ("GET", 1): answered(404)},
    ],
    ids=["too much", "too little", "not taken", "nothing", "gone"],
)
def test_a_wrong_word_on_how_much_is_there_costs_an_upload(
    put: Put, faults: dict[tuple[str, int], Fault]
) -> None:
    """What went on in the wrong place has another digest, and it begins anew."""
    registry = UploadRegistry(faults)

    assert put(registry)
    assert registry.blobs == {HERE: RAW}


def test_a_registry_that_always_lies_gets_no_blob(put: Put) -> None:
    """Each upload has another digest in the end."""
    faults: dict[tuple[str, int], Fault] = {
        (method, number): lying(Range="0-4") for method in ("PATCH", "GET") for number in range(99)
    }
    registry = UploadRegistry(faults)
    with pytest.raises(RegistryError):
        put(registry)

    assert not registry.blobs
    assert len(registry.asked) < 60


@pytest.mark.parametrize("said", [str(Digest.of(b"other")), "sha256:../x"])
def test_another_digest_than_was_sent_is_an_error(put: Put, said: str) -> None:
    """Whatever stored it altered it."""
    registry = UploadRegistry({("PUT", 1): lying(Docker_Content_Digest=said)})
    with pytest.raises(IntegrityError):
        put(registry)


def test_a_digest_by_another_algorithm_says_nothing(put: Put) -> None:
    """distribution-spec, "Pulling manifests": it may be by another one."""
    other = "sha512:" + "a" * 128

    assert put(UploadRegistry({("PUT", 1): lying(Docker_Content_Digest=other)}))


def test_a_small_blob_goes_in_one_piece(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """And after a fault anew: half of it may be there, and nobody may send the rest."""
    monkeypatch.setattr(upload, "LARGE", 100)
    for fault in (dropped(), unanswered, forgotten, answered(500), answered(416)):
        registry = UploadRegistry({("PUT", 1): fault})

        assert put(registry)
        assert registry.blobs == {HERE: RAW}
        assert set(registry.methods.split()) == {"HEAD", "POST", "PUT"}


@pytest.mark.parametrize("status", [405, 411, 413, 501])
def test_what_is_too_much_in_one_piece_goes_in_chunks(
    put: Put, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """A proxy before the registry may take less at once."""
    monkeypatch.setattr(upload, "LARGE", 100)
    registry = UploadRegistry({("PUT", 1): answered(status)})

    assert put(registry)
    assert registry.methods == "HEAD POST PUT POST PATCH PATCH PATCH PATCH PUT"


def test_what_is_refused_is_not_tried_again(put: Put) -> None:
    """No right, a name that is none, another digest: the next answer would be the same."""
    for status in (400, 403, 422):
        for method in ("PATCH", "PUT"):
            registry = UploadRegistry({(method, 1): answered(status)})
            with pytest.raises(RegistryError, match=str(status)):
                put(registry)

            assert registry.methods.split().count(method) == 1


def test_a_blob_of_another_repository_is_mounted(put: Put) -> None:
    """No byte of it is sent."""
    registry = UploadRegistry()
    registry.blobs["base/debian", str(BLOB.digest)] = RAW

    assert not put(registry, known_in=(OTHER,))
    assert registry.blobs[HERE] == RAW
    assert (registry.methods, registry.received) == ("HEAD POST", 0)


def test_where_it_is_not_any_more_the_upload_that_began_goes_on(put: Put) -> None:
    """What was noted of another repository is a hint."""
    registry = UploadRegistry()

    assert put(registry, known_in=(OTHER,))
    assert registry.methods == "HEAD POST PATCH PATCH PATCH PATCH PUT"


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_a_registry_that_mounts_nothing_is_sent_the_bytes(put: Put, status: int) -> None:
    """Who may not read the other repository writes all the same."""
    registry = UploadRegistry({("POST", 1): answered(status)})

    assert put(registry, known_in=(OTHER,))
    assert registry.blobs == {HERE: RAW}


def test_a_mount_of_something_else_is_an_error(put: Put) -> None:
    """The registry says what it has mounted."""
    registry = UploadRegistry()
    registry.blobs["base/debian", str(BLOB.digest)] = RAW
    registry.faults["POST", 1] = lying(Docker_Content_Digest=str(Digest.of(b"other")))
    with pytest.raises(IntegrityError):
        put(registry, known_in=(OTHER,))


def test_a_mount_asks_for_the_right_to_read_the_other(put: Put) -> None:
    """Docker's token specification: each scope stands for itself."""
    registry = UploadRegistry()
    registry.tokens = ["mount", "push"]
    registry.blobs["base/debian", str(BLOB.digest)] = RAW
    asked: list[str] = []
    send = registry.send

    def watched(request: Request) -> Answered:
        asked.append(request.url)
        return send(request)

    registry.send = watched  # type: ignore[method-assign] # looked at, and passed on

    assert not put(registry, known_in=(OTHER,))
    mine, other = (f"scope=repository%3A{path}" for path in ("apps%2Fdemo", "base%2Fdebian"))
    tokens = [url.partition("?")[2] for url in asked if "/token" in url]
    assert tokens[0].split("&")[0] == f"{mine}%3Apull%2Cpush"
    assert tokens[1].split("&")[:2] == [f"{mine}%3Apull%2Cpush", f"{other}%3Apull"]


def test_a_token_server_that_gives_none_for_both_costs_the_mount(put: Put) -> None:
    """Who may write here, and not read there, sends the bytes."""
    registry = UploadRegistry()
    registry.most_scopes = 1
    registry.tokens = ["push"]

    assert put(registry, known_in=(OTHER,))
    assert registry.blobs == {HERE: RAW}


def test_a_blob_that_was_seen_is_not_asked_for_again(tmp_path: Path) -> None:
    """Each artifact of an image has the same empty configuration."""
    registry = UploadRegistry()
    same = client(registry)
    for _ in range(3):
        same.put_bytes(REPOSITORY, LAYER, RAW)

    assert registry.methods == "HEAD POST PUT"


def test_a_file_that_was_altered_meanwhile_is_no_blob(tmp_path: Path) -> None:
    """Also where it is sent again from the middle."""
    source = tmp_path / "blob"
    source.write_bytes(RAW[:-1] + b"!")
    registry = UploadRegistry()
    with pytest.raises(IntegrityError):
        client(registry).put_blob(REPOSITORY, BLOB, source)

    assert not registry.blobs
