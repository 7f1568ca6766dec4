"""Asking git about a recipe's folder: when it was last changed, and what a file in it was."""

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from imagekit.documents.digits import decimal
from imagekit.errors import RecipeError
from imagekit.inputs import read_regular
from imagekit.process import Outcome, Runner, Stream, which

_MAX_SHALLOW = 64 << 20
MAX_TIME = 253402300799
"""The end of the year 9999: what dates can be written of."""
_REMEDY = "set `date` in the recipe, or SOURCE_DATE_EPOCH"
_LIMIT = 30.0
_DIGITS = 12
_MOST_LINES = 1_000_000
_RECIPE = (".", ":(exclude,glob)**/recipe.lock")
"""What is the recipe: a lock is made of it, and when it was committed must not change its time."""


Unknown = Callable[[Path, str], RecipeError]
"""Returns the error for what cannot be known of a folder, by the folder and why."""


class Git(Struct, frozen=True):
    """Asks git about one folder; nothing that it runs is another program."""

    runner: Runner
    folder: Path
    top: Path
    """The folder of the repository's work tree."""
    unknown: Unknown

    def ask(self, *words: str) -> str:
        """Return the output of git.

        Raises:
            RecipeError: it fails.
            ToolTimeoutError: it does not answer.
        """
        return self._checked(self.runner.run(self._argv(words), limit=_LIMIT, check=False)).strip()

    def lines(self, *words: str) -> list[str]:
        """Return the lines of git's output, all of them: more than are kept of other output.

        Raises:
            RecipeError: it fails.
            ToolTimeoutError: it does not answer.
        """
        lines: list[str] = []

        def take(stream: Stream, line: str) -> None:
            if len(lines) == _MOST_LINES:
                raise self.unknown(self.folder, f"git lists more than {_MOST_LINES} names")
            if stream == "stdout":
                lines.append(line)

        self._checked(self.runner.stream(self._argv(words), on_line=take, limit=_LIMIT))
        return lines

    def _argv(self, words: Sequence[str]) -> list[str]:
        # Whose repository it is was looked at. The user's own settings choose no commit.
        own = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false")
        return ["git", *own, "-C", str(self.folder), *words]

    def _checked(self, outcome: Outcome) -> str:
        if outcome.status != 0:
            lines = outcome.stderr.splitlines() or outcome.stdout.splitlines()
            said = lines[-1][:200] if lines else outcome.status
            raise self.unknown(self.folder, f"git says: {said}")
        return outcome.stdout


def commit_time(runner: Runner, folder: Path, owners: Collection[int]) -> int | None:
    """Return the time of the last commit that touches the folder, in seconds since 1970.

    None where there is no repository, or where the folder differs from its last commit.

    Args:
        runner: runs git.
        folder: the recipe's folder.
        owners: the users whose repositories are asked; git runs what a repository's settings say.

    Raises:
        RecipeError: the time is not to be had: of a repository that was cut off by a shallow
            clone, of somebody else's, or without git.
        ToolTimeoutError: git did not answer.
    """
    git = git_of(runner, folder, owners, unknown=_unknown)
    if git is None:
        return None
    words = ("status", "--porcelain", "--untracked-files=all", "--ignore-submodules=dirty")
    if git.ask(*words, "--", *_RECIPE) != "":
        return None
    return _last_commit(git)


def git_of(
    runner: Runner, folder: Path, owners: Collection[int], *, unknown: Unknown
) -> Git | None:
    """Return what asks git about a folder; None where it lies in no repository.

    Args:
        runner: runs git.
        folder: the folder.
        owners: the users whose repositories are asked; git runs what a repository's settings say.
        unknown: returns the error where git cannot be asked, or does not answer.

    Raises:
        RecipeError: the repository is somebody else's, or its settings name a program.
        ToolTimeoutError: git did not answer.
    """
    folder = folder.resolve()
    entry = _entry(folder)
    if entry is None:
        return None
    if which("git") is None:
        raise unknown(folder, "git is not installed")
    git = Git(replace(runner, env=_environment(runner)), folder, entry.parent, unknown)
    _check_owners(git, entry, owners)
    _check_programs(git)
    return git


