"""What git says was changed since a revision: also what nobody committed, and what it cannot see.

Two trees are compared, that of the revision and the files as they lie there now, so that nothing
hangs on which commits led from one to the other. What could hide a change counts as changed: files
that git was told not to look at, files that it ignores, and submodules, whose content it does not
have.
"""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from imagekit.errors import RecipeError
from imagekit.process import Runner
from imagekit.recipe.git import Git, git_of, is_shallow

_LONGEST_REVISION = 500
_HASHES = frozenset({40, 64})
_AS_IT_IS = (
    # Names that are no plain ASCII are quoted as in C, so that each is one line.
    "core.quotePath=true",
    # What of a repository's settings hides a change of mode, link, line end or time.
    "core.fileMode=true",
    "core.symlinks=true",
    "core.autocrlf=false",
    "core.ignoreCase=false",
    "core.ignoreStat=false",
    "core.checkStat=default",
    "core.trustctime=true",
    "core.untrackedCache=false",
)
_SUBMODULE = "160000"


class ChangedPaths(Struct, frozen=True, kw_only=True):
    """What may differ from a revision, in one repository."""

    top: Path
    """The folder of its work tree."""
    paths: frozenset[Path] = frozenset()
    """Files and folders of which that is known, or cannot be known otherwise."""
    unsure: str = ""
    """Why nothing is known; all counts as changed then."""


def changed_paths(
    folder: Path, revision: str, owners: Collection[int], *, runner: Runner
) -> ChangedPaths:
    """Return what may differ from a revision in the repository that a folder lies in.

    Args:
        folder: the folder.
        revision: as git names commits: a hash, a branch, a tag, ``HEAD~3``.
        owners: the users whose repositories are asked; git runs what a repository's settings say.
        runner: runs git.

    Raises:
        RecipeError: the folder is in no repository, the repository is somebody else's, or has no
            such revision.
        ToolTimeoutError: git did not answer.
    """
    git = git_of(runner, folder, owners, unknown=_unknown)
    if git is None:
        raise _unknown(folder, "it is in no repository of git")
    if Path(git.ask("rev-parse", "--show-toplevel")) != git.top:
        raise _unknown(folder, "the settings of its repository name another work tree")
    commit = _commit(git, revision)
    if commit is None:
        why = f"the clone is shallow, and {revision} is not in it"
        return ChangedPaths(top=git.top, unsure=why)
    names = (*_different(git, commit), *_unseen(git), *_submodules(git, commit))
    return ChangedPaths(top=git.top, paths=frozenset(git.top / name for name in names))


def _commit(git: Git, revision: str) -> str | None:
    """Return the hash of a revision; None where only a shallow clone has no such one."""
    fits = 0 < len(revision) <= _LONGEST_REVISION and revision.isprintable()
    if fits and not revision.startswith("-"):
        try:
            found = git.ask("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        except RecipeError:
            found = ""
        if len(found) in _HASHES:
            return found
        if is_shallow(git):
            return None
    raise RecipeError(
        f"{git.top} has no revision {revision[:80]!r}",
        hint="name a commit, a branch or a tag that was fetched: git log --oneline",
        code="recipe/unknown-revision",
    )


def _different(git: Git, commit: str) -> Iterator[str]:
    """Yield the tracked files that differ."""
    plain = ("--no-ext-diff", "--no-textconv", "--no-renames", "--no-relative")
    yield from _named(
        _listed(git, "diff", "--name-only", *plain, "--ignore-submodules=all", commit, "--")
    )


def _unseen(git: Git) -> Iterator[str]:
    """Yield what git does not follow, or was told not to look at."""
    yield from _named(
        _listed(git, "ls-files", "--others", "--directory", "--full-name", "--", ":/")
    )
    for line in _listed(git, "ls-files", "-v", "--full-name", "--", ":/"):
        mark, _, name = line.partition(" ")
        # git-ls-files(1): in lower case where its changes are assumed away, S where it is sparse.
        if mark != "H":
            yield from _named([name])


def _submodules(git: Git, commit: str) -> Iterator[str]:
    """Yield the submodules of now and then."""
    now = _listed(git, "ls-files", "--stage", "--full-name", "--", ":/")
    then = _listed(git, "ls-tree", "-r", "--full-tree", commit)
    for line in (*now, *then):
        facts, _, name = line.partition("\t")
        if facts.startswith(_SUBMODULE):
            yield from _named([name])


def _listed(git: Git, *words: str) -> list[str]:
    settings = [word for setting in _AS_IT_IS for word in ("-c", setting)]
    return git.lines(*settings, *words)


def _named(names: Iterable[str]) -> Iterator[str]:
    """Yield names as they are, of which git quotes some."""
    for name in names:
        if name.startswith('"') and name.endswith('"'):
            raw = name[1:-1].encode("ascii").decode("unicode_escape").encode("latin-1")
            yield raw.decode("utf-8", "surrogateescape")
        else:
            yield name


def _unknown(folder: Path, why: str) -> RecipeError:
    return RecipeError(
        f"{folder}: what was changed since a revision is not known: {why}",
        hint="leave --changed-since out",
        code="recipe/no-changes",
    )
