"""imagekit ci: what is written for which engine, and what is refused before anything is."""

import json
from pathlib import Path

import pytest

from imagekit.cli.main import main


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one recipe on another one."""
    for name, base in (("base", "scratch"), ("app", "{recipe: base}")):
        (tmp_path / "recipes" / name).mkdir(parents=True)
        text = f'schema: 1\nname: {name}\nversion: "1"\nbase: {base}\n'
        (tmp_path / "recipes" / name / "recipe.yaml").write_text(text)
    (tmp_path / "recipes/imagekit.toml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("verb", "more", "part"),
    [
        ("github", (), "imagekit publish --to r.org/a --keyless --json"),
        ("gitlab", ("--image", "r.org/i:1"), '"publish app":'),
        ("kubernetes", ("--image", "r.org/i:1", "--claim", "c"), '"completionMode": "Indexed"'),
    ],
)
def test_a_file_is_printed(
    recipes: Path, verb: str, more: tuple[str, ...], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing else, so that it can be redirected."""
    assert main(["ci", verb, "recipes", "--to", "r.org/a", *more]) == 0

    assert part in capsys.readouterr().out
    assert sorted(path.name for path in recipes.iterdir()) == ["recipes"]


def test_what_would_be_submitted_is_shown(
    recipes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is: there need be no Slurm."""
    words = ["ci", "slurm", "recipes", "--to", "oci:out", "--dry-run", "--json"]

    assert main([*words, "--sbatch=--partition=b"]) == 0

    lines = json.loads(capsys.readouterr().out)["commands"]
    assert [line.endswith("# after base") for line in lines] == [False, True]
    assert all("--partition=b" in line for line in lines)
    assert not (recipes / "imagekit-slurm").exists()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["github", "recipes", "--to", "oci:out"], 64, "lies on this machine"),
        (["github", "recipes"], 64, "DESTINATION"),
        (["slurm", "recipes", "--to", "r.org/a", "--jobs", "-1"], 64, "--jobs is -1"),
        (["github", "nowhere", "--to", "r.org/a"], 2, "there is no nowhere"),
        (["gitlab", "recipes", "--to", "r.org/a"], 64, "--image"),
        (["summary", "nowhere"], 2, "is no folder"),
    ],
)
def test_what_cannot_be_is_refused(
    recipes: Path, words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to do."""
    del recipes
    assert main(["ci", *words]) == code

    assert told in capsys.readouterr().err