def file_at(
    runner: Runner, file: Path, revision: str, *, owners: Collection[int], limit: int
) -> bytes | None:
    """Return what a file was in a revision; None where the revision does not have it.

    Args:
        runner: runs git.
        file: a text file in a recipe's folder.
        revision: as git names commits (gitrevisions(7)).
        owners: the users whose repositories are asked.
        limit: how many bytes it may have.

    Raises:
        RecipeError: there is no repository, or no such revision, or the file is too long.
        ToolTimeoutError: git did not answer.
    """

    def unknown(folder: Path, why: str) -> RecipeError:
        return RecipeError(
            f"{folder}: {file.name} of the revision {revision[:60]!r} is not to be had: {why}",
            hint="name a commit of the repository that the recipe lies in, such as HEAD~1",
            code="recipe/no-revision",
        )

    git = git_of(runner, file.parent, owners, unknown=unknown)
    if git is None:
        raise unknown(file.parent, "the folder is in no git repository")
    if revision.startswith("-"):
        raise unknown(git.folder, "no revision begins with a dash")
    commit = git.ask("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not git.ask("ls-tree", commit, "--", file.name):
        return None
    # NOTE: cat-file, and not show, which runs programs that a repository's attributes name.
    name = f"{commit}:./{file.name}"
    size = decimal(git.ask("cat-file", "-s", name), most=_DIGITS)
    if size is None or size > limit:
        raise unknown(git.folder, f"it is longer than {limit} bytes")
    return f"{git.ask('cat-file', 'blob', name)}\n".encode()


def is_shallow(git: Git) -> bool:
    """Return whether the repository's history was cut off."""
    return git.ask("rev-parse", "--is-shallow-repository") != "false"


def _last_commit(git: Git) -> int | None:
    words = git.ask("rev-list", "--max-count=1", "--format=%ct", "HEAD", "--", *_RECIPE).split()
    if not words:
        return None
    if words[1] in _cut_off(git):
        raise RecipeError(
            f"{git.folder}: the clone is shallow, so when the recipe was changed is not known",
            hint=f"fetch the whole history (--fetch-depth 0, git fetch --unshallow), {_REMEDY}",
            code="recipe/no-date",
        )
    seconds = decimal(words[-1], most=_DIGITS)
    if seconds is None or seconds > MAX_TIME:
        raise _unknown(git.folder, f"the commit has no time that can be written: {words[-1][:40]}")
    return seconds


def _cut_off(git: Git) -> frozenset[str]:
    """Return the commits whose parents a shallow clone left out: they seem to change all files."""
    if not is_shallow(git):
        return frozenset()
    path = git.folder / git.ask("rev-parse", "--git-path", "shallow")
    try:
        return frozenset(read_regular(path, limit=_MAX_SHALLOW).decode("ascii").split())
    except (OSError, ValueError) as error:
        raise _unknown(git.folder, f"{path} cannot be read") from error


def _check_owners(git: Git, entry: Path, owners: Collection[int]) -> None:
    """Require the repository to be of these users: its settings name programs that git runs."""
    folders = git.ask("rev-parse", "--absolute-git-dir", "--git-common-dir").splitlines()
    for path in (entry, *(git.folder / name for name in folders)):
        if path.lstat().st_uid not in owners:
            raise git.unknown(git.folder, f"the repository {path} belongs to somebody else")


def _check_programs(git: Git) -> None:
    """Require the repository's own settings to name no program that reading its files would run.

    They come along where a folder with its ``.git`` is unpacked; what the user sets is the user's.
    """
    for line in git.ask("config", "--list", "--show-scope", "--name-only").splitlines():
        scope, _, name = line.partition("\t")
        if scope not in {"system", "global", "command"} and name.startswith("filter."):
            raise git.unknown(git.folder, f"the settings of its repository name a program: {name}")


def _environment(runner: Runner) -> dict[str, str]:
    """Return the environment without what chooses another repository, commit or file."""
    own = os.environ if runner.env is None else runner.env
    kept = {name: value for name, value in own.items() if not name.startswith("GIT_")}
    # Grafts and replacements are not history: without them git sees the commits as they are.
    return {
        **kept,
        "GIT_GRAFT_FILE": os.devnull,
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        # A clone that left objects out would fetch them, by a program that its settings name.
        "GIT_ALLOW_PROTOCOL": "none",
    }


def _entry(folder: Path) -> Path | None:
    """Return the ``.git`` of the repository that the folder lies in."""
    for ancestor in (folder, *folder.parents):
        entry = ancestor / ".git"
        if entry.is_file() or (entry / "HEAD").exists():
            return entry
    return None


def _unknown(folder: Path, why: str) -> RecipeError:
    return RecipeError(
        f"{folder}: when the recipe was last changed is not known: {why}",
        hint=_REMEDY,
        code="recipe/no-date",
    )
