"""Repositories of git for tests."""

import os
import subprocess
from pathlib import Path


def git(folder: Path, *words: str, date: int = 0) -> str:
    """Run git in a folder; a commit has this time."""
    env = {**os.environ, "GIT_COMMITTER_DATE": f"@{date} +0000"}
    argv = ["git", "-c", "protocol.file.allow=always", "-C", str(folder), *words]
    return subprocess.run(argv, env=env, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, path: str, date: int) -> None:
    """Change a file and commit it."""
    (folder / path).parent.mkdir(exist_ok=True, parents=True)
    (folder / path).write_text(str(date))
    git(folder, "add", ".")
    git(folder, "commit", "-qm", path, date=date)


def commit_all(folder: Path, date: int) -> None:
    """Commit everything, as nobody in particular."""
    names = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    git(folder, "add", ".")
    git(folder, *names, "commit", "-qm", "all", date=date)
