"""What imagekit publishes, read by other people's programs."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagekit.build.build import BuildOptions
from imagekit.oci.destination import Destination
from imagekit.oci.reference import PinnedReference
from imagekit.publish.publish import PublishOptions
from imagekit.publish.publish_platforms import publish_recipe
from imagekit.recipe import load
from imagekit.sign.open_signer import open_signer
from imagekit.signatures.keys.key_files import generate
from tests.support.programs import run
from tests.support.servers import RegistryServer

pytestmark = pytest.mark.real

RECIPE = """\
schema: 1
name: apps/hello
version: 1.0.0
base: scratch
steps:
  - copy: {from: hello.txt, to: /hello.txt}
tags: {immutable: ["{version}"], moving: [latest]}
"""


@dataclass(frozen=True)
class Published:
    """An image in a registry, and the key that signed it."""

    reference: PinnedReference
    host: str
    key: Path

    @property
    def tagged(self) -> str:
        """The image by its tag."""
        return f"{self.reference.repository}:1.0.0"


@pytest.fixture(scope="module", params=["docker_registry", "refregistry"])
def published(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, bench: Path
) -> Iterator[Published]:
    """Publish a small image to a registry without and to one with the referrers API."""
    tmp_path = tmp_path_factory.mktemp("published")
    folder = tmp_path / "recipe"
    folder.mkdir()
    (tmp_path / "server").mkdir()
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "hello.txt").write_text("hello\n")
    server = (
        RegistryServer.docker_registry(tmp_path / "server")
        if request.param == "docker_registry"
        else RegistryServer.refregistry(bench / "refregistry", tmp_path / "server")
    )
    keys = tmp_path / "keys"
    keys.mkdir()
    generate(keys, lambda: "secret")
    env = {**os.environ, "HOME": str(tmp_path)}
    with server as registry:
        image = publish_recipe(
            load(folder),
            to=Destination.parse(f"{registry.host}/site"),
            signer=open_signer(keys / "imagekit.key", lambda: "secret"),
            options=PublishOptions(build=BuildOptions(test=False, env=env)),
        )
        yield Published(image.reference, registry.host, keys / "imagekit.pub")


def _cosign(bench: Path, published: Published, *options: str) -> subprocess.CompletedProcess[str]:
    return run(
        bench / "cosign",
        "verify",
        "--key",
        published.key,
        "--insecure-ignore-tlog=true",
        "--allow-http-registry",
        *options,
        published.tagged,
    )


def test_cosign_accepts_the_bundle(bench: Path, published: Published) -> None:
    """Cosign 3 reads bundles first, as referrers or from the fallback tag."""
    outcome = _cosign(bench, published, "--new-bundle-format=true")

    assert outcome.returncode == 0, outcome.stderr


def test_cosign_accepts_the_legacy_form(bench: Path, published: Published) -> None:
    """What cosign 2 and containers/image read stands beside the bundle."""
    outcome = _cosign(bench, published, "--new-bundle-format=false")

    assert outcome.returncode == 0, outcome.stderr


def test_cosign_refuses_another_key(bench: Path, published: Published, tmp_path: Path) -> None:
    """The two acceptances above are worth something."""
    other = tmp_path / "other"
    other.mkdir()
    generate(other, lambda: "x")
    stranger = Published(published.reference, published.host, other / "imagekit.pub")

    assert _cosign(bench, stranger).returncode != 0


@pytest.mark.parametrize("kind", ["cyclonedx", "slsaprovenance1"])
def test_cosign_accepts_the_attestations(bench: Path, published: Published, kind: str) -> None:
    """SBOM and provenance verify under their own types."""
    outcome = run(
        bench / "cosign",
        "verify-attestation",
        "--key",
        published.key,
        "--insecure-ignore-tlog=true",
        "--allow-http-registry",
        "--type",
        kind,
        published.tagged,
    )

    assert outcome.returncode == 0, outcome.stderr


def test_oras_shows_the_sbom(bench: Path, published: Published) -> None:
    """The SBOM is a referrer of its own, under the media type of CycloneDX."""
    outcome = run(bench / "oras", "discover", "--plain-http", "--format", "json", published.tagged)

    assert outcome.returncode == 0, outcome.stderr
    listed = json.loads(outcome.stdout)
    # The types are read from the manifests: one registry lists those of their configurations.
    types = set()
    for entry in listed.get("referrers", listed.get("manifests")):
        reference = f"{published.reference.repository}@{entry['digest']}"
        fetched = run(bench / "oras", "manifest", "fetch", "--plain-http", reference)
        types.add(json.loads(fetched.stdout)["artifactType"])
    assert types == {
        "application/vnd.cyclonedx+json",
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        "application/vnd.imagekit.recipe.v1.tar",
    }


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_skopeo_accepts_it_by_policy(
    bench: Path, published: Published, by: str, tmp_path: Path
) -> None:
    """A sigstoreSigned policy with the default signedIdentity, as podman and CRI-O have it."""
    outcome = _skopeo(bench, published, by, key=published.key, share=tmp_path)

    assert outcome.returncode == 0, outcome.stderr


def test_skopeo_refuses_another_key(bench: Path, published: Published, tmp_path: Path) -> None:
    """The policy of the test above really decides."""
    other = tmp_path / "other"
    other.mkdir()
    generate(other, lambda: "x")
    outcome = _skopeo(bench, published, "tag", key=other / "imagekit.pub", share=tmp_path)

    assert outcome.returncode != 0
    assert "signature" in outcome.stderr


def _skopeo(
    bench: Path, published: Published, by: str, *, key: Path, share: Path
) -> subprocess.CompletedProcess[str]:
    (share / "site.pub").write_bytes(key.read_bytes())
    signed = {"type": "sigstoreSigned", "keyPath": str(share / "site.pub")}
    policy = {"default": [{"type": "reject"}], "transports": {"docker": {published.host: [signed]}}}
    (share / "policy.json").write_text(json.dumps(policy))
    (share / "registries.d").mkdir()
    (share / "registries.d/site.yaml").write_text(
        f"docker:\n  {published.host}:\n    use-sigstore-attachments: true\n"
    )
    reference = published.tagged if by == "tag" else str(published.reference)
    # A mount namespace of its own wants root.
    root = [] if os.geteuid() == 0 else ["sudo", "-n", "--preserve-env=BENCH_SHARE"]
    return run(
        *root,
        bench / "skopeo-trixie",
        "--policy",
        share / "policy.json",
        "--registries.d",
        share / "registries.d",
        "copy",
        "--src-tls-verify=false",
        f"docker://{reference}",
        f"dir:{share / 'out'}",
        BENCH_SHARE=str(share),
    )
