"""Asking a gate: its answer counts only where it is whole, in time and about these very bytes."""

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.errors import (
    AuthError,
    ImagekitError,
    InputError,
    IntegrityError,
    NotFoundError,
    RegistryError,
)
from imagekit.hosts.ask_gate import GateJudge
from imagekit.hosts.hook_types import GateConfig, HookDecision
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Reference, parse_reference
from imagekit.oci.registry.protocol import ACCEPT
from imagekit.oci.types import MAX_MANIFEST
from tests.support.hostile import Answer, Asked, HostileRegistry
from tests.support.misbehaviours import ESCAPES, PIECE
from tests.support.replay import Write

BODY = b'{"schemaVersion": 2}'
DIGEST = Digest.of(BODY)
HONEST = Answer(200, {"Docker-Content-Digest": str(DIGEST)}, BODY)
IMAGE = parse_reference(f"r.site/apps/x:1@{DIGEST}")
SECONDS = 20.0
FEW_SECONDS = 0.6


def refused(status: int, message: str) -> Answer:
    """A refusal in the specification's form."""
    body = json.dumps({"errors": [{"code": "DENIED", "message": message}]}).encode()
    return Answer(status, {}, body)


def ask(
    answer: Answer | Callable[[Asked], Answer],
    reference: Reference = IMAGE,
    *,
    name: str = "",
    seconds: float = SECONDS,
) -> tuple[HookDecision, Asked]:
    """Ask a gate that answers so; return the ruling, and what the gate was asked."""
    script = answer if callable(answer) else lambda _: answer
    with HostileRegistry(script) as gate:
        config = GateConfig(address=gate.host, tls=False, registries={"r.site": name})
        ruling = GateJudge(config, seconds=seconds)(reference)
        (asked,) = gate.asked
        return ruling, asked


def test_an_allowed_image_is_asked_for_by_its_tag() -> None:
    """With every type that a manifest can have, or the gate could not give it."""
    ruling, asked = ask(HONEST)

    assert ruling.allows(DIGEST)
    assert ruling.reason == "imagekit: r.site/apps/x:1 is allowed by the gate"
    assert (asked.method, asked.path) == ("GET", "/v2/apps/x/manifests/1")
    assert asked.headers["accept"] == ACCEPT


def test_an_image_without_a_tag_is_asked_for_by_its_digest() -> None:
    """As containerd names one that is pulled by digest."""
    ruling, asked = ask(HONEST, parse_reference(f"r.site/apps/x@{DIGEST}"))

    assert ruling.allows(DIGEST)
    assert asked.path == f"/v2/apps/x/manifests/{DIGEST}"


def test_a_tag_alone_is_told_its_digest() -> None:
    """Docker's users are told by which digest to ask."""
    ruling, _ = ask(HONEST, parse_reference("r.site/apps/x:1"))

    assert (ruling.allowed, ruling.digest) == (True, DIGEST)


def test_the_gate_s_name_for_a_registry_goes_before_the_path() -> None:
    """As its --upstream NAME=HOST says."""
    _, asked = ask(HONEST, name="hub")

    assert asked.path == "/v2/hub/apps/x/manifests/1"


def test_an_image_of_another_registry_is_not_asked_for() -> None:
    """The gate would judge an image of the same path, from the registry that it knows."""
    with pytest.raises(InputError, match="not behind the gate"):
        ask(HONEST, parse_reference(f"evil.site/apps/x:1@{DIGEST}"))


def test_a_refusal_is_told_in_the_gate_s_words() -> None:
    """They say which check failed, and whom to ask."""
    ruling, _ = ask(refused(403, "imagekit: NO_SIGNATURE: none (ask p@site)"))

    assert not ruling.allowed
    assert ruling.reason == (
        "imagekit: the gate refuses r.site/apps/x:1: NO_SIGNATURE: none (ask p@site)"
    )


