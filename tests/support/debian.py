"""The project's Debian base, bootstrapped once for all the homes that build on it."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from tests.support.command import DATE, at_home, command, recipe

SHARED = "IMAGEKIT_TEST_BASES"
"""Names the folder that environments of tox share, as scripts/test makes it for one run."""
PLAIN = "base: {bootstrap: {distribution: debian, suite: bookworm}}\n"
_KEPT = (".cache/imagekit/layers", ".local/share/imagekit/images")


def give_debian(home: Path, *, base: Path, folder: Path, work: Path) -> None:
    """Put the layer of a minimal bookworm where the builds of a home find it.

    Builds that say another time than ``DATE`` (SOURCE_DATE_EPOCH) make their own.

    Args:
        home: the HOME; it has no images yet.
        base: the folder of its recipe.
        folder: where the first caller leaves it for the others, each user for itself.
        work: a folder for the build of the first.
    """
    own = folder / str(os.geteuid())
    own.mkdir(parents=True, exist_ok=True)
    with (own / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (own / "home").is_dir():
            shutil.rmtree(own / "new", ignore_errors=True)
            _bootstrap(base, work)
            _copy(work, own / "new")
            (own / "new").rename(own / "home")
    _copy(own / "home", home)


def _bootstrap(base: Path, home: Path) -> None:
    """Build the project's base, and one without a lock, which is the same layer if it has none."""
    for folder in (base, recipe(home / "plain", "plain", PLAIN)):
        built = subprocess.run(
            command("build", str(folder), "--no-test"),
            env=at_home(home, SOURCE_DATE_EPOCH=DATE),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert built.returncode == 0, built.stderr


def _copy(source: Path, target: Path) -> None:
    for name in _KEPT:
        shutil.copytree(source / name, target / name)
