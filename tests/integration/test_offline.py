"""To hosts without a registry: export and import, stage and receipts, with real programs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import RegistryServer

pytestmark = [pytest.mark.real, pytest.mark.slow]

RECIPE = """\
schema: 1
name: apps/hello
version: 1.0.0
base: {recipe: base/debian}
steps:
  - copy: {from: hello, to: /usr/local/bin/hello}
entrypoint: [hello]
cmd: [world]
tests:
  - args: [world]
    stdout: ^hello world$
tags: {immutable: ["{version}"]}
"""
NODES = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: nodes, version: 1, expires: 2999-01-01T00:00:00Z}
images:
  - match: {glob: "GLOB"}
    proof: vsa
    authorities: [{name: staging, key: {path: staging/imagekit.pub}}]
    vsa: {verifierIds: ["urn:imagekit:stage"], maxAge: 30d}
"""


class Site:
    """A HOME, a registry with one published image, and the policies of both ends."""

    def __init__(self, home: Path, host: str, project: Path) -> None:
        """Publish the image."""
        self.home = home
        self.image = f"{host}/site/apps/hello:1.0.0"
        shutil.copytree(project / "recipes/base", home / "recipes/base")
        (home / "recipes/hello").mkdir()
        (home / "recipes/hello/recipe.yaml").write_text(RECIPE)
        script = home / "recipes/hello/hello"
        script.write_text('#!/bin/sh\necho "hello $1"\n')
        script.chmod(0o755)
        self.done("key", "generate")
        self.done("key", "generate", "--out", "staging")
        glob = f"{host}/site/**"
        require = ("--require", "cyclonedx,slsaprovenance1")
        policy = self.done("policy", "new", "--image", glob, "--key", "imagekit.pub", *require)
        (home / "policy.yaml").write_text(policy)
        (home / "nodes.yaml").write_text(NODES.replace("GLOB", glob))
        to = f"{host}/site"
        self.done("publish", "recipes/hello", "--to", to, "--key", "imagekit.key")

    def run(self, *words: str, offline: bool = False) -> subprocess.CompletedProcess[str]:
        """Run imagekit; ``offline`` without any network."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
        env |= {"HOME": str(self.home), "IMAGEKIT_KEY_PASSWORD": "x"}
        env |= {"PYTHONPATH": os.pathsep.join(sys.path)}
        before = ("unshare", "--map-root-user", "--net") if offline else ()
        return subprocess.run(
            [*before, sys.executable, "-m", "imagekit", *words],
            cwd=self.home,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def done(self, *words: str, offline: bool = False) -> str:
        """Run imagekit, which must succeed, and return what it printed."""
        ran = self.run(*words, offline=offline)
        assert ran.returncode == 0, ran.stderr + ran.stdout
        return ran.stdout

    def stage(self, to: str, *more: str) -> str:
        """Stage the image."""
        key = ("--key", "staging/imagekit.key")
        return self.done("stage", self.image, "--policy", "policy.yaml", *key, "--to", to, *more)

    def check(self, path: str) -> subprocess.CompletedProcess[str]:
        """Check a receipt, offline."""
        return self.run("receipt", "check", path, "--policy", "nodes.yaml", offline=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Iterator[Site]:
    """A site whose registry answers."""
    with RegistryServer.docker_registry(tmp_path_factory.mktemp("server")) as server:
        yield Site(tmp_path_factory.mktemp("offline"), server.host, project)


def test_from_a_registry_by_one_file_to_a_run(site: Site) -> None:
    """Exported here, imported, verified and run there, without any network."""
    by_policy = ("--policy", "policy.yaml")
    site.done("export", site.image, *by_policy, "--to", "hello.tar")

    from_file = site.done("verify", site.image, "--from", "hello.tar", *by_policy, offline=True)
    placed = site.done("import", "hello.tar", *by_policy, "--to", "oci:images", offline=True)
    verified = site.done("verify", site.image, "--from", "oci:images", *by_policy, offline=True)
    ran = site.run("run", placed.strip(), *by_policy)

    assert from_file.startswith("allowed")
    assert verified.startswith("allowed")
    assert ran.stdout == "hello world\n", ran.stderr


def test_an_import_into_another_registry_has_its_signatures(site: Site) -> None:
    """All that was attached is listed there, by the fallback tag of a registry without the API."""
    by_policy = ("--policy", "policy.yaml")
    site.done("export", site.image, *by_policy, "--to", "mirror.tar")
    host = site.image.partition("/")[0]

    site.done("import", "mirror.tar", *by_policy, "--to", f"{host}/mirror")
    inspected = site.done("inspect", f"{host}/mirror/site/apps/hello:1.0.0")

    assert "signature" in inspected


def test_skopeo_reads_what_was_exported(site: Site, tmp_path: Path) -> None:
    """The file is an oci-archive."""
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("skopeo is not installed")
    site.done("export", site.image, "--policy", "policy.yaml", "--to", "skopeo.tar")

    source = f"oci-archive:{site.home}/skopeo.tar:{site.image}"
    copied = subprocess.run(
        [skopeo, "copy", "--insecure-policy", source, f"dir:{tmp_path}/out"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert copied.returncode == 0, copied.stderr


@pytest.mark.parametrize("kind", ["squashfs", "bundle", "podman-store", "oci"])
def test_what_is_staged_is_good_until_it_is_altered(site: Site, kind: str) -> None:
    """Staged once, checked offline, refused after one byte changed, and staged anew."""
    path = f"srv-{kind}/hello"
    (site.home / f"srv-{kind}").mkdir()
    site.stage(f"{kind}:{path}")
    again = site.run(
        *("stage", site.image, "--policy", "policy.yaml", "--key", "staging/imagekit.key"),
        *("--to", f"{kind}:{path}"),
    )
    good = site.check(path)
    _alter(site.home / path, kind)
    bad = site.check(path)
    if kind != "podman-store":
        site.stage(f"{kind}:{path}")

    assert "staged already" in again.stderr
    assert good.returncode == 0, good.stdout + good.stderr
    assert bad.returncode == 3
    assert "CONTENT_DIGEST_MISMATCH" in bad.stdout
    if kind != "podman-store":
        assert site.check(path).returncode == 0


def _alter(path: Path, kind: str) -> None:
    if kind == "squashfs":
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
    elif kind == "oci":
        (path / "more").write_text("x")
    elif kind == "bundle":
        (path / "rootfs/usr/local/bin/hello").write_text("#!/bin/sh\necho evil\n")
    else:
        (script,) = path.glob("overlay/*/diff/usr/local/bin/hello")
        script.write_text("#!/bin/sh\necho evil\n")


@pytest.mark.parametrize("kind", ["bundle", "podman-store", "oci"])
def test_what_is_staged_runs(site: Site, kind: str) -> None:
    """By its receipt; what it writes leaves the bytes as they are."""
    path = f"run-{kind}/hello"
    (site.home / f"run-{kind}").mkdir()
    site.stage(f"{kind}:{path}")

    ran = site.run("run", "--staged", path, "--policy", "nodes.yaml")

    assert ran.stdout == "hello world\n", ran.stderr
    assert site.check(path).returncode == 0


def test_a_runtime_runs_the_bundle_and_leaves_it_alone(site: Site) -> None:
    """Runc by config.json; the receipt is good afterwards."""
    runc = shutil.which("runc")
    if runc is None or os.geteuid() != 0:
        pytest.skip("runc is not installed, or this is not root")
    (site.home / "srv-runc").mkdir()
    site.stage("bundle:srv-runc/hello")

    words = [runc, "--root", str(site.home / "runc"), "run", "-b", "srv-runc/hello", "hello-test"]
    ran = subprocess.run(
        words, cwd=site.home, capture_output=True, text=True, timeout=60, check=False
    )

    assert ran.stdout == "hello world\n", ran.stderr
    assert site.check("srv-runc/hello").returncode == 0


def test_a_receipt_reads_as_an_attestation_of_cosign(site: Site, bench: Path) -> None:
    """Any tool that verifies Sigstore bundles can check who signed it, and for which file."""
    (site.home / "srv-cosign").mkdir()
    site.stage("squashfs:srv-cosign/hello")
    staged = (site.home / "srv-cosign/hello").resolve()

    words = ["verify-blob-attestation", "--key", "staging/imagekit.pub", "--bundle"]
    words += [f"{staged}.receipt.json", "--insecure-ignore-tlog=true", "--type"]
    words += ["https://slsa.dev/verification_summary/v1", str(staged)]
    verified = subprocess.run(
        [str(bench / "cosign"), *words],
        cwd=site.home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert verified.returncode == 0, verified.stderr
