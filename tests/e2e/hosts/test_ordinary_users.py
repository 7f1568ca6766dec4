"""What root is not asked for: an ordinary user, with subordinate ids and without, does it alone."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from imagekit.build.tools.podman import run_folder
from imagekit.oci.codec import config_bytes, manifest_bytes
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.reference import PinnedReference, Repository, TaggedReference
from imagekit.oci.types import CONFIG, LAYER, MANIFEST, ImageConfig, Manifest
from imagekit.offline.image_store import ImageStore, StoreWriter
from imagekit.process import Runner
from tests.support.built import AMD64
from tests.support.offline_site import SAID, Site
from tests.support.outcomes import USERS
from tests.support.users import OrdinaryUser, ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow]

POLICY = ("--policy", "policy.yaml")
NODES = ("--policy", "nodes.yaml")


@pytest.fixture(scope="module")
def staged(site: Site) -> Iterator[Path]:
    """An OCI layout that every user can read, which root staged."""
    folder = Path(f"/var/tmp/imagekit-test-{os.getpid()}")
    try:
        folder.mkdir(mode=0o755)
        site.stage(f"oci:{folder}/layout")
        yield folder / "layout"
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def users(site: Site) -> Iterator[dict[str, OrdinaryUser]]:
    """One of each kind, with the site's policies and keys at home."""
    with ExitStack() as made:
        found = {}
        for kind in USERS:
            of_ids = ordinary_user(f"ik-{kind}-{os.getpid()}", subordinate_ids=kind == "with")
            found[kind] = user = made.enter_context(of_ids)
            for name in ("policy.yaml", "nodes.yaml", "imagekit.pub"):
                shutil.copy(site.home / name, user.home)
            shutil.copytree(site.home / "staging", user.home / "staging")
            user.give(user.home)
        yield found


@pytest.fixture(params=USERS)
def user(request: pytest.FixtureRequest, users: dict[str, OrdinaryUser]) -> OrdinaryUser:
    """Each of the two."""
    return users[request.param]


def imagekit(user: OrdinaryUser, *words: str) -> subprocess.CompletedProcess[str]:
    """Run imagekit as the user, at home."""
    password = {"IMAGEKIT_KEY_PASSWORD": "x"}
    return user.run(["/usr/bin/python3", "-m", "imagekit", *words], password)


def test_a_user_pulls_runs_and_looks_at_what_was_pulled(site: Site, user: OrdinaryUser) -> None:
    """By a registry, into a storage at home."""
    pulled = imagekit(user, "pull", site.image, *POLICY)
    ran = imagekit(user, "run", site.image, *POLICY)
    local = imagekit(user, "verify", "--local", *POLICY, "--json")

    assert pulled.returncode == 0, pulled.stderr
    assert (ran.returncode, ran.stdout.startswith(SAID)) == (0, True), ran.stderr
    assert local.returncode == 0, local.stdout + local.stderr
    assert len(json.loads(local.stdout)["verdicts"]) == 1


def test_a_user_runs_what_came_in_a_file(site: Site, user: OrdinaryUser) -> None:
    """Exported and imported by the same user."""
    exported = imagekit(user, "export", site.image, *POLICY, "--to", "hello.tar")
    placed = imagekit(user, "import", "hello.tar", *POLICY, "--to", "oci:images")
    ran = imagekit(user, "run", placed.stdout.strip(), *POLICY)

    assert exported.returncode == placed.returncode == 0, exported.stderr + placed.stderr
    assert (ran.returncode, ran.stdout.startswith(SAID)) == (0, True), ran.stderr


def test_a_user_checks_and_runs_a_layout_that_root_staged(staged: Path, user: OrdinaryUser) -> None:
    """By Podman, into a storage at home."""
    checked = imagekit(user, "receipt", "check", str(staged), *NODES)
    ran = imagekit(user, "run", "--staged", str(staged), *NODES)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert (ran.returncode, ran.stdout.startswith(SAID)) == (0, True), ran.stderr


@pytest.mark.parametrize("kind", ["bundle", "podman-store", "oci", "squashfs"])
def test_a_user_stages_checks_and_runs(site: Site, user: OrdinaryUser, kind: str) -> None:
    """For oneself alone, at home."""
    by = (*POLICY, "--key", "staging/imagekit.key", "--to", f"{kind}:own-{kind}")
    staged = imagekit(user, "stage", site.image, *by)
    checked = imagekit(user, "receipt", "check", f"own-{kind}", *NODES)
    assert staged.returncode == checked.returncode == 0, staged.stderr + checked.stdout

    # A file is mounted by /dev/fuse, which is not every host's users'.
    if kind != "squashfs":
        ran = imagekit(user, "run", "--staged", f"own-{kind}", *NODES)
        assert (ran.returncode, ran.stdout.startswith(SAID)) == (0, True), ran.stderr


