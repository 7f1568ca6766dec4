"""What is exported for Podman decides in Podman and Skopeo as the policy does here."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagekit.build.build import BuildOptions
from imagekit.cli.main import main
from imagekit.oci.destination import Destination
from imagekit.oci.location import parse_located
from imagekit.oci.registry.options import RegistryOptions
from imagekit.progress import silent
from imagekit.publish.publish import PublishOptions
from imagekit.publish.publish_platforms import publish_recipe
from imagekit.recipe import load
from imagekit.sign.open_signer import open_signer
from imagekit.sign.sign import sign_reference
from imagekit.signatures.keys.key_files import generate
from imagekit.verify.policies import load_unsigned
from imagekit.verify.verify import verify
from tests.support.programs import as_root, bench_program, run
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
SIGNED: Mapping[str, tuple[str, ...]] = {
    "site/apps/plain:1": (),
    "site/apps/second:1": ("b",),
    "site/apps/stranger:1": ("stranger",),
    "site/apps/scratch/x:1": ("a",),
    "site/base/one:1": ("a",),
    "site/base/two:1": ("a", "c"),
    "site/base/mixed:1": ("a", "stranger"),
    "elsewhere/x:1": ("a",),
}
"""Copies of the published image, and whose keys sign them for their names."""
EXPECTED = {
    "site/apps/hello:1.0.0": True,
    "site/apps/hello@DIGEST": True,
    "site/apps/second:1": True,
    "site/base/two:1": True,
    # The same digest under a tag that it was not signed for; by digest it is good.
    "site/apps/hello:9": False,
    # Image and signature, copied to another repository.
    "site/apps/moved:1.0.0": False,
    "site/apps/plain:1": False,
    "site/apps/stranger:1": False,
    "site/apps/scratch/x:1": False,
    "site/base/one:1": False,
    "site/base/mixed:1": False,
    "elsewhere/x:1": False,
}
LOSSES = "expiry,scope,attestations"


@dataclass(frozen=True)
class Site:
    """A registry with images, and the keys that signed them."""

    host: str
    digest: str
    folder: Path

    def reference(self, name: str) -> str:
        """Return the whole reference of an image."""
        return f"{self.host}/{name}".replace("DIGEST", self.digest)

    def policy(self) -> Path:
        """Write the policy: one of two keys for applications, two of three for base images."""
        a, b, c = (
            {"name": name, "key": {"path": f"keys-{name}/imagekit.pub"}} for name in ("a", "b", "c")
        )
        rules = [
            {
                "match": {
                    "glob": f"{self.host}/site/apps/**",
                    "exclude": [f"{self.host}/site/apps/scratch/**"],
                },
                "authorities": [a, b],
            },
            {
                "match": {"glob": f"{self.host}/site/base/**"},
                "authorities": [a, b, c],
                "threshold": 2,
            },
        ]
        file = self.folder / "policy.yaml"
        file.write_text(
            json.dumps(
                {
                    "apiVersion": "imagekit/v1",
                    "kind": "ImagePolicy",
                    "metadata": {"name": "site", "version": 1, "expires": "2036-01-01T00:00:00Z"},
                    "images": rules,
                }
            )
        )
        return file


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, bench: Path) -> Iterator[Site]:
    """Publish an image, copy it about, and sign the copies."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("recipe", "server", "keys-a", "keys-b", "keys-c", "keys-stranger"):
        (folder / name).mkdir()
    (folder / "recipe/recipe.yaml").write_text(RECIPE)
    (folder / "recipe/hello.txt").write_text("hello\n")
    for name in ("a", "b", "c", "stranger"):
        generate(folder / f"keys-{name}", lambda: "secret")
    env = {**os.environ, "HOME": str(folder)}
    with RegistryServer.docker_registry(folder / "server") as registry:
        image = publish_recipe(
            load(folder / "recipe"),
            to=Destination.parse(f"{registry.host}/site"),
            signer=open_signer(folder / "keys-a/imagekit.key", lambda: "secret"),
            options=PublishOptions(build=BuildOptions(test=False, env=env)),
        )
        made = Site(registry.host, str(image.reference.digest), folder)
        _copies(made, bench)
        yield made