def test_a_refusal_cannot_steer_a_terminal() -> None:
    """Nor fill it."""
    ruling, _ = ask(refused(403, ESCAPES + "x" * 20_000))

    assert ruling.reason.isprintable()
    assert len(ruling.reason) < 1200


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"errors": []}', b'{"errors": ["x"]}', b"\xff", b"[" * 9999]
)
def test_a_refusal_without_words_is_one(body: bytes) -> None:
    """Whatever stands there instead."""
    ruling, _ = ask(Answer(403, {}, body))

    assert not ruling.allowed
    assert "it gave no reason" in ruling.reason


def test_an_endless_refusal_is_one() -> None:
    """No more of it is read than a message needs."""

    def drip(write: Write) -> None:
        for _ in range(1 << 16):
            write(PIECE)

    ruling, _ = ask(Answer(403, drip=drip))

    assert not ruling.allowed


def test_a_tag_that_moved_is_refused() -> None:
    """The gate allows what the tag means now, and not what is about to be pulled."""
    asked_about = Digest.of(b"older")
    ruling, _ = ask(HONEST, parse_reference(f"r.site/apps/x:1@{asked_about}"))

    assert not ruling.allowed
    assert f"serves {DIGEST}" in ruling.reason
    assert str(asked_about) in ruling.reason


def test_a_proof_that_the_gate_serves_is_no_image() -> None:
    """What is attached to an allowed image is served, too, and nothing may run it."""
    body = json.dumps({"schemaVersion": 2, "subject": {"digest": "sha256:..."}}).encode()
    headers = {"Docker-Content-Digest": str(Digest.of(body))}

    ruling, _ = ask(Answer(200, headers, body))

    assert not ruling.allowed
    assert "attached" in ruling.reason


@pytest.mark.parametrize("served", [True, False])
def test_an_index_is_allowed_if_all_that_it_lists_is_served(*, served: bool) -> None:
    """The runtime chooses from it later; what BuildKit attaches is chosen by none."""
    child, note = Digest.of(b"child"), Digest.of(b"note")
    nobody = {"os": "unknown", "architecture": "unknown"}
    entries = [{"digest": str(child)}, {"digest": str(note), "platform": nobody}]
    body = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    top = Answer(200, {"Docker-Content-Digest": str(Digest.of(body))}, body)

    def script(request: Asked) -> Answer:
        if str(child) in request.path:
            return Answer(200 if served else 403, {}, b"{}")
        return Answer(403) if str(note) in request.path else top

    with HostileRegistry(script) as gate:
        config = GateConfig(address=gate.host, tls=False, registries={"r.site": ""})
        ruling = GateJudge(config, seconds=SECONDS)(parse_reference("r.site/apps/x:1"))

    assert ruling.allowed is served
    assert served or str(child) in ruling.reason


def test_another_digest_than_that_of_the_bytes_is_no_verdict() -> None:
    """What was served is not what is said about it."""
    with pytest.raises(IntegrityError, match="the gate's answer has the digest"):
        ask(replace(HONEST, body=b'{"schemaVersion": 3}'))


@pytest.mark.parametrize("stated", ["", "sha256:1", "latest", f"{DIGEST}, {DIGEST}"])
def test_an_answer_without_its_digest_is_no_verdict(stated: str) -> None:
    """As a login page of the network in between has none."""
    with pytest.raises(RegistryError, match="has no Docker-Content-Digest"):
        ask(replace(HONEST, headers={"Docker-Content-Digest": stated} if stated else {}))


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (refused(404, "no such image"), NotFoundError, "answered 404 .*: no such image"),
        (refused(401, "who are you"), AuthError, "answered 401"),
        (refused(503, "upstream is down"), RegistryError, "answered 503 .*: upstream is down"),
        (Answer(500), RegistryError, "answered 500 .*: it gave no reason"),
        (replace(HONEST, status=206), RegistryError, "answered 206"),
        (replace(HONEST, status=307), RegistryError, "answered 307"),
        (refused(503, ESCAPES), RegistryError, "answered 503"),
    ],
)
def test_every_other_status_is_no_verdict(
    answer: Answer, kind: type[ImagekitError], said: str
) -> None:
    """Also where the bytes would be right."""
    with pytest.raises(kind, match=said) as caught:
        ask(answer)

    assert caught.value.hint
    assert caught.value.message.isprintable()


