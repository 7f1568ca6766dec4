"""A minimal Debian, bootstrapped once for all the homes that build on it."""

import shutil
import subprocess
from pathlib import Path

from tests.support.command import DATE, at_home, command, recipe

PLAIN = "base: {bootstrap: {distribution: debian, suite: bookworm}}\n"
_KEPT = (".cache/imagekit/layers", ".local/share/imagekit/images")


def bootstrap(base: Path, home: Path) -> None:
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


def give(source: Path, home: Path) -> None:
    """Put what was bootstrapped in one home where the builds of another find it.

    Builds that say another time than ``DATE`` (SOURCE_DATE_EPOCH) make their own.
    """
    for name in _KEPT:
        shutil.copytree(source / name, home / name)
