"""Ways for a registry to misbehave: what each does to an honest answer."""

import gzip
import itertools
import json
import re
import time
from collections.abc import Callable

from msgspec.structs import replace

from imagekit.oci.codec import index_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.types import INDEX, Index
from tests.support.hostile import Answer, Asked
from tests.support.replay import Lie, Stage, Write

_BEARER = 'Bearer realm="{}",service="x",scope="repository:apps/demo:pull,push,delete"'
ALLOWED, DENIED, NO_VERDICT = 0, 3, 6
ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\x9b31m\r\n"
PIECE = b"x" * (1 << 16)
MEGABYTE = 1 << 20
_BOMB = gzip.compress(bytes(1 << 26)) * 16
Where = Callable[[Stage], str]
Change = Callable[[Answer], Answer]


def at(where: Where, change: Change | Answer) -> Lie:
    """Return the lie that alters the answers for one path."""

    def lie(stage: Stage, asked: Asked, seen: int) -> Answer | None:
        if asked.path != where(stage):
            return None
        return change if isinstance(change, Answer) else change(stage.honest[asked.path])

    return lie


def manifest(stage: Stage) -> str:
    """The manifest, by its tag."""
    return stage.manifest


def config(stage: Stage) -> str:
    """The image's configuration."""
    return stage.config


def referrers(stage: Stage) -> str:
    """The list of referrers."""
    return stage.referrers


def referrer(stage: Stage) -> str:
    """The manifest that the signature lies in."""
    return stage.referrer


def bundle(stage: Stage) -> str:
    """The signature."""
    return stage.bundle


def sbom(stage: Stage) -> str:
    """The SBOM."""
    return stage.sbom


def body(new: Callable[[bytes], bytes]) -> Change:
    """Replace the body; headers stay."""
    return lambda answer: replace(answer, body=new(answer.body))


def headers(**new: str) -> Change:
    """Add or replace headers; underscores stand for dashes."""
    named = {name.replace("_", "-"): value for name, value in new.items()}
    return lambda answer: replace(answer, headers=answer.headers | named)


def document(**new: object) -> Change:
    """Alter keys of a JSON body and say its new digest, as its owner can."""

    def change(answer: Answer) -> Answer:
        raw = json.dumps(json.loads(answer.body) | new).encode()
        kept = {k: v for k, v in answer.headers.items() if k != "Docker-Content-Digest"}
        return Answer(200, kept, raw)

    return change


def dripping(answer: Answer) -> Answer:
    """A byte every tenth of a second: no read ever times out."""

    def drip(write: Write) -> None:
        for byte in answer.body + bytes(1000):
            write(bytes([byte]))
            time.sleep(0.1)

    return replace(answer, drip=drip)


def endless(answer: Answer) -> Answer:
    """A body that never ends."""

    def drip(write: Write) -> None:
        for _ in range(1 << 16):
            write(PIECE)

    return replace(answer, drip=drip)


def declaring(size: str) -> Change:
    """Say another length than the body has, then fall silent."""

    def change(answer: Answer) -> Answer:
        def drip(write: Write) -> None:
            write(answer.body)
            time.sleep(4)

        return replace(answer, headers=answer.headers | {"Content-Length": size}, drip=drip)

    return change


def cut_off(answer: Answer) -> Answer:
    """Promise the whole body, send half of it and close."""
    length = {"Content-Length": str(len(answer.body))}

    def drip(write: Write) -> None:
        write(answer.body[: len(answer.body) // 2])

    return replace(answer, headers=answer.headers | length, drip=drip)


def silent(answer: Answer) -> Answer:
    """Headers, and then nothing."""
    return replace(answer, drip=lambda _: time.sleep(4))


def raw(*pieces: bytes, pause: float = 0) -> Answer:
    """Bytes instead of HTTP."""

    def drip(write: Write) -> None:
        for piece in pieces:
            write(piece)
            time.sleep(pause)

    return Answer(drip=drip, raw=True)


def repeated(head: bytes, piece: bytes, count: int, *, pause: float = 0) -> Answer:
    """The same bytes again and again."""
    return raw(head, *itertools.repeat(piece, count), pause=pause)


def zipped(answer: Answer) -> Answer:
    """The right body, with a Content-Encoding that nobody asked for."""
    packed = gzip.compress(answer.body)
    return replace(answer, headers=answer.headers | {"Content-Encoding": "gzip"}, body=packed)


def bomb(answer: Answer) -> Answer:
    """A gibibyte in a megabyte."""
    return replace(answer, headers=answer.headers | {"Content-Encoding": "gzip"}, body=_BOMB)


def error(status: int, **extra: str) -> Answer:
    """An error whose body would like to steer a terminal."""
    said = {"errors": [{"code": f"X{ESCAPES}", "message": ESCAPES * 100}]}
    named = {name.replace("_", "-"): value for name, value in extra.items()}
    return Answer(status, named, json.dumps(said).encode())


def redirect(location: str, status: int = 307) -> Answer:
    """Somewhere else."""
    return Answer(status, {"Location": location})


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
INDEX_CHUNKED = OK + f"Content-Type: {INDEX}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


def many(entry: dict[str, object], count: int) -> list[dict[str, object]]:
    """Return so many entries like one, of digests that nothing has."""
    return [entry | {"digest": str(Digest.of(b"%d" % n))} for n in range(count)]


def entry_of(answer: Answer, key: str) -> dict[str, object]:
    """Return the first entry of a list in the body."""
    found: dict[str, object] = json.loads(answer.body)[key][0]
    return found


def listing(change: Callable[[list[dict[str, object]]], object]) -> Change:
    """Alter the entries of the list of referrers."""
    return lambda answer: document(manifests=change(json.loads(answer.body)["manifests"]))(answer)


def first(**new: object) -> Change:
    """Alter the first entry, which is the signature's."""
    return listing(lambda entries: [entries[0] | new, *entries[1:]])


def text(old: str, new: str) -> Change:
    """Replace a text of the body, and say no digest."""

    def change(answer: Answer) -> Answer:
        assert old.encode() in answer.body
        kept = {k: v for k, v in answer.headers.items() if k != "Docker-Content-Digest"}
        return Answer(200, kept, answer.body.replace(old.encode(), new.encode(), 1))

    return change


def page(link: str) -> Change:
    """Name a next page."""
    return headers(Link=link)


def flood(count: int) -> Change:
    """List so many that nobody can read, in one page; made beforehand, so that it comes at once."""
    digests = [f"sha256:{number:064x}" for number in range(count)]

    def change(answer: Answer) -> Answer:
        like = json.dumps(entry_of(answer, "manifests") | {"digest": "@"})
        begin, end = like.split("@")
        entries = f"{end},{begin}".join(digests)
        plain = document(manifests=json.loads(answer.body)["manifests"])(answer)
        opened = re.search(rb'"manifests":\s*\[', plain.body)
        assert opened is not None
        cut = opened.end()
        body = plain.body[:cut] + f"{begin}{entries}{end},".encode() + plain.body[cut:]
        return replace(plain, body=body)

    return change


def login(realm: str) -> Answer:
    """Ask for a token of somewhere."""
    return error(401, WWW_Authenticate=_BEARER.format(realm))


EMPTY = index_bytes(Index(media_type=INDEX, manifests=()))
"""A list of nothing."""
