"""The time of a recipe's last commit, and when it is not to be told."""

import os
from pathlib import Path

import pytest

from imagekit.errors import RecipeError
from imagekit.process import Runner
from imagekit.recipe.git import commit_time, file_at
from tests.support.repositories import commit, git

ME = {os.geteuid()}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A recipe that was changed once, before other files were."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    commit(folder, "before", 1_600_000_000)
    commit(folder, "recipe/recipe.yaml", 1_700_000_000)
    commit(folder, "behind", 1_800_000_000)
    return folder


def clone(repository: Path, *words: str) -> Path:
    """Return a clone of a repository."""
    folder = repository.parent / "clone"
    git(repository, "clone", "-q", *words, f"file://{repository}", str(folder))
    return folder


def time_of(folder: Path) -> int | None:
    """Return the time of the recipe."""
    return commit_time(Runner(), folder / "recipe", ME)


def test_the_last_commit_of_the_folder(repository: Path) -> None:
    """Commits of other files do not count; a changed folder has no time."""
    assert time_of(repository) == 1_700_000_000
    (repository / "recipe/new").touch()
    assert time_of(repository) is None


def test_no_repository_is_no_time(tmp_path: Path) -> None:
    """Neither without ``.git``, nor with an empty one."""
    (tmp_path / "recipe").mkdir()
    assert time_of(tmp_path) is None
    (tmp_path / ".git").mkdir()
    assert time_of(tmp_path) is None


def test_the_end_of_a_shallow_clone_is_no_time(repository: Path) -> None:
    """The last commit that was fetched seems to have made every file: its time is another one."""
    folder = clone(repository, "--depth", "1")

    with pytest.raises(RecipeError, match="the clone is shallow") as caught:
        time_of(folder)

    for remedy in ("--fetch-depth 0", "`date`", "SOURCE_DATE_EPOCH"):
        assert remedy in caught.value.hint
    git(folder, "fetch", "-q", "--unshallow")
    assert time_of(folder) == 1_700_000_000


def test_what_a_shallow_clone_has_is_told(repository: Path) -> None:
    """A commit whose parents were fetched is what it is in the whole repository."""
    commit(repository, "recipe/more", 1_900_000_000)
    commit(repository, "last", 1_900_000_001)

    assert time_of(clone(repository, "--depth", "3")) == 1_900_000_000


def test_a_worktree_of_a_shallow_clone_is_shallow(repository: Path) -> None:
    """What was cut off is written in the repository that the worktree belongs to."""
    folder = clone(repository, "--depth", "1")
    git(folder, "worktree", "add", "-q", str(folder.parent / "tree"))

    with pytest.raises(RecipeError, match="the clone is shallow"):
        time_of(folder.parent / "tree")


@pytest.mark.parametrize("way", ["replace", "info"])
def test_a_graft_is_no_history(repository: Path, way: str) -> None:
    """Neither a replacement nor a graft lets another commit be the last."""
    head = git(repository, "rev-parse", "HEAD").strip()
    if way == "replace":
        git(repository, "replace", "--graft", head)
    else:
        (repository / ".git/info/grafts").write_text(f"{head}\n")

    assert time_of(repository) == 1_700_000_000


def test_the_environment_chooses_no_other_repository(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook of git sets GIT_DIR, a user's settings follow renames or show signatures."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    (Path(os.environ["HOME"]) / ".gitconfig").write_text(
        "[log]\nshowSignature = true\nfollow = true\n[status]\nshowUntrackedFiles = no\n"
    )
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))

    assert time_of(repository) == 1_700_000_000
    (repository / "recipe/new").touch()
    assert time_of(repository) is None


def test_somebody_elses_repository_is_not_asked(repository: Path, tmp_path: Path) -> None:
    """Its settings name programs: they are not run, and there is no time."""
    git(repository, "config", "filter.x.clean", f"touch {tmp_path}/ran; cat")
    (repository / ".git/info/attributes").write_text("* filter=x\n")
    os.utime(repository / "recipe/recipe.yaml", (1, 1))

    with pytest.raises(RecipeError, match="belongs to somebody else"):
        commit_time(Runner(), repository / "recipe", {os.geteuid() + 1})

    assert not (tmp_path / "ran").exists()


