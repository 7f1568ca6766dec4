"""Repositories of git for tests."""

import os
import subprocess
from pathlib import Path


def git(folder: Path, *words: str, date: int = 0) -> str:
    """Run git in a folder, as nobody in particular; a commit has this time."""
    env = {**os.environ, "GIT_COMMITTER_DATE": f"@{date} +0000"}
    for role in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{role}_NAME": "x", f"GIT_{role}_EMAIL": "x@example.org"}
    argv = ["git", "-c", "protocol.file.allow=always", "-C", str(folder), *words]
    return subprocess.run(argv, env=env, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, path: str, date: int) -> None:
    """Change a file and commit it."""
    (folder / path).parent.mkdir(exist_ok=True, parents=True)
    (folder / path).write_text(str(date))
    commit_all(folder, date)


def commit_all(folder: Path, date: int) -> None:
    """Commit everything."""
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "all", date=date)
