"""An ordinary user for tests of root: made for them, and removed with all that it has."""

import atexit
import functools
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USERS_PYTHON = "/usr/bin/python3"
"""What every user may run: that of the tests may lie where only root can read."""


@dataclass(frozen=True)
class OrdinaryUser:
    """A user without privileges, and a Python path that it can read."""

    name: str
    uid: int
    gid: int
    home: Path
    packages: Path

    def run(
        self, argv: Sequence[str], env: Mapping[str, str], *, seconds: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as this user, with nothing of this process's environment."""
        own = {
            "HOME": str(self.home),
            "USER": self.name,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self.packages),
        }
        return subprocess.run(
            argv,
            env=own | dict(env),
            cwd=self.home,
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def give(self, path: Path) -> None:
        """Make a file or folder, with all below it, this user's."""
        subprocess.run(["chown", "-R", f"{self.uid}:{self.gid}", str(path)], check=True)


@contextmanager
def ordinary_user(name: str, *, subordinate_ids: bool = True) -> Iterator[OrdinaryUser]:
    """Make a user; as root only.

    Args:
        name: what it is called.
        subordinate_ids: whether it has ids for user namespaces, as Debian's useradd gives.
    """
    more = [] if subordinate_ids else ["-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0"]
    _with_the_lock(["useradd", "--create-home", *more, name])
    entry = pwd.getpwnam(name)
    home = Path(entry.pw_dir)
    try:
        yield OrdinaryUser(name, entry.pw_uid, entry.pw_gid, home, _packages())
    finally:
        subprocess.run(["pkill", "-KILL", "-u", name], check=False)
        _with_the_lock(["userdel", "--remove", name])


def _with_the_lock(argv: Sequence[str]) -> None:
    """Change the host's users.

    Another test that does so at the same time is waited for, and so are processes of a user who was
    told to go: Podman leaves one, which ends a moment after it was killed.
    """
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    end = time.monotonic() + 30
    passing = ("cannot lock", "currently used")
    while any(word in done.stderr for word in passing) and time.monotonic() < end:
        time.sleep(0.5)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or argv[0] == "userdel", done.stderr


@functools.cache
def _packages() -> Path:
    """Return one copy for all users, in which what one of them compiled is there for the others."""
    folder = Path(tempfile.mkdtemp(prefix="imagekit-packages-", dir="/opt"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy_packages(folder)
    for place, _, _ in os.walk(folder):
        Path(place).chmod(0o1777)
    return folder


def copy_packages(target: Path) -> None:
    """Copy imagekit and what it needs to where the user can read it."""
    ignore = shutil.ignore_patterns(
        ".git", ".tox", "tests", "mypy*", "ruff*", "hypothesis*", "zizmor*"
    )
    for folder in dict.fromkeys(Path(entry) for entry in sys.path if entry):
        if (folder / "yaml").is_dir():
            shutil.copytree(folder, target, ignore=ignore, dirs_exist_ok=True, symlinks=True)
        if (folder / "imagekit").is_dir():
            shutil.copytree(
                folder / "imagekit", target / "imagekit", ignore=ignore, dirs_exist_ok=True
            )
