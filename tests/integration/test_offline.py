"""To hosts without a registry: export and import, stage and receipts, with real programs."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.offline_site import SAID, Site
from tests.servers import RegistryServer

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose registry answers."""
    with RegistryServer.docker_registry(tmp_path_factory.mktemp("server")) as server:
        yield Site(tmp_path_factory.mktemp("offline"), server.host)


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
    assert ran.stdout.startswith(SAID), ran.stderr


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
    site.stage(f"{kind}:{path}")

    assert "staged already" in again.stderr
    assert good.returncode == 0, good.stdout + good.stderr
    assert bad.returncode == 3
    assert "CONTENT_DIGEST_MISMATCH" in bad.stdout
    assert site.check(path).returncode == 0


def _alter(path: Path, kind: str) -> None:
    if kind == "squashfs":
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
    elif kind == "oci":
        (path / "more").write_text("x")
    elif kind == "bundle":
        (path / "rootfs/usr/bin/hello").write_bytes(b"evil")
    else:
        (program,) = path.glob("overlay/*/diff/usr/bin/hello")
        program.write_bytes(b"evil")


def test_an_altered_layer_that_images_share_gets_no_receipt(site: Site) -> None:
    """Podman takes a layer that is there as it is; a receipt would make it good."""
    host = site.image.partition("/")[0]
    other = f"{host}/site/apps/other:1.0.0"
    recipe = (site.home / "recipes/hello/recipe.yaml").read_text()
    shutil.copytree(site.home / "recipes/hello", site.home / "recipes/other")
    named = recipe.replace("apps/hello", "apps/other").replace("cmd:", "env: {A: b}\ncmd:")
    (site.home / "recipes/other/recipe.yaml").write_text(named)
    site.done("publish", "recipes/other", "--to", f"{host}/site", "--key", "imagekit.key")
    (site.home / "srv-shared").mkdir()
    site.stage("podman-store:srv-shared/store")
    _alter(site.home / "srv-shared/store", "podman-store")

    staged = site.run(
        *("stage", other, "--policy", "policy.yaml", "--key", "staging/imagekit.key"),
        *("--to", "podman-store:srv-shared/store"),
    )

    assert staged.returncode == 5, staged.stderr
    assert "were altered" in staged.stderr
    assert site.check("srv-shared/store").returncode == 3


@pytest.mark.parametrize("kind", ["bundle", "podman-store", "oci"])
def test_what_is_staged_runs(site: Site, kind: str) -> None:
    """By its receipt; what it writes leaves the bytes as they are."""
    path = f"run-{kind}/hello"
    (site.home / f"run-{kind}").mkdir()
    site.stage(f"{kind}:{path}")

    ran = site.run("run", "--staged", path, "--policy", "nodes.yaml")

    assert ran.stdout.startswith(SAID), ran.stderr
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

    assert ran.stdout.startswith(SAID), ran.stderr
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
