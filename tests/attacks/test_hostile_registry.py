"""A registry that lies, floods, stalls and sends its clients elsewhere."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from imagekit.errors import (
    AuthError,
    DocumentError,
    ImagekitError,
    IntegrityError,
    InvalidReferenceError,
    NotFoundError,
    RegistryError,
)
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference, parse_reference
from imagekit.oci.registry.client import RegistryClient
from imagekit.oci.registry.options import Credential, RegistryOptions
from imagekit.oci.registry.oras import OrasTransport
from imagekit.oci.registry.session import Session
from imagekit.oci.registry.stdlib_transport import StdlibTransport
from imagekit.oci.registry.transport import Transport
from imagekit.oci.types import CONFIG, DOCKER_MANIFEST, INDEX, LAYER, MANIFEST, Descriptor
from tests.support.hostile import Answer, Asked, HostileRegistry, Script

_SOME = {"mediaType": CONFIG, "digest": "sha256:" + "a" * 64, "size": 2}
_DIGEST = Digest.of(b"content")
_BLOB = Descriptor(media_type=LAYER, digest=_DIGEST, size=7)
_LOGIN = Credential(username="admin", password="secret")


def _manifest(**changes: Any) -> bytes:
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": _SOME, "layers": []}
    return json.dumps(document | changes).encode()


def _index(*digests: Digest) -> bytes:
    entries = [_SOME | {"mediaType": MANIFEST, "digest": str(digest)} for digest in digests]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


@pytest.fixture(params=["light", "oras"])
def client(request: pytest.FixtureRequest) -> Callable[..., RegistryClient]:
    """Make a client by each transport, with short limits and a login."""

    def make(host: str, deadline: float = 5, attempts: int = 2) -> RegistryClient:
        options = RegistryOptions(read_seconds=2, deadline_seconds=deadline, attempts=attempts)
        light = StdlibTransport(options)
        transport: Transport = light if request.param == "light" else OrasTransport(host, options)
        session = Session(
            transport,
            light,
            options=options,
            credentials=lambda _: _LOGIN,
            sleep=lambda _: None,
        )
        return RegistryClient(session, sleep=lambda _: None)

    return make


Client = Callable[..., RegistryClient]


def _repository(server: HostileRegistry) -> Repository:
    return Repository(server.host, "apps/demo")


def _always(answer: Answer) -> Script:
    return lambda _: answer


def _typed(body: bytes, media_type: str = MANIFEST, **headers: str) -> Answer:
    return Answer(200, {"Content-Type": media_type} | headers, body)


def _refused(client: Client, answer: Answer, *, pin: Digest | None = None) -> ImagekitError:
    with HostileRegistry(_always(answer)) as server:
        tag = TaggedReference(_repository(server), "1")
        reference = tag if pin is None else tag.pin(pin)
        with pytest.raises(ImagekitError) as caught:
            client(server.host).manifest(reference)
    return caught.value


def test_22_second_manifest_under_the_tag_is_never_seen(client: Client) -> None:
    """After the tag was resolved, the bytes of that digest are had, or nothing."""
    good, evil = _manifest(), _manifest(annotations={"evil": "yes"})
    answers = [_typed(good), _typed(evil)]
    with HostileRegistry(lambda _: answers.pop(0) if len(answers) > 1 else answers[0]) as server:
        reader = client(server.host)
        pinned = reader.resolve(TaggedReference(_repository(server), "1"))

        assert reader.manifest(pinned).raw == good
        with pytest.raises(IntegrityError) as caught:
            client(server.host).manifest(pinned)
    assert caught.value.code == "CONTENT_DIGEST_MISMATCH"


def test_23_manifest_of_another_digest_is_refused(client: Client) -> None:
    """Bytes that differ from the digest asked for, or from the one claimed, are not passed on."""
    asked = _refused(client, _typed(_manifest()), pin=_DIGEST)
    claimed = _refused(client, _typed(_manifest(), **{"Docker-Content-Digest": str(_DIGEST)}))
    nonsense = _refused(client, _typed(_manifest(), **{"Docker-Content-Digest": "sha256:../x"}))

    for error in (asked, claimed, nonsense):
        assert isinstance(error, IntegrityError)
        assert error.code == "CONTENT_DIGEST_MISMATCH"


@pytest.mark.parametrize("body", [b"CONTENT", b"conten", b"content-and-more"])
def test_23_blob_of_another_digest_is_refused(client: Client, body: bytes) -> None:
    """A blob's last bytes are only handed out when size and digest were right."""
    with HostileRegistry(_always(Answer(body=body))) as server:
        got: list[bytes] = []
        opened = client(server.host).stream(_repository(server), _BLOB)
        with opened as pieces, pytest.raises(IntegrityError):
            got.extend(pieces)
    assert got == []


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        (DOCKER_MANIFEST, _manifest()),
        (INDEX, _manifest()),
        ("application/json", _manifest()),
        ("", _manifest()),
        ("application/vnd.docker.distribution.manifest.v1+json", _manifest()),
        (MANIFEST, _manifest(manifests=[])),
        (MANIFEST, _manifest(schemaVersion=1)),
    ],
)
def test_24_lying_media_type_is_refused(client: Client, media_type: str, body: bytes) -> None:
    """What is called one thing and is another is neither."""
    error = _refused(client, _typed(body, media_type))

    assert isinstance(error, DocumentError)
    assert error.code in {"BAD_MEDIA_TYPE", "BAD_DOCUMENT"}