def test_a_repository_that_cannot_be_read_is_an_error(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not become another time in silence; nor does a host without git."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RecipeError, match="git is not installed"):
        time_of(repository)
    monkeypatch.undo()
    (repository / ".git/HEAD").write_text("nothing\n")
    with pytest.raises(RecipeError, match="last changed is not known"):
        time_of(repository)


def test_settings_of_the_repository_run_no_program(repository: Path, tmp_path: Path) -> None:
    """Planning a recipe that was unpacked with its ``.git`` runs nothing of it."""
    run = f"touch {tmp_path}/ran; cat"
    for setting in ("core.fsmonitor", "filter.x.clean", "filter.x.process", "core.sshCommand"):
        git(repository, "config", setting, run)
    (repository / ".git/info/attributes").write_text("* filter=x\n")
    (repository / ".git/hooks/post-index-change").write_text(f"#!/bin/sh\n{run}\n")
    (repository / ".git/hooks/post-index-change").chmod(0o755)
    os.utime(repository / "recipe/recipe.yaml", (1, 1))

    with pytest.raises(RecipeError, match=r"name a program: filter\.x\."):
        time_of(repository)
    git(repository, "config", "--remove-section", "filter.x")
    assert time_of(repository) == 1_700_000_000

    assert not (tmp_path / "ran").exists()


def test_what_a_partial_clone_left_out_is_not_fetched(repository: Path, tmp_path: Path) -> None:
    """The repository says by which program; none is run."""
    tree = git(repository, "rev-parse", "HEAD^^{tree}").strip()
    for setting, value in (
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", f"ext::sh -c touch% {tmp_path}/ran"),
        ("protocol.ext.allow", "always"),
    ):
        git(repository, "config", setting, value)
    (repository / ".git/objects" / tree[:2] / tree[2:]).unlink()

    with pytest.raises(RecipeError, match="last changed is not known"):
        time_of(repository)

    assert not (tmp_path / "ran").exists()


def test_a_lock_changes_no_time(repository: Path) -> None:
    """It is made of the recipe: neither one that is new nor one that was committed counts."""
    (repository / "recipe/recipe.lock").write_text("{}")
    assert time_of(repository) == 1_700_000_000
    commit(repository, "recipe/recipe.lock", 1_900_000_000)

    assert time_of(repository) == 1_700_000_000


def lock_at(folder: Path, revision: str, *, limit: int = 100) -> bytes | None:
    """Return what the lock was."""
    return file_at(Runner(), folder / "recipe/recipe.lock", revision, owners=ME, limit=limit)


def test_a_file_is_read_as_a_revision_has_it(repository: Path) -> None:
    """Or told to be not there."""
    commit(repository, "recipe/recipe.lock", 1_900_000_000)
    (repository / "recipe/recipe.lock").write_text("new")

    assert lock_at(repository, "HEAD") == b"1900000000\n"
    assert lock_at(repository, "HEAD~1") is None


@pytest.mark.parametrize("revision", ["nothing", "--output=x", "-1", "HEAD:recipe", ""])
def test_what_is_no_revision_is_refused(repository: Path, revision: str) -> None:
    """It never becomes an option."""
    with pytest.raises(RecipeError) as caught:
        lock_at(repository, revision)

    assert caught.value.code == "recipe/no-revision"


def test_a_file_that_is_too_long_is_not_read(repository: Path) -> None:
    """A repository is anybody's."""
    commit(repository, "recipe/recipe.lock", 1_900_000_000)

    with pytest.raises(RecipeError, match="longer than 5 bytes"):
        lock_at(repository, "HEAD", limit=5)


def test_the_programs_of_a_repository_do_not_run_for_an_old_file(
    repository: Path, tmp_path: Path
) -> None:
    """A converter that its attributes name would see every file that git shows."""
    commit(repository, "recipe/recipe.lock", 1_900_000_000)
    (repository / ".gitattributes").write_text("*.lock diff=lock\n")
    git(repository, "config", "diff.lock.textconv", f"touch {tmp_path}/ran; cat")

    assert lock_at(repository, "HEAD") == b"1900000000\n"
    assert not (tmp_path / "ran").exists()