def test_a_redirect_is_not_followed() -> None:
    """Where it leads nobody vouches for."""
    asked: list[str] = []

    def script(request: Asked) -> Answer:
        asked.append(request.path)
        return HONEST if len(asked) > 1 else Answer(302, {"Location": "/v2/other/manifests/1"})

    with pytest.raises(RegistryError, match="answered 302"):
        ask(script)

    assert len(asked) == 1


def test_an_endless_manifest_is_no_verdict() -> None:
    """It is read up to the size that a manifest may have."""
    written = 0

    def drip(write: Write) -> None:
        nonlocal written
        for _ in range(1 << 16):
            write(PIECE)
            written += len(PIECE)

    with pytest.raises(RegistryError, match="larger than a manifest"):
        ask(replace(HONEST, drip=drip))

    assert written < 4 * MAX_MANIFEST


def drip_body(write: Write) -> None:
    """A byte now and then: no read times out."""
    for _ in range(400):
        write(b" ")
        time.sleep(0.05)


def drip_headers(write: Write) -> None:
    """The same before there is a body."""
    write(b"HTTP/1.1 200 OK\r\n")
    for number in range(400):
        write(b"X: %d\r\n" % number if number % 20 else b"X: 1\r\n")
        time.sleep(0.05)


def silence(write: Write) -> None:
    """Nothing at all."""
    del write
    time.sleep(2)


@pytest.mark.parametrize(
    "answer",
    [
        replace(HONEST, drip=drip_body),
        Answer(drip=drip_headers, raw=True),
        Answer(drip=silence, raw=True),
        replace(HONEST, headers={**HONEST.headers, "Content-Length": "9999"}, drip=silence),
    ],
)
def test_a_slow_gate_is_no_verdict_in_time(answer: Answer) -> None:
    """And the thread that read there ends, or a daemon would fill up with them."""
    before = threading.active_count()
    began = time.monotonic()

    with pytest.raises(RegistryError, match=r"did not answer within 0\.6 s"):
        ask(answer, seconds=FEW_SECONDS)

    assert time.monotonic() - began < FEW_SECONDS + 12  # the server's own end is in it
    end = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.02)
    assert threading.active_count() <= before