def test_25_ambiguous_keys_are_refused(client: Client) -> None:
    """A key that Go reads as another one is refused, though the digest is right."""
    raw = _manifest(Config=_SOME)
    error = _refused(client, _typed(raw), pin=Digest.of(raw))

    assert error.code == "AMBIGUOUS_JSON"


def test_30_manifest_over_4_mib_is_refused(client: Client) -> None:
    """More than the specification's limit is not even read."""
    error = _refused(client, _typed(b" " * ((4 << 20) + 1)))

    assert error.code == "TOO_LARGE"


def test_30_endless_blob_is_cut_at_its_size(client: Client) -> None:
    """A blob that declares 7 bytes and sends for ever costs some pieces."""
    sent = 0

    def endless(write: Callable[[bytes], None]) -> None:
        nonlocal sent
        while sent < 1 << 30:
            write(b"x" * 65536)
            sent += 65536

    with HostileRegistry(_always(Answer(drip=endless))) as server:
        with pytest.raises(IntegrityError):
            client(server.host).blob(_repository(server), _BLOB, limit=100)
        time.sleep(0.1)
    assert sent < 64 << 20


def test_30_one_byte_a_second_is_bounded(client: Client) -> None:
    """A registry that drips, so that no read ever times out, is left at the deadline."""

    def drip(write: Callable[[bytes], None]) -> None:
        for _ in range(100):
            write(b" ")
            time.sleep(0.1)

    began = time.monotonic()
    answer = Answer(200, {"Content-Type": MANIFEST}, drip=drip)
    with HostileRegistry(_always(answer)) as server:
        with pytest.raises(RegistryError) as caught:
            client(server.host, deadline=1).manifest(TaggedReference(_repository(server), "1"))
        assert time.monotonic() - began < 4
    assert caught.value.code == "TIMEOUT"


def _referrers(client: Client, script: Script, **limits: Any) -> ImagekitError:
    with HostileRegistry(script) as server:
        image = PinnedReference(_repository(server), _DIGEST)
        with pytest.raises(ImagekitError) as caught:
            client(server.host, **limits).referrers(image)
    return caught.value


def test_31_later_page_of_tags_that_is_not_there(client: Client) -> None:
    """Half a list of tags is an error: what is on the rest is not known."""

    def script(request: Asked) -> Answer:
        if "?" in request.path:
            return Answer(404)
        link = f'<{request.path}?last=a>; rel="next"'
        return _typed(b'{"name": "apps/demo", "tags": ["a"]}', "application/json", Link=link)

    with HostileRegistry(script) as server, pytest.raises(NotFoundError):
        client(server.host).tags(_repository(server))


def test_31_pages_that_do_not_end_are_left(client: Client) -> None:
    """A Link that always leads on is followed to the cap, and nothing is concluded."""
    answer = _typed(_index(), INDEX, Link='</v2/apps/demo/referrers/again>; rel="next"')

    assert _referrers(client, _always(answer)).code == "TOO_LARGE"


def test_31_link_to_another_host_is_not_followed(client: Client) -> None:
    """Pages come from the registry itself."""
    answer = _typed(_index(), INDEX, Link='<http://127.0.0.1:9/next>; rel="next"')

    assert _referrers(client, _always(answer)).code == "FOREIGN_LINK"


def test_31_flood_of_referrers_is_refused(client: Client) -> None:
    """More referrers than any honest image has are not believed."""
    flood = _index(*(Digest.of(str(number).encode()) for number in range(1001)))

    assert _referrers(client, _always(_typed(flood, INDEX))).exit_code in {2, 6}


@pytest.mark.parametrize("body", [_manifest(), b"{}", b"[", b'{"manifests":[]}'])
def test_32_overwritten_fallback_tag_is_an_error(client: Client, body: bytes) -> None:
    """A fallback tag that holds something else than an index is not an empty list."""

    def script(asked: Asked) -> Answer:
        return Answer(404) if "/referrers/" in asked.path else _typed(body)

    assert _referrers(client, script).exit_code != 0


@pytest.mark.parametrize("status", [500, 502, 503, 429, 401, 403, 418])
def test_33_listing_that_fails_is_an_error(client: Client, status: int) -> None:
    """A listing that fails is never empty, and no other form is looked at instead."""
    paths: list[str] = []

    def script(asked: Asked) -> Answer:
        paths.append(asked.path)
        headers = {"WWW-Authenticate": "Basic realm=x", "Retry-After": "1"}
        return Answer(status, headers) if "/referrers/" in asked.path else _typed(_index(), INDEX)

    assert isinstance(_referrers(client, script), RegistryError)
    assert all("/referrers/" in path for path in paths)


