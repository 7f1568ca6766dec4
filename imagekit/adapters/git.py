"""What git knows of a recipe's folder: when it was last changed."""

from pathlib import Path

from imagekit.adapters.process import Runner, which
from imagekit.errors import ToolError


def commit_time(runner: Runner, folder: Path) -> int | None:
    """Return the time of the last commit that touches the folder, in seconds since 1970.

    None where there is no git, no repository, no such commit, or where the folder differs from it.

    Raises:
        ToolTimeoutError: git did not answer.
    """
    if which("git") is None:
        return None
    # The repository may belong to another user: only its history is read, and no hook is run.
    git = ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(folder)]
    changed = _ask(runner, [*git, "status", "--porcelain", "--ignored=no", "--", "."])
    if changed != "":
        return None
    text = _ask(runner, [*git, "log", "-1", "--format=%ct", "--", "."])
    return int(text) if text and text.isdigit() else None


def _ask(runner: Runner, argv: list[str]) -> str | None:
    try:
        outcome = runner.run(argv, limit=30.0, check=False)
    except ToolError:
        return None
    return outcome.stdout.strip() if outcome.status == 0 else None
