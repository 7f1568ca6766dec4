"""What differs from a revision: whatever could hide a change counts as one."""

import os
from pathlib import Path

import pytest

from imagekit.errors import RecipeError
from imagekit.process import Runner
from imagekit.recipe.changed_paths import ChangedPaths, changed_paths
from tests.support.repositories import commit, git

ME = {os.geteuid()}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two files, and a revision ``first`` that is all of it."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    commit(folder, "a/file", 1_600_000_000)
    commit(folder, "b/file", 1_700_000_000)
    git(folder, "tag", "first")
    return folder


def changed(folder: Path, revision: str = "first") -> ChangedPaths:
    """Return what differs, asked from a folder in the repository."""
    return changed_paths(folder / "a", revision, ME, runner=Runner())


def names(folder: Path) -> set[str]:
    """Return the names of what differs from the first revision."""
    found = changed(folder)
    assert found.unsure == ""
    return {path.relative_to(folder).as_posix() for path in found.paths}


def test_nothing_differs(repository: Path) -> None:
    """Also where a file was only touched."""
    os.utime(repository / "a/file")

    assert names(repository) == set()


def test_committed_staged_and_plain_changes_differ(repository: Path) -> None:
    """In the whole repository, wherever it is asked from."""
    commit(repository, "b/file", 1_800_000_000)
    (repository / "a/file").write_text("new")
    (repository / "staged").touch()
    git(repository, "add", "staged")
    (repository / "plain").touch()
    (repository / "empty").mkdir()

    assert names(repository) == {"a/file", "b/file", "staged", "plain", "empty"}


def test_what_was_undone_does_not_differ(repository: Path) -> None:
    """Two trees are compared, and no commits in between."""
    commit(repository, "a/file", 1_800_000_000)
    git(repository, "revert", "--no-edit", "HEAD")

    assert names(repository) == set()


def test_a_file_that_is_gone_differs(repository: Path) -> None:
    """By the name that it had; a renamed one by both."""
    git(repository, "mv", "b/file", "b/new")
    (repository / "a/file").unlink()

    assert names(repository) == {"a/file", "b/file", "b/new"}


def test_a_mode_that_settings_hide_differs(repository: Path) -> None:
    """The bit to execute is part of a recipe."""
    git(repository, "config", "core.fileMode", "false")
    (repository / "a/file").chmod(0o755)

    assert names(repository) == {"a/file"}


@pytest.mark.parametrize("how", ["--assume-unchanged", "--skip-worktree"])
def test_what_git_was_told_not_to_look_at_differs(repository: Path, how: str) -> None:
    """It may be anything."""
    git(repository, "update-index", how, "a/file")

    assert names(repository) == {"a/file"}


def test_what_git_ignores_differs(repository: Path) -> None:
    """It is part of a recipe all the same, and what it was at that revision nobody knows."""
    (repository / ".git/info/exclude").write_text("*.o\n")
    (repository / "a/x.o").touch()

    assert names(repository) == {"a/x.o"}


@pytest.mark.parametrize("name", ["ä ö.txt", 'quote"d', "tab\tbed", "back\\slash", "line\nfeed"])
def test_names_are_read_as_they_are(repository: Path, name: str) -> None:
    """Whatever git quotes, and whatever its settings say of that."""
    git(repository, "config", "core.quotePath", "false")
    (repository / "a" / name).touch()

    assert names(repository) == {f"a/{name}"}


def test_a_name_that_is_no_text_is_read(repository: Path) -> None:
    """As bytes that Python escapes."""
    name = os.fsdecode(b"a/\xff")
    (repository / name).touch()

    assert names(repository) == {name}


def test_a_submodule_differs(repository: Path) -> None:
    """What lies in it git does not tell."""
    other = repository.parent / "other"
    other.mkdir()
    git(other, "init", "-q")
    commit(other, "file", 1_700_000_000)
    git(repository, "submodule", "add", "-q", f"file://{other}", "b/module")
    git(repository, "commit", "-qm", "module")
    git(repository, "tag", "--force", "first")

    assert names(repository) == {"b/module"}
    git(repository, "rm", "-q", "b/module")
    assert "b/module" in names(repository)


@pytest.mark.parametrize(
    "revision", ["nowhere", "--output=x", "", "a\nb", "x" * 501, "first:a/file"]
)
def test_an_unknown_revision_is_refused(repository: Path, revision: str) -> None:
    """It never counts as one since which nothing was changed."""
    with pytest.raises(RecipeError) as caught:
        changed(repository, revision)

    assert caught.value.code == "recipe/unknown-revision"


def test_a_shallow_clone_without_the_revision_knows_nothing(repository: Path) -> None:
    """All counts as changed then; where it has the revision, the trees are compared."""
    commit(repository, "b/file", 1_800_000_000)
    clone = repository.parent / "clone"
    git(repository, "clone", "-q", "--depth", "1", f"file://{repository}", str(clone))

    assert "shallow" in changed(clone, "HEAD~1").unsure
    assert changed(clone, "HEAD") == ChangedPaths(top=clone)


def test_settings_that_name_another_work_tree_are_refused(repository: Path) -> None:
    """What differs there would be told as what differs here."""
    (repository.parent / "elsewhere").mkdir()
    git(repository, "config", "core.worktree", str(repository.parent / "elsewhere"))

    with pytest.raises(RecipeError) as caught:
        changed(repository)

    assert caught.value.code == "recipe/no-changes"


def test_settings_that_name_a_program_are_refused(repository: Path) -> None:
    """It would be run by reading files."""
    git(repository, "config", "filter.x.clean", "touch /tmp/never")

    with pytest.raises(RecipeError, match="name a program"):
        changed(repository)


def test_programs_that_show_differences_are_not_run(repository: Path) -> None:
    """Neither the repository's own, nor those that attributes choose."""
    ran = repository.parent / "ran"
    git(repository, "config", "diff.external", f"touch {ran};")
    git(repository, "config", "diff.x.command", f"touch {ran};")
    git(repository, "config", "diff.x.textconv", f"touch {ran};")
    (repository / ".git/info/attributes").write_text("* diff=x\n")
    (repository / "a/file").write_text("new")

    assert names(repository) == {"a/file"}
    assert not ran.exists()


def test_a_folder_in_no_repository_is_refused(tmp_path: Path) -> None:
    """With the way out."""
    (tmp_path / "a").mkdir()

    with pytest.raises(RecipeError, match="no repository") as caught:
        changed(tmp_path)

    assert "--changed-since" in caught.value.hint