def test_33_listing_that_stalls_is_an_error(client: Client) -> None:
    """Silence is not an empty list either."""

    def stall(write: Callable[[bytes], None]) -> None:
        time.sleep(2.5)

    answer = Answer(200, {"Content-Type": INDEX}, drip=stall)

    assert _referrers(client, _always(answer), deadline=1).code == "TIMEOUT"


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/x",
        "file:///etc/passwd",
        "http://user@example.org/x",
        "gopher://example.org/",
        "",
    ],
)
def test_34_redirect_to_inner_addresses_is_refused(client: Client, target: str) -> None:
    """A registry cannot send its clients to the addresses of their own machine or link."""
    with (
        HostileRegistry(_always(Answer(307, {"Location": target}))) as server,
        pytest.raises(RegistryError),
    ):
        client(server.host).blob(_repository(server), _BLOB, limit=10)


def test_34_credentials_do_not_follow_redirects(client: Client) -> None:
    """The other host gets the request, and no login."""
    with HostileRegistry(_always(Answer(body=b"content"))) as other:

        def script(asked: Asked) -> Answer:
            if "authorization" not in asked.headers:
                return Answer(401, {"WWW-Authenticate": 'Basic realm="x"'})
            return Answer(307, {"Location": f"http://{other.host}/blob"})

        with HostileRegistry(script) as server:
            got = client(server.host).blob(_repository(server), _BLOB, limit=10)

    assert got == b"content"
    assert [("authorization" in asked.headers) for asked in other.asked] == [False]


@pytest.mark.parametrize(
    "realm", ["http://evil.example.org/token", "ftp://127.0.0.1/", "", "http://u:p@127.0.0.1/"]
)
def test_credentials_do_not_go_to_a_foreign_realm(client: Client, realm: str) -> None:
    """A token realm elsewhere without TLS gets nothing (CVE-2025-27403, CVE-2026-33540)."""
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
    with HostileRegistry(_always(Answer(401, challenge))) as server, pytest.raises(AuthError):
        client(server.host).manifest(TaggedReference(_repository(server), "1"))


def test_credentials_do_not_go_to_whoever_has_a_certificate(client: Client) -> None:
    """By TLS neither, where nobody has listed the host: a registry chose it, and no user did."""
    realm = "https://token.example.org/steal"
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
    with (
        HostileRegistry(_always(Answer(401, challenge))) as server,
        pytest.raises(AuthError) as caught,
    ):
        client(server.host).manifest(TaggedReference(_repository(server), "1"))

    assert caught.value.code == "UNTRUSTED_REALM"
    assert "--realm" in caught.value.hint


def test_expired_token_is_fetched_again(client: Client) -> None:
    """A token that stops working is replaced by a new one, once for each refusal."""
    issued: list[str] = []

    def script(asked: Asked) -> Answer:
        if asked.path.startswith("/token"):
            issued.append(f"t{len(issued)}")
            return Answer(body=json.dumps({"token": issued[-1]}).encode())
        good = bool(issued) and asked.headers.get("authorization") == f"Bearer {issued[-1]}"
        if not good:
            realm = f"http://{asked.headers['host']}/token"
            return Answer(401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="s,x"'})
        return _typed(_manifest())

    with HostileRegistry(script) as server:
        reader = client(server.host)
        tag = TaggedReference(_repository(server), "1")
        first = reader.resolve(tag)
        issued.append("revoked meanwhile")

        assert reader.resolve(tag) == first
        assert len(issued) == 3
        scopes = [asked.path for asked in server.asked if asked.path.startswith("/token")]
    assert all("scope=repository%3Aapps%2Fdemo%3Apull&" in path for path in scopes)


def test_faults_that_may_pass_are_tried_again(client: Client) -> None:
    """503 once is no failure; 404 is one at once."""
    answers = [Answer(503), _typed(_manifest())]
    with HostileRegistry(lambda _: answers.pop(0)) as server:
        client(server.host).manifest(TaggedReference(_repository(server), "1"))

        assert len(server.asked) == 2
    error = _refused(client, Answer(404, body=b'{"errors":[{"code":"X","message":"\\u001b[2J"}]}'))
    assert "\x1b" not in error.message


@pytest.mark.parametrize(
    "digest",
    ["md5:" + "a" * 32, "sha256:" + "a" * 63, "sha256:" + "A" * 64, "sha256:../../x", "sha256:"],
)
def test_37_bad_digest_is_refused_before_any_request(digest: str) -> None:
    """What is no digest never becomes part of a path (CVE-2024-3727)."""
    with pytest.raises(InvalidReferenceError) as caught:
        parse_reference(f"registry.example.org/apps/demo@{digest}")
    assert caught.value.code == "INVALID_DIGEST"
