"""``imagekit graph``: what recipes stand on, in every format."""

import json
from pathlib import Path

import pytest

from imagekit.cli.main import main
from tests.support.repositories import commit, git

_RECIPE = 'schema: 1\nname: {name}\nversion: "1"\nbase: {base}\n'


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three recipes, each on the one before; it is the working folder."""
    root = tmp_path / "recipes"
    for name, base in (("a/top", "middle"), ("base", ""), ("middle", "base")):
        (root / name).mkdir(parents=True)
        below = f"{{recipe: {base}}}" if base else "scratch"
        (root / name / "recipe.yaml").write_text(_RECIPE.format(name=name, base=below))
    (root / "imagekit.toml").touch()
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that has all programs that there are."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.usefixtures("tree")
def test_text_has_a_line_for_each_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """With its level, and what it stands on."""
    assert main(["graph"]) == 0

    assert capsys.readouterr().out == "1  base 1\n2  middle 1  on base\n3  a/top 1  on middle\n"


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("how", ["--json", "--format=json"])
def test_the_document_has_levels_and_paths(capsys: pytest.CaptureFixture[str], how: str) -> None:
    """What a workflow needs to build level by level."""
    assert main(["graph", how]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["levels"] == [["base"], ["middle"], ["a/top"]]
    top = document["recipes"][0]
    assert (top["name"], top["path"], top["recipe"]) == ("a/top", "a/top", "a/top/recipe.yaml")
    assert (top["level"], top["bases"], top["why"]) == (3, ["middle"], "")


@pytest.mark.usefixtures("tree")
def test_dot_has_nodes_and_edges(capsys: pytest.CaptureFixture[str]) -> None:
    """From what is needed to what needs it."""
    assert main(["graph", "--format", "dot"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "digraph recipes {"
    assert '  "a/top" [label="a/top 1"];' in lines
    assert '  "middle" -> "a/top";' in lines
    assert lines[-1] == "}"


def test_labels_are_quoted(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A version may hold what would end a label, or begin an escape in it."""
    file = tree / "base/recipe.yaml"
    file.write_text(file.read_text().replace('"1"', "'1.0'"))
    from imagekit.graph.draw import _quoted

    assert main(["graph", "base", "--format", "dot"]) == 0
    assert '[label="base 1.0"]' in capsys.readouterr().out
    assert _quoted('a"b\\N') == '"a\\"b\\\\N"'


@pytest.mark.usefixtures("tree")
def test_without_graphviz_its_package_is_named(
    programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what can be done without it."""
    del programs
    assert main(["graph", "--format", "svg"]) == 6

    told = capsys.readouterr().err
    assert "apt-get install graphviz" in told
    assert "--format dot" in told


@pytest.mark.usefixtures("tree")
def test_graphviz_draws_svg(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It gets the graph on its standard input."""
    program = programs / "dot"
    program.write_text('#!/bin/sh\nread -r line\necho "<svg>$1 $line</svg>"\n')
    program.chmod(0o755)

    assert main(["graph", "--format", "svg"]) == 0

    assert capsys.readouterr().out == "<svg>-Tsvg digraph recipes {</svg>\n"


def test_what_changed_is_shown_with_the_reason(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing else; that nothing changed is no error."""
    git(tree, "init", "-q")
    commit(tree, "README", 1_700_000_000)
    assert main(["graph", "--changed-since", "HEAD"]) == 0
    assert capsys.readouterr().out == ""
    (tree / "middle/file").touch()

    assert main(["graph", "--changed-since", "HEAD"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "1  middle 1  on base  (middle/file differs)",
        "2  a/top 1  on middle  (it stands on middle)",
    ]
    assert main(["graph", "--changed-since", "nowhere"]) == 2


@pytest.mark.usefixtures("tree")
def test_bases_are_shown_where_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """As publish takes them."""
    assert main(["graph", "middle"]) == 0
    assert capsys.readouterr().out == "1  middle 1  on base\n"

    assert main(["graph", "middle", "--with-bases"]) == 0
    assert capsys.readouterr().out == "1  base 1\n2  middle 1  on base\n"