SEE = """
own="podman --root $HOME/apart --runroot $HOME/apart.run --storage-driver overlay"
own="$own --storage-opt overlay.imagestore=$1"
container=$($own create --network host "$2" /none)
$own unshare sh -euc "ls \\$($own mount $container)/folder"
$own rm -f "$container" > /dev/null
"""


def test_what_a_layer_hides_is_hidden_from_users_too(users: dict[str, OrdinaryUser]) -> None:
    """By a mark of the folder's, which root's overlays have in another place than users'."""
    image, layout = _hiding(users["with"].home / "hiding")
    store = layout.with_name("store")
    with run_folder() as run:
        writer = StoreWriter(programs=Runner(), folder=store, runroot=run)
        stored = writer.add(image, "localhost/hiding:1", layout=layout)
    found = ImageStore.find(store)
    assert found is not None
    found.open_to_all()

    ran = users["with"].run(["sh", "-euc", SEE, "sh", str(store), stored], {})

    assert (ran.returncode, ran.stdout.split()) == (0, ["kept"]), ran.stderr


def _hiding(folder: Path) -> tuple[PinnedReference, Path]:
    """Make an image whose second layer replaces a folder of its first one (image-spec layer.md)."""
    layout = folder / "layout"
    layout.mkdir(parents=True)
    registry, repository = LayoutRegistry(LayoutStore(layout)), Repository("localhost", "hiding")
    layers = [_layer("folder/removed"), _layer("folder/.wh..wh..opq", "folder/kept")]
    config = ImageConfig(platform=AMD64, created="", diff_ids=tuple(map(Digest.of, layers)))
    manifest = Manifest(
        media_type=MANIFEST,
        config=registry.put_bytes(repository, CONFIG, config_bytes(config)),
        layers=tuple(registry.put_bytes(repository, LAYER, layer) for layer in layers),
    )
    pinned = registry.put_manifest(repository, MANIFEST, manifest_bytes(manifest))
    registry.tag(TaggedReference(repository, "1"), registry.manifest(pinned))
    return pinned, layout


def _layer(*names: str) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        folder = tarfile.TarInfo("folder")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    return raw.getvalue()


def test_a_user_compares_the_node_with_an_image(site: Site, user: OrdinaryUser) -> None:
    """As root does, whose word it is that counts in a prolog."""
    host = site.image.partition("/")[0]
    for version, needs in (("1.1.0", "{}"), ("1.1.1", '{cuda: "99.1"}')):
        _publish_needing(site, version, needs)
    good, bad = (f"{host}/site/apps/hello:{version}" for version in ("1.1.0", "1.1.1"))

    checked = imagekit(user, "node", "check", good, *POLICY)
    lacking = imagekit(user, "node", "check", bad, *POLICY)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert lacking.returncode not in {0, 2}, lacking.stdout + lacking.stderr
    assert "99.1" in lacking.stdout + lacking.stderr


def _publish_needing(site: Site, version: str, needs: str) -> None:
    folder = site.home / f"recipes/hello-{version}"
    if not folder.exists():
        shutil.copytree(site.home / "recipes/hello", folder)
        recipe = (folder / "recipe.yaml").read_text().replace("1.0.0", version)
        (folder / "recipe.yaml").write_text(f"{recipe}needs: {needs}\n")
        to = site.image.partition("/")[0] + "/site"
        site.done("publish", str(folder), "--to", to, "--key", "imagekit.key")


@pytest.mark.parametrize("kind", USERS)
def test_doctor_tells_users_what_is_theirs(users: dict[str, OrdinaryUser], kind: str) -> None:
    """Whoever has no subordinate ids reads that, and what works without; all else is in order."""
    checks = json.loads(imagekit(users[kind], "doctor", "--json").stdout)["checks"]

    problems = {check["name"]: check["hint"] for check in checks if check["status"] == "problem"}
    assert problems.keys() == (set() if kind == "with" else {"subuids"}), problems
    assert all("run --staged FILE.sqsh" in hint for hint in problems.values())
