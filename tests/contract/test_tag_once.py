"""Immutable tags: of several writers with different content at most one is told that it won."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.errors import RegistryError, TagRaceError
from imagekit.oci.codec import manifest_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY, LayoutLocation, LocatedRepository
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.registry import connect
from imagekit.oci.registry.client import RegistryClient
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryWriter
from imagekit.oci.registry.session import Session
from imagekit.oci.registry.stdlib_transport import StdlibTransport
from imagekit.oci.types import CONFIG, LAYER, MANIFEST, Manifest, RawManifest
from tests.support.hostile import Answer, Asked, HostileRegistry

pytestmark = pytest.mark.real

_OPTIONS = RegistryOptions(settle_seconds=2)


@pytest.fixture(params=["layout", "docker-registry", "refregistry"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> LocatedRepository:
    """A new repository in every kind of registry."""
    if request.param == "layout":
        location = LayoutLocation(tmp_path / "layout")
        return LocatedRepository(location, Repository("localhost", "team/app"))
    host = request.getfixturevalue("registry" if request.param == "docker-registry" else "with_api")
    name = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    return LocatedRepository(REGISTRY, Repository(host, f"team/{name}"))


def _image(writer: RegistryWriter, repository: Repository, content: bytes) -> RawManifest:
    config = writer.put_bytes(repository, CONFIG, b"{}")
    layer = writer.put_bytes(repository, LAYER, content)
    raw = manifest_bytes(Manifest(media_type=MANIFEST, config=config, layers=(layer,)))
    writer.put_manifest(repository, MANIFEST, raw)
    return RawManifest(media_type=MANIFEST, digest=Digest.of(raw), raw=raw)


def test_one_after_the_other(place: LocatedRepository) -> None:
    """The first one keeps it, and may come again."""
    repository = place.repository
    writer = connect.light(place.location, replace(_OPTIONS, settle_seconds=0.5))
    first, second = (_image(writer, repository, content) for content in (b"1", b"2"))
    tag = TaggedReference(repository, "1.0")

    held = [writer.tag_once(tag, one).digest for one in (first, second, first)]

    assert held == [first.digest] * 3
    assert writer.resolve(tag).digest == first.digest


def test_all_at_once(place: LocatedRepository) -> None:
    """Exactly one of four that begin together wins, and the tag is its own."""
    repository = place.repository
    tag = TaggedReference(repository, "1.0")
    start, won = threading.Barrier(4), list[Digest]()

    def run(number: int) -> None:
        light = connect.light(place.location, _OPTIONS)
        writer = connect.writer(place, _OPTIONS) if number % 2 else light
        mine = _image(writer, repository, str(number).encode())
        start.wait(60)
        try:
            if writer.tag_once(tag, mine).digest == mine.digest:
                won.append(mine.digest)
        except TagRaceError:
            pass

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert won == [connect.light(place.location, _OPTIONS).resolve(tag).digest]


def _client(
    options: RegistryOptions = _OPTIONS,
    *,
    sleep: Callable[[float], None],
    now: Callable[[], float] = lambda: 0.0,
) -> RegistryClient:
    light = StdlibTransport(options)
    session = Session(light, light, options=options, credentials=lambda _: None)
    return RegistryClient(session, sleep=sleep, now=now)


def test_who_is_overwritten_in_the_meantime_lost(registry: str, tmp_path: Path) -> None:
    """The other had looked before the tag was there, and writes it soon after."""
    name = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    repository = Repository(registry, f"race/{name}")
    other = connect.light(REGISTRY, _OPTIONS)
    theirs = _image(other, repository, b"theirs")
    tag = TaggedReference(repository, "1.0")
    slept: list[float] = []

    def meanwhile(seconds: float) -> None:
        slept.append(seconds)
        other.tag(tag, theirs)

    mine = _client(sleep=meanwhile)
    image = _image(mine, repository, b"mine")

    assert mine.tag_once(tag, image).digest == theirs.digest
    assert slept == [_OPTIONS.settle_seconds]


def test_who_writes_late_cannot_have_won(registry: str, tmp_path: Path) -> None:
    """Somebody may have written and read back between a look and a write that took so long."""
    name = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    repository = Repository(registry, f"late/{name}")
    times = iter((0.0, _OPTIONS.settle_seconds))
    mine = _client(sleep=lambda _: None, now=lambda: next(times))
    image = _image(mine, repository, b"mine")

    with pytest.raises(TagRaceError) as caught:
        mine.tag_once(TaggedReference(repository, "1.0"), image)
    assert caught.value.code == "TAG_RACE"


_CONFIG = RawManifest(media_type=CONFIG, digest=Digest.of(b"{}"), raw=b"{}").descriptor
_RAW = manifest_bytes(Manifest(media_type=MANIFEST, config=_CONFIG, layers=()))
_MINE = RawManifest(media_type=MANIFEST, digest=Digest.of(_RAW), raw=_RAW)
_OTHER = _RAW.replace(b'"layers":[]', b'"layers":[],"annotations":{"a":"b"}')


class _Conditions:
    """A registry that knows conditions; ``stored`` is what it says of the tag."""

    def __init__(self, refusal: int, stored: bytes | None) -> None:
        self.refusal = refusal
        self.stored = stored
        self.looks = 0

    def __call__(self, asked: Asked) -> Answer:
        if asked.method == "PUT":
            condition = asked.headers.get("if-none-match") == "*"
            known = "sha256:" in asked.path or self.stored is not None
            if known and condition:
                return Answer(status=412 if "sha256:" in asked.path else self.refusal)
            self.stored = _RAW
            return Answer(status=201)
        self.looks += 1
        if self.stored is None or self.looks == 1:
            return Answer(status=404)
        return Answer(headers={"Content-Type": MANIFEST}, body=self.stored)


@pytest.mark.parametrize(
    ("stored", "refusal", "wins"),
    [(None, 412, True), (_OTHER, 412, False), (_OTHER, 409, False), (_OTHER, 400, False)],
    ids=["absent", "written meanwhile", "conflict", "immutable by the registry's own rule"],
)
def test_a_registry_with_conditions_decides(
    stored: bytes | None, refusal: int, *, wins: bool
) -> None:
    """Nobody waits, and who is refused is told what is there."""

    def nobody_waits(seconds: float) -> None:
        raise AssertionError(seconds)

    with HostileRegistry(_Conditions(refusal, stored)) as server:
        reference = TaggedReference(Repository(server.host, "a/b"), "1.0")
        held = _client(sleep=nobody_waits).tag_once(reference, _MINE)

    assert (held.digest == _MINE.digest) is wins
    written = [asked for asked in server.asked if asked.method == "PUT"]
    assert all(asked.headers["if-none-match"] == "*" for asked in written)


def test_a_refusal_that_is_no_other_writer_is_told() -> None:
    """Without the right to write the tag nobody lost it to anybody."""

    def script(asked: Asked) -> Answer:
        return Answer(status=403 if asked.method == "PUT" else 404)

    with HostileRegistry(script) as server:
        reference = TaggedReference(Repository(server.host, "a/b"), "1.0")
        with pytest.raises(RegistryError) as caught:
            _client(sleep=lambda _: None).tag_once(reference, _MINE)
    assert caught.value.http_status == 403


def test_what_is_read_back_counts() -> None:
    """A registry that takes a tag and shows another has not given it."""
    conditions = _Conditions(412, None)

    def script(asked: Asked) -> Answer:
        answer = conditions(asked)
        if asked.method == "PUT" and answer.status == 201:
            conditions.stored = _OTHER
        return answer

    with HostileRegistry(script) as server:
        reference = TaggedReference(Repository(server.host, "a/b"), "1.0")
        held: PinnedReference = _client(sleep=lambda _: None).tag_once(reference, _MINE)
    assert held.digest == Digest.of(_OTHER)
