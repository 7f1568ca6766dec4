"""Nothing typed but a recipe, and a host that is looked at before anything is downloaded."""

import os
import shutil
from pathlib import Path

import pytest

from tests.support.command import imagekit, recipe
from tests.support.users import USERS_PYTHON, ordinary_user

pytestmark = pytest.mark.real

NONE = "prove-that-nothing-is-downloaded.invalid"
DEBIAN = f"""\
base: {{bootstrap: {{distribution: debian, suite: bookworm, mirror: "http://{NONE}/debian"}}}}
"""
HELLO = "base: scratch\nsteps: [{copy: {from: hello.txt, to: /hello.txt}}]\n"


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """A recipe of one file."""
    folder = recipe(tmp_path / "recipes/hello", "hello", HELLO)
    (folder / "hello.txt").write_text("hello\n")
    return folder


def test_publish_verify_and_run_with_nothing_typed(tmp_path: Path, hello: Path) -> None:
    """What a user's file says is enough for all of them, from any folder."""
    site = tmp_path / "site"
    site.mkdir()
    assert imagekit(site, "key", "generate", "--out", ".").returncode == 0
    made = imagekit(site, "policy", "new", "--image", "localhost/**", "--key", "imagekit.pub")
    (site / "policy.yaml").write_text(made.stdout)
    (site / "imagekit.toml").write_text(
        'key = "imagekit.key"\npolicy = "policy.yaml"\nto = "oci:images"\n'
    )
    config = {"IMAGEKIT_CONFIG": str(site / "imagekit.toml")}

    published = imagekit(tmp_path, "publish", str(hello), **config)
    assert published.returncode == 0, published.stderr
    reference = published.stdout.strip()
    assert reference.startswith(f"oci:{site}/images:")
    assert imagekit(tmp_path, "verify", reference, **config).returncode == 0
    assert imagekit(tmp_path, "run", "--dry-run", reference, **config).returncode == 0
    # The same by the file of the working folder: it is asked for once.
    asked = imagekit(site, "publish", str(hello))
    assert (asked.returncode, "imagekit config trust" in asked.stderr) == (2, True)
    assert imagekit(site, "config", "trust").returncode == 0
    assert imagekit(site, "publish", str(hello)).returncode == 0


def _path_without(folder: Path, *names: str) -> str:
    """Return a PATH with everything that this one has, but some programs."""
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*"):
            if program.name not in names and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program)
    return str(folder)


@pytest.mark.parametrize(
    ("program", "package"), [("buildah", "buildah"), ("mmdebstrap", "mmdebstrap")]
)
def test_a_missing_program_is_told_before_anything_is_downloaded(
    tmp_path: Path, program: str, package: str
) -> None:
    """The remedy is all that is printed; no folder of a build is made."""
    folder = recipe(tmp_path / "os", "os", DEBIAN)
    path = _path_without(tmp_path / "bin", program)
    ran = imagekit(tmp_path, "build", str(folder), PATH=path)

    assert ran.returncode == 6
    assert f"error[HOST]: {program}: not installed" in ran.stderr
    assert f"apt-get install {package}" in ran.stderr
    assert NONE not in ran.stderr


def test_what_is_built_already_needs_no_program(tmp_path: Path, hello: Path) -> None:
    """A host that lost its Buildah still gives what it has."""
    assert imagekit(tmp_path, "build", str(hello)).returncode == 0

    path = _path_without(tmp_path / "bin", "buildah")
    ran = imagekit(tmp_path, "build", str(hello), PATH=path)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.root
def test_a_user_without_ids_is_told_before_a_bootstrap_begins(tmp_path: Path, hello: Path) -> None:
    """And builds what needs none, without a word about them."""
    with ordinary_user("ikfirstlook", subordinate_ids=False) as user:
        words = [USERS_PYTHON, "-m", "imagekit", "build"]
        system = recipe(user.home / "os", "os", DEBIAN)
        shutil.copytree(hello, user.home / "hello")
        user.give(user.home)

        refused = user.run([*words, str(system)], {})
        assert (refused.returncode, "usermod --add-subuids" in refused.stderr) == (6, True)
        assert "error[HOST]: subuids" in refused.stderr
        assert NONE not in refused.stderr
        built = user.run([*words, str(user.home / "hello")], {})
        assert (built.returncode, "subuids" in built.stderr) == (0, False), built.stderr


def test_a_host_that_only_verifies_is_good_for_that(tmp_path: Path) -> None:
    """It has neither Buildah nor Podman; for all else it is told what it lacks."""
    path = _path_without(tmp_path / "bin", "buildah", "podman", "runc", "mmdebstrap", "mksquashfs")

    assert imagekit(tmp_path, "doctor", "--for", "verify", PATH=path).returncode == 0
    assert imagekit(tmp_path, "doctor", "--for", "run", PATH=path).returncode == 6
