"""cosign and imagekit read each other's keys, bundles and signatures."""

import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagekit.errors import NotFoundError
from imagekit.oci.codec import descriptor_document
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.types import INDEX
from imagekit.sign.keyed import KeySigner
from imagekit.sign.legacy import legacy_tag
from imagekit.sign.open_signer import open_signer
from imagekit.sign.signing import attest, subjects
from imagekit.signatures.bundle import KeyBundle, parse_bundle
from imagekit.signatures.intoto import COSIGN_SIGN, CYCLONEDX, Statement, statement_of
from imagekit.signatures.keys.key_files import generate, read_public_key
from imagekit.signatures.signature import verify_signature
from tests.support.fakes import FixedClock, MemoryRegistry, push_image
from tests.support.signing import sign

pytestmark = pytest.mark.real

PASSWORD = "correct horse"


class _Server(http.server.ThreadingHTTPServer):
    """The read half of a registry with the referrers API, over a MemoryRegistry."""

    registry = MemoryRegistry()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        """Answer as GET without the body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answer from memory, with 404 for what is not there."""
        if self.path == "/v2/":
            self._answer("application/json", b"{}")
            return
        name, kind, value = self.path.removeprefix("/v2/").rsplit("/", 2)
        repository = Repository(self.headers["Host"], name)
        try:
            self._answer(*self._found(repository, kind, value.partition("?")[0]))
        except NotFoundError:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _found(self, repository: Repository, kind: str, value: str, /) -> tuple[str, bytes]:
        assert isinstance(self.server, _Server)
        registry = self.server.registry
        if kind == "blobs":
            blob = registry.blobs.get((repository.name, Digest.parse(value)))
            if blob is None:
                raise NotFoundError(value)
            return "application/octet-stream", blob
        digested = PinnedReference(repository, Digest.parse(value)) if ":" in value else None
        if kind == "referrers":
            assert digested is not None
            found = [descriptor_document(one) for one in registry.referrers(digested)]
            return INDEX, json.dumps(
                {"schemaVersion": 2, "mediaType": INDEX, "manifests": found}
            ).encode()
        manifest = registry.manifest(digested or TaggedReference(repository, value))
        return manifest.media_type, manifest.raw

    def _answer(self, media_type: str, raw: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(raw)))
        if media_type != "application/octet-stream":
            self.send_header("Docker-Content-Digest", str(Digest.of(raw)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[_Server]:
    """A registry on loopback."""
    with _Server(("127.0.0.1", 0), _Handler) as running:
        running.registry = MemoryRegistry()
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def image(server: _Server) -> PinnedReference:
    """An image there."""
    repository = Repository(f"127.0.0.1:{server.server_address[1]}", "apps/solver")
    return push_image(server.registry, repository)


@pytest.fixture
def cosign(bench: Path) -> Path:
    """Debian's cosign 3."""
    return bench / "cosign"


@pytest.fixture
def signer(tmp_path: Path) -> KeySigner:
    """A key that imagekit generated in the test's folder."""
    files = generate(tmp_path, lambda: PASSWORD)
    return open_signer(files.private, lambda: PASSWORD)


def _run(cosign: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [cosign, *words],
        cwd=folder,
        env={"HOME": str(folder), "COSIGN_PASSWORD": PASSWORD, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _verify(
    cosign: Path, folder: Path, image: PinnedReference, *words: str, verb: str = "verify"
) -> subprocess.CompletedProcess[str]:
    return _run(
        cosign,
        folder,
        verb,
        "--insecure-ignore-tlog=true",
        "--allow-http-registry",
        *words,
        str(image),
    )


def _sign(server: _Server, signer: KeySigner, image: PinnedReference) -> None:
    sign(
        server.registry,
        signer,
        image,
        manifest=server.registry.manifest(image).descriptor,
        tags=("1.0", "latest"),
        clock=FixedClock(),
    )


def test_cosign_refuses_another_key_and_an_unsigned_image(
    cosign: Path, tmp_path: Path, server: _Server, signer: KeySigner, image: PinnedReference
) -> None:
    """What the other tests see accepted is refused without our signature."""
    (tmp_path / "other").mkdir()
    generate(tmp_path / "other", lambda: PASSWORD)
    assert _verify(cosign, tmp_path, image, "--key", "imagekit.pub").returncode != 0

    _sign(server, signer, image)

    assert _verify(cosign, tmp_path, image, "--key", "other/imagekit.pub").returncode != 0


def test_cosign_verifies_our_bundle(
    cosign: Path, tmp_path: Path, server: _Server, signer: KeySigner, image: PinnedReference
) -> None:
    """The default of cosign 3, with nothing but the bundle there."""
    _sign(server, signer, image)
    tag = legacy_tag(image)
    del server.registry.tagged[tag.repository.name, tag.tag]

    done = _verify(cosign, tmp_path, image, "--key", "imagekit.pub")

    assert done.returncode == 0, done.stderr
    assert str(image.digest) in done.stdout


def test_cosign_verifies_our_legacy_signature(
    cosign: Path, tmp_path: Path, server: _Server, signer: KeySigner, image: PinnedReference
) -> None:
    """The form of cosign 2, with both tags' payloads."""
    _sign(server, signer, image)

    done = _verify(cosign, tmp_path, image, "--new-bundle-format=false", "--key", "imagekit.pub")

    assert done.returncode == 0, done.stderr
    names = [entry["critical"]["identity"]["docker-reference"] for entry in json.loads(done.stdout)]
    assert names == [f"{image.repository.name}:1.0", f"{image.repository.name}:latest"]


def test_cosign_verifies_our_attestation_by_its_type(
    cosign: Path, tmp_path: Path, server: _Server, signer: KeySigner, image: PinnedReference
) -> None:
    """An SBOM attested by us is found under cosign's word for it, and under no other."""
    manifest = server.registry.manifest(image).descriptor
    statement = Statement(
        subjects=subjects(image, ("1.0",)),
        predicate_type=CYCLONEDX,
        predicate={"bomFormat": "CycloneDX", "specVersion": "1.6"},
    )
    attest(
        server.registry,
        signer,
        image,
        manifest=manifest,
        statement=statement,
        clock=FixedClock(),
    )

    def verified(kind: str) -> bool:
        words = ("--key", "imagekit.pub", "--type", kind)
        return _verify(cosign, tmp_path, image, *words, verb="verify-attestation").returncode == 0

    assert verified("cyclonedx")
    assert not verified("slsaprovenance1")


def test_cosign_opens_our_key(cosign: Path, tmp_path: Path, signer: KeySigner) -> None:
    """Its public half, as cosign computes it from our encrypted file, is ours to the byte."""
    done = _run(cosign, tmp_path, "public-key", "--key", "imagekit.key")

    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "imagekit.pub").read_text()


def test_we_open_the_key_of_cosign_and_verify_its_bundle(cosign: Path, tmp_path: Path) -> None:
    """Cosign's key signs for us, and what cosign attests with it verifies here."""
    assert _run(cosign, tmp_path, "generate-key-pair").returncode == 0
    (tmp_path / "blob").write_bytes(b"content")
    (tmp_path / "predicate").write_text("{}")
    (tmp_path / "config").write_text(
        '{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}'
    )
    done = _run(
        cosign,
        tmp_path,
        "attest-blob",
        *("--key", "cosign.key", "--signing-config", "config", "--bundle", "bundle", "--yes"),
        *("--predicate", "predicate", "--type", COSIGN_SIGN, "blob"),
    )
    assert done.returncode == 0, done.stderr

    signer = open_signer(tmp_path / "cosign.key", lambda: PASSWORD)
    bundle = parse_bundle((tmp_path / "bundle").read_bytes())

    assert signer.public_key == read_public_key(tmp_path / "cosign.pub")
    assert isinstance(bundle, KeyBundle)
    assert bundle.hint == signer.public_key.hint
    (signature,) = bundle.envelope.signatures
    assert verify_signature(signer.public_key, signature, bundle.envelope.signed_bytes)
    (subject,) = statement_of(bundle.envelope).subjects
    assert subject.digest == Digest.of(b"content")
