"""A recipe of several platforms: each is published by itself, then the index that names them.

Its images only copy files, so that nothing has to be emulated; what is, tests/e2e/platforms has.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import command
from tests.support.servers import RegistryServer

pytestmark = pytest.mark.real

RECIPE = """\
schema: 1
name: hello
version: 1.0.0
base: scratch
platforms: [linux/amd64, linux/arm64]
steps:
  - copy: {from: hello.txt, to: /hello.txt}
tags: {immutable: ["{version}"], moving: [latest]}
"""


class Site:
    """A recipe, a key and a registry."""

    def __init__(self, folder: Path, host: str) -> None:
        self.recipe = folder / "recipe"
        self.recipe.mkdir()
        self.write(RECIPE)
        (self.recipe / "hello.txt").write_text("hello\n")
        self.host, self.keys = host, folder / "keys"
        self.env = {**os.environ, "HOME": str(folder), "IMAGEKIT_KEY_PASSWORD": "x"}
        self.env["COSIGN_PASSWORD"] = "x"
        self.run("key", "generate", "--out", str(self.keys))

    def write(self, recipe: str) -> None:
        """Write the recipe anew."""
        (self.recipe / "recipe.yaml").write_text(recipe)

    def run(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run imagekit."""
        done = subprocess.run(
            command(*words), env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stderr
        return done

    def publish(self, *words: str, status: int = 0) -> dict[str, Any]:
        """Publish, and return the one result."""
        done = self.run(
            "publish", str(self.recipe), "--to", f"{self.host}/apps", "--json",
            "--key", str(self.keys / "imagekit.key"), *words, status=status,
        )  # fmt: skip
        document = json.loads(done.stdout)
        published: dict[str, Any] = document["published"][0] if status == 0 else document
        return published


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site of its own."""
    (tmp_path / "server").mkdir()
    with RegistryServer.docker_registry(tmp_path / "server") as registry:
        yield Site(tmp_path, registry.host)


def test_images_and_index_are_published_and_read_by_others(site: Site, bench: Path) -> None:
    """Each with its proofs; a run again writes nothing; cosign, skopeo and we verify and copy."""
    first = site.publish()
    assert (first["status"], first["tags"]) == ("published", ["1.0.0", "latest"])
    assert site.publish()["status"] == "unchanged"

    index = f"{site.host}/apps/hello@{first['digest']}"
    raw = skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{index}")
    entries = json.loads(raw)["manifests"]
    assert [entry["platform"]["architecture"] for entry in entries] == ["amd64", "arm64"]
    policy = site.run(
        "policy", "new", "--image", f"{site.host}/**", "--key", str(site.keys / "imagekit.pub"),
        "--require", "cyclonedx,slsaprovenance1",
    ).stdout  # fmt: skip
    strict = site.recipe.parent / "policy.yaml"
    platforms = "    platforms: {verify: all, require: [linux/amd64, linux/arm64]}\n"
    strict.write_text(policy.replace("    attestations:", f"{platforms}    attestations:", 1))
    assert "verify: all" in strict.read_text()
    site.run("verify", f"{site.host}/apps/hello:1.0.0", "--policy", str(strict))
    for entry in entries:
        digest = entry["digest"]
        child = f"{site.host}/apps/hello@{digest}"
        sbom = json.loads(site.run("sbom", child).stdout)
        assert sbom["metadata"]["component"]["purl"].endswith(digest)
    cosign(bench, site, "verify", index)
    cosign(bench, site, "verify-attestation", "--type", "slsaprovenance1", index)
    copy = site.recipe.parent / "copy"
    skopeo("copy", "--all", "--src-tls-verify=false", f"docker://{index}", f"oci:{copy}:x")
    assert len(list((copy / "blobs/sha256").iterdir())) >= len(entries)


def test_builders_publish_theirs_and_one_makes_the_index(site: Site) -> None:
    """It is never made of some of the images, and the images are never tagged as it is."""
    amd = site.publish("--platform", "linux/amd64")
    assert amd["tags"] == ["1.0.0-linux-amd64"]

    refused = site.publish("--merge", status=2)
    assert refused["error"]["code"] == "publish/missing-platform"
    assert "linux/arm64" in refused["error"]["message"]

    arm = site.publish("--platform", "linux/arm64")
    merged = site.publish("--merge")
    assert merged["tags"] == ["1.0.0", "latest"]
    assert merged["digest"] not in {amd["digest"], arm["digest"]}
    assert site.publish("--merge")["status"] == "unchanged"
    assert site.publish()["digest"] == merged["digest"]


def test_an_image_of_another_state_of_the_recipe_is_refused(site: Site) -> None:
    """An index names images of one recipe."""
    site.publish("--platform", "linux/amd64")
    site.write(RECIPE.replace("/hello.txt}", "/other.txt}"))
    site.publish("--platform", "linux/arm64")

    refused = site.publish("--merge", status=2)

    assert refused["error"]["code"] == "publish/immutable-tag"


@pytest.mark.parametrize("words", [("--platform", "linux/s390x"), ("--platform", "beos")])
def test_a_platform_that_is_not_the_recipes_is_refused(site: Site, words: tuple[str, ...]) -> None:
    """Before anything is built or pushed."""
    assert site.publish(*words, status=2)["error"]


def test_a_recipe_of_one_platform_is_not_merged(site: Site) -> None:
    """There is no index to make."""
    site.write(RECIPE.replace(", linux/arm64]", "]"))

    assert site.publish("--merge", status=2)["error"]["code"] == "publish/one-platform"


def skopeo(*words: str) -> str:
    """Run the machine's skopeo."""
    program = shutil.which("skopeo") or "skopeo"
    return subprocess.run([program, *words], check=True, capture_output=True, text=True).stdout


def cosign(bench: Path, site: Site, verb: str, *words: str) -> None:
    """Verify by cosign, without a log."""
    options = ["--key", str(site.keys / "imagekit.pub"), "--insecure-ignore-tlog=true"]
    options += ["--allow-insecure-registry", "--allow-http-registry"]
    subprocess.run(
        [bench / "cosign", verb, *options, *words], check=True, capture_output=True, env=site.env
    )
