"""``imagekit new``: every template lints clean, and nothing that is there is touched."""

import compileall
import json
import os
import shutil
from pathlib import Path

import pytest

from imagekit.cli.main import main
from imagekit.recipe import Recipes, new_recipe
from imagekit.recipe.lint import lint
from imagekit.recipe.new_recipe import TEMPLATES


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, that is in no tree of recipes."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_an_installation_compiled_is_no_file_of_a_recipe(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pip compiles templates in Python as it does all of a package."""
    templates = site / "templates"
    shutil.copytree(Path(new_recipe.__file__).with_name("templates"), templates)
    assert compileall.compile_dir(templates, quiet=1)
    monkeypatch.setattr(new_recipe, "_FOLDER", templates)

    assert main(["new", "report", "--from", "python"]) == 0
    assert list((site / "report").rglob("*.pyc")) == []


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("name", ["hello", "apps/a_b.c-d", "2048", "null"])
def test_every_template_lints_clean(site: Path, template: str, name: str) -> None:
    """Not a remark either; and it has a test, whatever its name is to YAML."""
    before = os.umask(0o002)
    try:
        assert main(["new", name, "--from", template]) == 0
    finally:
        os.umask(before)

    assert lint([site / name]).diagnostics == ()
    recipes = Recipes()
    recipe = recipes.load(site / name)
    assert recipe.name == name
    assert recipe.tests
    assert all(one.tests for one in recipes.with_bases(recipe))
    assert "@" not in (site / name / "recipe.yaml").read_text().replace("@sha256", "")


def test_without_a_template_it_is_minimal(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder is the result, what to do next is not."""
    assert main(["new", "hello"]) == 0

    out, err = capsys.readouterr()
    assert out == "hello\n"
    assert "imagekit build hello" in err
    assert [path.name for path in (site / "hello").iterdir()] == ["recipe.yaml"]


@pytest.mark.parametrize("there", ["folder", "full", "file", "link"])
def test_what_is_there_stays(site: Path, there: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder, even an empty one, a file, and a link that leads nowhere."""
    place = site / "hello"
    if there == "link":
        place.symlink_to("nowhere")
    elif there == "file":
        place.write_text("mine")
    else:
        place.mkdir()
    if there == "full":
        (place / "recipe.yaml").write_text("mine")
    before = sorted(site.rglob("*"))

    assert main(["new", "hello", "--from", "mpi"]) == 2

    assert "is there already" in capsys.readouterr().err
    assert sorted(site.rglob("*")) == before
    if there == "full":
        assert (place / "recipe.yaml").read_text() == "mine"


@pytest.mark.parametrize("name", ["Hello", "../x", "/x", "a b", "", "x" * 201])
def test_a_name_is_that_of_a_recipe(site: Path, name: str) -> None:
    """It leads to no other folder."""
    assert main(["new", name, "--to", "x"]) == 2
    assert list(site.iterdir()) == []


def test_an_unknown_template_is_wrong_usage(site: Path) -> None:
    """What there is stands in the message."""
    assert main(["new", "hello", "--from", "perl"]) == 64
    assert list(site.iterdir()) == []


def test_a_dry_run_prints_the_files(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And makes none."""
    assert main(["new", "hello", "--from", "mpi", "--to", "at/here", "--dry-run"]) == 0

    out = capsys.readouterr().out
    assert "==> at/here/main.c <==" in out
    assert "MPI_Init" in out
    assert list(site.iterdir()) == []


@pytest.mark.parametrize("words", [[], ["--dry-run"]])
def test_json_has_every_file(
    site: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With its text, and whether it was written."""
    assert main(["new", "hello", "--from", "binary", "--json", *words]) == 0

    document = json.loads(capsys.readouterr().out)
    files = {file["path"]: file["text"] for file in document.pop("files")}
    assert document == {
        "schema": 1,
        "name": "hello",
        "template": "binary",
        "folder": "hello",
        "written": not words,
    }
    assert sorted(files) == ["program", "recipe.yaml"]
    for name, text in files.items():
        if not words:
            assert (site / "hello" / name).read_text() == text


def test_programs_can_be_executed(site: Path) -> None:
    """And nobody else can write them, whatever the umask is."""
    main(["new", "a", "--from", "binary"])
    main(["new", "b", "--from", "python"])

    assert (site / "a/program").stat().st_mode & 0o777 == 0o755
    assert (site / "b/main.py").stat().st_mode & 0o777 == 0o755
    assert (site / "a/recipe.yaml").stat().st_mode & 0o777 == 0o644


def test_a_tree_that_is_there_keeps_its_marker(site: Path) -> None:
    """Only outside of any is one made, so that the recipe beside it is found."""
    main(["new", "alone", "--from", "containerfile"])
    (site / "recipes").mkdir()
    (site / "recipes/imagekit.toml").touch()
    main(["new", "inside", "--from", "containerfile", "--to", "recipes/a/inside"])

    assert (site / "alone/imagekit.toml").is_file()
    assert not (site / "recipes/a/inside/imagekit.toml").exists()
    recipes = Recipes()
    inside = recipes.load(site / "recipes/a/inside")
    assert [one.name for one in recipes.with_bases(inside)] == ["inside-base", "inside"]


def test_a_folder_that_cannot_be_made_is_told(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the system's reason."""
    (site / "file").touch()

    assert main(["new", "hello", "--to", "file/hello"]) == 2

    assert "cannot make file/hello" in capsys.readouterr().err
