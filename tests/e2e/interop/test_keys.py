"""Every kind of key that imagekit makes, read and verified by other people's programs."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagekit.clock import SystemClock
from imagekit.oci.location import REGISTRY
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.registry.connect import light
from imagekit.oci.registry.options import RegistryOptions
from imagekit.sign.keyed import KeySigner
from imagekit.signatures.keys.key_files import FileKey, generate
from imagekit.signatures.publickey import KINDS
from tests.support.fakes import push_image
from tests.support.programs import run
from tests.support.servers import RegistryServer
from tests.support.signing import sign

pytestmark = pytest.mark.real

PASSWORD = "correct horse"
# cosign takes SHA-256 for every key, unless it is told: it refuses its own P-384 bundles, too.
OPTIONS = {"ecdsa-p384": ("--signature-digest-algorithm", "sha384")}


@dataclass(frozen=True)
class Signed:
    """An image that a generated key signed in both forms, and the folder of the key."""

    image: PinnedReference
    kind: str
    keys: Path

    @property
    def tagged(self) -> str:
        """The image by its tag."""
        return f"{self.image.repository}:1"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's docker-registry."""
    with RegistryServer.docker_registry(tmp_path_factory.mktemp("registry")) as server:
        yield server.host


@pytest.fixture(scope="module", params=KINDS)
def signed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, host: str
) -> Signed:
    """Generate a key of each kind and sign an image with it."""
    keys = tmp_path_factory.mktemp("keys")
    generate(keys, lambda: PASSWORD, kind=request.param)
    signer = KeySigner(FileKey.from_file(keys / "imagekit.key", lambda: PASSWORD))
    repository = Repository(host, f"apps/{request.param}")
    writer = light(REGISTRY, RegistryOptions())
    image = push_image(writer, repository)
    manifest = writer.manifest(image)
    sign(
        writer,
        signer,
        image,
        manifest=manifest.descriptor,
        tags=("1",),
        clock=SystemClock(),
    )
    writer.tag(TaggedReference(repository, "1"), manifest)
    return Signed(image, request.param, keys)


def _verify(
    bench: Path, signed: Signed, *options: str, key: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return run(
        bench / "cosign",
        "verify",
        *("--key", key or signed.keys / "imagekit.pub"),
        *("--insecure-ignore-tlog=true", "--allow-http-registry"),
        *options,
        signed.tagged,
    )


def test_cosign_opens_the_encrypted_file(bench: Path, signed: Signed) -> None:
    """Its public half, as cosign computes it from our file, is ours to the byte."""
    private = signed.keys / "imagekit.key"

    done = run(bench / "cosign", "public-key", "--key", private, COSIGN_PASSWORD=PASSWORD)

    assert done.returncode == 0, done.stderr
    assert done.stdout == (signed.keys / "imagekit.pub").read_text()


@pytest.mark.parametrize("form", ["bundle", "legacy"])
def test_cosign_refuses_another_key_of_the_kind(
    bench: Path, signed: Signed, form: str, tmp_path: Path
) -> None:
    """What the tests below see accepted is refused with a stranger's key."""
    generate(tmp_path, lambda: PASSWORD, kind=signed.kind)
    bundle = form == "bundle"
    words = (f"--new-bundle-format={str(bundle).lower()}", *(OPTIONS.get(signed.kind, ()) * bundle))

    done = _verify(bench, signed, *words, key=tmp_path / "imagekit.pub")

    assert done.returncode != 0
    assert "signature" in done.stderr


def test_cosign_accepts_the_bundle(bench: Path, signed: Signed) -> None:
    """The default form of cosign 3."""
    words = OPTIONS.get(signed.kind, ())

    done = _verify(bench, signed, "--new-bundle-format=true", *words)

    assert done.returncode == 0, done.stderr


def test_cosign_accepts_the_legacy_form(bench: Path, signed: Signed) -> None:
    """SHA-256 whatever the curve: no option is needed."""
    done = _verify(bench, signed, "--new-bundle-format=false")

    assert done.returncode == 0, done.stderr


def test_skopeo_accepts_it_by_policy(
    bench: Path, signed: Signed, host: str, tmp_path: Path
) -> None:
    """containers/image hashes with SHA-256, and takes Ed25519 as it is."""
    (tmp_path / "site.pub").write_bytes((signed.keys / "imagekit.pub").read_bytes())
    rule = {"type": "sigstoreSigned", "keyPath": str(tmp_path / "site.pub")}
    policy = {"default": [{"type": "reject"}], "transports": {"docker": {host: [rule]}}}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    (tmp_path / "registries.d").mkdir()
    (tmp_path / "registries.d/site.yaml").write_text(
        f"docker:\n  {host}:\n    use-sigstore-attachments: true\n"
    )
    # A mount namespace of its own wants root.
    root = [] if os.geteuid() == 0 else ["sudo", "-n", "--preserve-env=BENCH_SHARE"]

    done = run(
        *root,
        bench / "skopeo-trixie",
        *("--policy", tmp_path / "policy.json", "--registries.d", tmp_path / "registries.d"),
        *("copy", "--src-tls-verify=false", f"docker://{signed.tagged}", f"dir:{tmp_path / 'out'}"),
        BENCH_SHARE=str(tmp_path),
    )

    assert done.returncode == 0, done.stderr