def _copies(site: Site, bench: Path) -> None:
    hello = site.reference("site/apps/hello")
    _crane(bench, "tag", f"{hello}:1.0.0", "9")
    signature = f"{site.digest.replace(':', '-')}.sig"
    for tag in ("1.0.0", signature):
        _crane(bench, "copy", f"{hello}:{tag}", f"{site.host}/site/apps/moved:{tag}")
    for name, signers in SIGNED.items():
        _crane(bench, "copy", f"{hello}:1.0.0", site.reference(name))
        for signer in signers:
            sign_reference(
                parse_located(site.reference(name)),
                signer=open_signer(site.folder / f"keys-{signer}/imagekit.key", lambda: "secret"),
                sbom=False,
                progress=silent,
                options=RegistryOptions(plain_http=True),
            )


def _crane(bench: Path, *words: str) -> None:
    done = run(bench / "crane", *words, "--insecure")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def exported(site: Site) -> Path:
    """The folder that the command writes for Debian 13's Podman, as it writes it."""
    folder = site.folder / "exported"
    _export(site, "containers-policy:5.4", folder)
    return folder


def _export(site: Site, target: str, folder: Path) -> None:
    words = ["policy", "export", "--policy", str(site.policy()), "--format", target]
    assert main([*words, "--to", str(folder), "--allow-loss", LOSSES]) == 0


@pytest.mark.parametrize("name", EXPECTED)
def test_the_policy_here_decides_so(site: Site, name: str) -> None:
    """What the others are compared with."""
    verdict = verify(
        site.reference(name),
        policy=load_unsigned(site.policy()),
        options=RegistryOptions(plain_http=True),
    )

    assert verdict.allowed is EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_skopeo_decides_alike(
    bench: Path, site: Site, exported: Path, tmp_path: Path, name: str
) -> None:
    """Debian 13's Skopeo accepts and refuses the same by the exported files."""
    done = run(
        *as_root("BENCH_SHARE"),
        *(bench / "skopeo-trixie", "--policy", exported / "policy.json"),
        *("--registries.d", exported / "registries.d", "copy", "--src-tls-verify=false"),
        *(f"docker://{site.reference(name)}", f"dir:{site.folder / tmp_path.name}"),
        BENCH_SHARE=str(site.folder),
    )

    _agrees(done, name)


@pytest.mark.parametrize("name", EXPECTED)
def test_podman_decides_alike(bench: Path, site: Site, exported: Path, name: str) -> None:
    """Debian 13's Podman does, with the exported folder as its /etc/containers."""
    podman = bench_program(bench, "podman-trixie")
    done = run(
        *as_root("BENCH_ETC"),
        *(podman, "--root", "/tmp/root", "--runroot", "/run/podman"),
        *("--storage-driver", "vfs", "pull", "--tls-verify=false", site.reference(name)),
        BENCH_ETC=str(exported),
    )

    _agrees(done, name)


def _agrees(done: subprocess.CompletedProcess[str], name: str) -> None:
    if EXPECTED[name]:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode != 0
        assert "Source image rejected" in done.stderr


def test_an_older_skopeo_reads_what_is_written_for_it(site: Site, tmp_path: Path) -> None:
    """Debian 12's rejects an unknown key with the whole file; it has Sigstore compiled out."""
    _export(site, "containers-policy:4.3", tmp_path / "old")
    _export(site, "containers-policy", tmp_path / "new")
    old, new = (_skopeo_of_debian_12(site, tmp_path, which) for which in ("old", "new"))

    assert "sigstore disabled" in old.stderr
    assert "Unknown key" in new.stderr
    assert "keyDatas" in new.stderr


def _skopeo_of_debian_12(site: Site, folder: Path, which: str) -> subprocess.CompletedProcess[str]:
    return run(
        *("skopeo", "--policy", folder / which / "policy.json"),
        *("--registries.d", folder / which / "registries.d", "copy", "--src-tls-verify=false"),
        *(f"docker://{site.reference('site/apps/hello:1.0.0')}", f"dir:{folder / 'out'}"),
    )
