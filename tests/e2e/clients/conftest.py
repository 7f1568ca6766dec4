"""A registry with a signed and a stranger's image, and a gate with TLS before it."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagekit.oci.codec import manifest_bytes, parse_manifest
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY
from imagekit.oci.reference import parse_reference
from imagekit.oci.registry.connect import light, reader
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.types import EMPTY, EMPTY_JSON, MANIFEST, Index, Manifest
from tests.e2e.clients.gate import Gate
from tests.support.servers import RegistryServer

_RECIPE = """\
schema: 1
name: {name}
version: 1.0.0
base: scratch
steps:
  - copy: {{from: marker, to: /marker}}
  - copy: {{from: passwd, to: /etc/passwd}}
tags: {{immutable: ["{{version}}"]}}
"""
_PASSWD = "root:x:0:0:root:/root:/bin/sh\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image of the registry, and what it can be recognised by on a disk."""

    name: str
    marker: bytes
    """The content of a file in it."""
    layer: bytes
    """Its layer, as it is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A registry with images, and the gate before it."""

    gate: Gate
    policy: Path
    """The gate's policy; its keys lie beside it."""
    registry: str
    good: Image
    bad: Image
    attached: str
    """Reference of what a stranger attached to the good image: a layer of the bad one."""
    log: Path
    before: int
    """How many lines of the log are of the time before clients came."""

    def reference(self, image: Image) -> str:
        """Return what clients of the gate call an image."""
        return f"{self.gate.host}/{image.name}:1.0.0"

    def sent(self, image: Image) -> list[str]:
        """Return the registry's log lines that tell that the image's layer was sent.

        The gate reads signatures and the configuration, which are blobs as well.
        """
        lines = self.log.read_text(errors="replace").splitlines()[self.before :]
        wanted = f'"GET /v2/{image.name}/blobs/{Digest.of(image.layer)}'
        return [line for line in lines if wanted in line]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A docker-registry, published images, and the gate; stopped at the end."""
    folder = tmp_path_factory.mktemp("site")
    with RegistryServer.docker_registry(folder) as registry:
        good = _published(folder / "release", registry.host, name="apps/good")
        bad = _published(folder / "stranger", registry.host, name="apps/bad")
        attached = _attached(f"{registry.host}/{good.name}:1.0.0", bad.layer)
        policy = folder / "policy.yaml"
        policy.write_text(
            _imagekit(
                folder,
                *("policy", "new", "--image", f"{registry.host}/**"),
                *("--key", folder / "release/imagekit.pub"),
            )
        )
        (folder / "gate").mkdir()
        upstream = f"http://{registry.host}"
        with Gate.started(folder / "gate", policy=policy, upstream=upstream) as gate:
            before = len((folder / "log").read_text(errors="replace").splitlines())
            yield Site(
                before=before,
                gate=gate,
                policy=policy,
                registry=registry.host,
                good=good,
                bad=bad,
                attached=f"{gate.host}/{good.name}@{attached}",
                log=folder / "log",
            )


def _published(home: Path, host: str, *, name: str) -> Image:
    """Publish an image with a key of its own."""
    recipe = home / "recipe"
    recipe.mkdir(parents=True)
    marker = secrets.token_bytes(4096)
    (recipe / "recipe.yaml").write_text(_RECIPE.format(name=name))
    (recipe / "marker").write_bytes(marker)
    (recipe / "passwd").write_text(_PASSWD)
    _imagekit(home, "key", "generate", "--out", home)
    _imagekit(home, "publish", recipe, "--to", host, "--key", home / "imagekit.key", "--no-test")
    return Image(name=name, marker=marker, layer=_layer(f"{host}/{name}:1.0.0"))


def _layer(text: str) -> bytes:
    """Read the only layer, as clients get it."""
    reference = parse_reference(text)
    source = reader(REGISTRY, RegistryOptions())
    raw = source.manifest(reference)
    manifest = parse_manifest(raw.raw, raw.media_type)
    assert not isinstance(manifest, Index)
    return source.blob(reference.repository, manifest.layers[0], limit=1 << 20)


def _attached(text: str, layer: bytes) -> Digest:
    """Attach a layer to an image, as anybody may who pushes."""
    reference = parse_reference(text)
    repository = reference.repository
    registry = light(REGISTRY, RegistryOptions())
    image = registry.manifest(reference).descriptor
    manifest = Manifest(
        media_type=MANIFEST,
        config=registry.put_bytes(repository, EMPTY, EMPTY_JSON),
        layers=(registry.put_bytes(repository, "application/octet-stream", layer),),
        artifact_type="application/octet-stream",
        subject=image,
    )
    return registry.put_manifest(repository, MANIFEST, manifest_bytes(manifest)).digest


def _imagekit(home: Path, *words: str | Path) -> str:
    environment: Mapping[str, str] = {
        **os.environ,
        "HOME": str(home),
        "IMAGEKIT_KEY_PASSWORD": "a password of tests",
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "imagekit", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
