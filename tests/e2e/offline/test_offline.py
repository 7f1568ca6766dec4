"""To hosts without a registry: export and import, stage and receipts, with real programs."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.offline_site import SAID, Site, as_root
from tests.support.servers import RegistryServer
from tests.support.users import ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow]
MIXED = """\
  - copy: {from: hello, to: /usr/bin/lent, mode: "4111"}
  - copy: {from: secret, to: /etc/shadow, mode: "0000"}
  - copy: {from: secret, to: /etc/gshadow, mode: "0640", owner: "0:42"}
  - copy: {from: secret, to: /var/lib/own, mode: "0600", owner: "100:65534"}
entrypoint:"""


@dataclass(frozen=True)
class AsUser:
    """A user's folder, and what runs imagekit in it or above as that user."""

    folder: Path
    run: Callable[..., subprocess.CompletedProcess[str]]


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
    """The file is an oci-archive; a user's skopeo 1.9 cannot unpack root's files by itself."""
    skopeo = shutil.which("skopeo")
    inside = [] if os.geteuid() == 0 else ["podman", "unshare"]
    if skopeo is None:
        pytest.skip("skopeo is not installed")
    site.done("export", site.image, "--policy", "policy.yaml", "--to", "skopeo.tar")

    source = f"oci-archive:{site.home}/skopeo.tar:{site.image}"
    copied = subprocess.run(
        [*inside, skopeo, "copy", "--insecure-policy", source, f"dir:{tmp_path}/out"],
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
        for program in path.glob("overlay/*/diff/usr/bin/hello"):
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
    if runc is None:
        pytest.skip("runc is not installed")
    (site.home / "srv-runc").mkdir()
    site.stage("bundle:srv-runc/hello")

    state = f"/run/imagekit-test-{os.getpid()}"
    words = [runc, "--root", state, "run", "-b", "srv-runc/hello", "hello-test"]
    ran = subprocess.run(
        as_root(*words), cwd=site.home, capture_output=True, text=True, timeout=60, check=False
    )

    subprocess.run(as_root("rm", "-rf", state), check=True)
    assert ran.stdout.startswith(SAID), ran.stderr
    assert site.check("srv-runc/hello").returncode == 0


@pytest.fixture(scope="module")
def mixed(site: Site) -> str:
    """An image with files of several users, some of which only root may read, and a set-id one."""
    host = site.image.partition("/")[0]
    folder = site.home / "recipes/mixed"
    shutil.copytree(site.home / "recipes/hello", folder)
    (folder / "secret").write_text("secret")
    recipe = (folder / "recipe.yaml").read_text().replace("apps/hello", "apps/mixed")
    (folder / "recipe.yaml").write_text(recipe.replace("entrypoint:", MIXED))
    site.done("publish", "recipes/mixed", "--to", f"{host}/site", "--key", "imagekit.key")
    return f"{host}/site/apps/mixed:1.0.0"


@pytest.fixture(scope="module")
def user(site: Site, mixed: str) -> Iterator[AsUser]:
    """An ordinary user with the keys and policies of the site: this one, or one that is made."""
    assert mixed
    if os.geteuid() != 0:
        (site.home / "srv-user").mkdir()
        yield AsUser(site.home / "srv-user", site.run)
        return
    with ordinary_user(f"imagekit-staged-{os.getpid()}") as one:
        for name in ("policy.yaml", "nodes.yaml", "imagekit.pub", "staging"):
            copy = shutil.copytree if (site.home / name).is_dir() else shutil.copy
            copy(site.home / name, one.home / name)
        one.give(one.home)
        password = {"IMAGEKIT_KEY_PASSWORD": "x"}

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            return one.run(["/usr/bin/python3", "-m", "imagekit", *words], password)

        yield AsUser(one.home, run)


@pytest.mark.parametrize("kind", ["squashfs", "bundle", "podman-store"])
def test_what_a_user_stages_they_can_check_and_run(
    site: Site, user: AsUser, mixed: str, kind: str
) -> None:
    """Whoever its files belong to in the image; an altered byte is seen all the same."""
    place = user.folder / f"{kind}.of/it"
    place.parent.mkdir()
    os.chown(place.parent, *_owner(user.folder))
    # A second image in the same store is compared with a fresh one.
    for image in (site.image, mixed) if kind == "podman-store" else (mixed,):
        by = ("--policy", "policy.yaml", "--key", "staging/imagekit.key")
        staged = user.run("stage", image, *by, "--to", f"{kind}:{place}")
        assert staged.returncode == 0, staged.stderr + staged.stdout

    good = user.run("receipt", "check", str(place), "--policy", "nodes.yaml")
    ran = user.run("run", mixed, "--staged", str(place), "--policy", "nodes.yaml")
    after = user.run("receipt", "check", str(place), "--policy", "nodes.yaml")
    lent = [path for path in place.rglob("*") if path.is_file() and _lends_rights(path)]
    _alter(place, kind)
    bad = user.run("receipt", "check", str(place), "--policy", "nodes.yaml")

    assert good.returncode == 0, good.stdout + good.stderr
    assert kind == "squashfs" or ran.stdout.startswith(SAID), ran.stderr
    assert after.returncode == 0, after.stdout + after.stderr
    assert lent == []
    assert bad.returncode == 3, bad.stdout + bad.stderr


@pytest.mark.parametrize("kind", ["squashfs", "bundle", "podman-store"])
def test_everybody_may_read_all_that_is_staged(site: Site, mixed: str, kind: str) -> None:
    """So they can check what they run; no file lends its owner's rights."""
    place = site.home / f"all-{kind}/it"
    place.parent.mkdir()
    by = ("--policy", "policy.yaml", "--key", "staging/imagekit.key")
    site.done("stage", mixed, *by, "--to", f"{kind}:{place}")
    tree = place
    if kind == "squashfs":
        tree = place.parent / "unpacked"
        subprocess.run(["unsquashfs", "-q", "-n", "-d", tree, place], check=True)

    entries = tree.glob("overlay/*/diff/**/*") if kind == "podman-store" else tree.rglob("*")
    found = [path for path in entries if not path.is_symlink()]
    closed = [path for path in found if not path.stat().st_mode & stat.S_IROTH]
    closed += [path for path in found if path.is_dir() and not path.stat().st_mode & stat.S_IXOTH]

    assert closed == []
    assert [path for path in found if _lends_rights(path)] == []
    assert {"lent", "shadow"} <= {path.name for path in found}


def _lends_rights(path: Path) -> bool:
    return bool(path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID))


def _owner(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid


def test_a_user_namespace_that_hides_root_hides_strangers_too(site: Site) -> None:
    """Whose the folders above are cannot be told there, and the finding says so."""
    (site.home / "srv-hidden").mkdir()
    site.stage("oci:srv-hidden/hello")

    words = (sys.executable, "-m", "imagekit", "receipt", "check", "srv-hidden/hello")
    ran = subprocess.run(
        ["unshare", "--user", *words, "--policy", "nodes.yaml"],
        cwd=site.home,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 3, ran.stderr
    assert "NOT_OURS: in this user namespace the owner of" in ran.stdout


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