@pytest.mark.parametrize(
    "raw", [b"", b"\r\n\r\n", b"SSH-2.0-x\x1b[2J\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 200]
)
def test_what_is_no_http_is_no_verdict(raw: bytes) -> None:
    """A garbled answer is told without what is in it."""
    with pytest.raises(RegistryError, match="cannot be asked") as caught:
        ask(Answer(drip=lambda write: write(raw), raw=True))

    assert caught.value.message.isprintable()


def test_a_gate_that_is_down_is_no_verdict() -> None:
    """The remedy is told."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = GateConfig(address=address, tls=False, registries={"r.site": ""})

    with pytest.raises(RegistryError, match="refused") as caught:
        GateJudge(config, seconds=SECONDS)(IMAGE)

    assert f"curl http://{address}/v2/" in caught.value.hint


def certify(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate for an address, which vouches for itself."""
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    words += ["-days", "2", "-subj", "/CN=gate", "-addext", f"subjectAltName={name}"]
    argv = ["openssl", *words, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(argv, check=True, capture_output=True)
    return cert, key


def by_tls(folder: Path, name: str, *, trusted: Path | None) -> HookDecision:
    """Ask a gate with that certificate, trusting those authorities."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certify(folder, name))
    gate = HostileRegistry(lambda _: HONEST)
    gate._server.socket = context.wrap_socket(gate._server.socket, server_side=True)
    with gate:
        config = GateConfig(address=gate.host, ca_file=trusted, registries={"r.site": ""})
        return GateJudge(config, seconds=5)(IMAGE)


def test_a_gate_is_known_by_its_authority(tmp_path: Path) -> None:
    """The file that the configuration names vouches for it."""
    assert by_tls(tmp_path, "IP:127.0.0.1", trusted=tmp_path / "IP:127.0.0.1.pem").allowed is True


def test_a_gate_that_nobody_vouches_for_is_no_verdict(tmp_path: Path) -> None:
    """By the system's authorities, and by those of somebody else."""
    other, _ = certify(tmp_path, "IP:127.0.0.2")
    for trusted in (None, other):
        with pytest.raises(RegistryError, match=r"(?i)certificate"):
            by_tls(tmp_path, "IP:127.0.0.1", trusted=trusted)


def test_a_gate_by_another_name_is_no_verdict(tmp_path: Path) -> None:
    """A certificate counts for the names in it."""
    with pytest.raises(RegistryError, match=r"(?i)certificate"):
        by_tls(tmp_path, "DNS:other.site", trusted=tmp_path / "DNS:other.site.pem")


def test_where_authorities_are_named_the_system_s_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site's gate is known by the site's own authority alone."""
    other, _ = certify(tmp_path, "IP:127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "IP:127.0.0.1.pem"))

    assert by_tls(tmp_path, "IP:127.0.0.1", trusted=None).allowed is True
    with pytest.raises(RegistryError, match=r"(?i)certificate"):
        by_tls(tmp_path, "IP:127.0.0.1", trusted=other)


def resolving(monkeypatch: pytest.MonkeyPatch, resolve: Callable[[], object]) -> None:
    """Let every name lead to this machine, after something was done."""
    real = socket.getaddrinfo

    def getaddrinfo(_host: object, *rest: Any, **more: Any) -> Any:
        resolve()
        return real("127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def ask_by_name(monkeypatch: pytest.MonkeyPatch, resolve: Callable[[], object]) -> HookDecision:
    """Ask a gate that has a name."""
    with HostileRegistry(lambda _: HONEST) as gate:
        resolving(monkeypatch, resolve)
        address = f"gate.site:{gate.host.partition(':')[2]}"
        config = GateConfig(address=address, tls=False, registries={"r.site": ""})
        return GateJudge(config, seconds=FEW_SECONDS)(IMAGE)


def test_no_variable_leads_to_another_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts a runtime chooses its environment."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert ask_by_name(monkeypatch, lambda: None).allowed is True


def test_a_slow_name_service_is_no_verdict_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time begins before the gate's address is known."""
    ended = threading.Event()
    try:
        with pytest.raises(RegistryError, match=r"did not answer within 0\.6 s"):
            ask_by_name(monkeypatch, lambda: ended.wait(20))
    finally:
        ended.set()


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_authorities_that_cannot_be_read_are_told_at_once(
    tmp_path: Path, content: bytes | None
) -> None:
    """The system's are not taken in their place."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    config = GateConfig(address="127.0.0.1:1", ca_file=file, registries={"r.site": ""})

    with pytest.raises(InputError, match=r"ca\.pem cannot be used"):
        GateJudge(config, seconds=SECONDS)


_COLD = """\
import sys
from imagekit.cli.commands.verifier import main
code = main()
heavy = ("cryptography", "sigstore", "oras", "requests", "sqlite3", "imagekit.verify")
found = [name for name in heavy if name in sys.modules]
sys.exit(f"imported: {found}" if found else code)
"""


def test_the_face_imports_nothing_of_policies_and_signatures(tmp_path: Path) -> None:
    """A runtime starts it for every pull, and waits."""
    with HostileRegistry(lambda _: HONEST) as gate:
        config = tmp_path / "v.yaml"
        config.write_text(f"gate: http://{gate.host}\nregistries: [r.site]\n")
        media = "application/vnd.oci.image.manifest.v1+json"
        descriptor = {"mediaType": media, "digest": str(DIGEST), "size": len(BODY)}
        words = ["-name", "r.site/apps/x:1", "-digest", str(DIGEST)]
        words += ["-stdin-media-type", "application/vnd.oci.descriptor.v1+json"]
        ran = subprocess.run(
            [sys.executable, "-c", _COLD, *words],
            input=json.dumps(descriptor),
            env={"IMAGEKIT_VERIFIER_CONFIG": str(config), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "imagekit: r.site/apps/x:1 is allowed by the gate\n"
