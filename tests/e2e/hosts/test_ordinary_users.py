"""What root is not asked for: an ordinary user, with subordinate ids and without, does it alone."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

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
            (user.home / "staging").mkdir()
            shutil.copy(site.home / "staging/imagekit.pub", user.home / "staging")
            user.give(user.home)
        yield found


@pytest.fixture(params=USERS)
def user(request: pytest.FixtureRequest, users: dict[str, OrdinaryUser]) -> OrdinaryUser:
    """Each of the two."""
    return users[request.param]


def imagekit(user: OrdinaryUser, *words: str) -> subprocess.CompletedProcess[str]:
    """Run imagekit as the user, at home."""
    return user.run(["/usr/bin/python3", "-m", "imagekit", *words], {})


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
