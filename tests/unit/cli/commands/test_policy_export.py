"""``imagekit policy export``: what it prints and writes, and what it refuses to."""

import json
from pathlib import Path

import pytest
import yaml

from imagekit.cli import main as cli

LOSSES = ["--allow-loss", "expiry,scope,attestations"]


@pytest.fixture
def words(project: Path) -> list[str]:
    """The command, with a policy that loses something everywhere."""
    return ["policy", "export", "--policy", str(project / "policies/production.yaml"), "--format"]


def test_a_loss_is_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is named, the remedy is a whole option, and nothing is written."""
    assert cli.main([*words, "containers-policy", "--to", str(tmp_path / "out")]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    for code in ("expiry", "scope", "attestations"):
        assert f"error[export/{code}]" in captured.err
    assert "--format containers-policy --allow-loss attestations,expiry,scope" in captured.err
    assert not (tmp_path / "out").exists()


def test_losses_are_listed_in_json(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A program that is refused sees each loss with its code."""
    assert cli.main([*words, "containers-policy", "--json"]) == 2

    document = json.loads(capsys.readouterr().out)
    assert document["error"]["code"] == "export/loss"
    assert {each["code"] for each in document["diagnostics"]} == {
        f"export/{code}" for code in ("attestations", "expiry", "scope")
    }


def test_only_what_is_permitted_is_lost(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A permission for one loss is none for another."""
    assert cli.main([*words, "containers-policy", "--allow-loss", "expiry,scope", "--json"]) == 2

    assert "export/scope" not in capsys.readouterr().out


def test_a_permission_for_no_loss_is_a_mistake(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt code permits nothing."""
    assert cli.main([*words, "containers-policy", "--allow-loss", "scoope"]) == 64

    assert "scoope" in capsys.readouterr().err


def test_files_are_written(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The two files of Podman; losses that are permitted are warnings, the rest notes."""
    words = [*words, "containers-policy", *LOSSES, "--to", str(tmp_path)]

    assert cli.main(words) == 0

    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        f"{tmp_path / 'policy.json'}: written",
        f"{tmp_path / 'registries.d/imagekit.yaml'}: written",
    ]
    assert "warning: [expiry]" in captured.err
    assert "note: [scope]" in captured.err
    assert json.loads((tmp_path / "policy.json").read_text())["default"] == [{"type": "reject"}]
    assert yaml.safe_load((tmp_path / "registries.d/imagekit.yaml").read_text())["docker"]
    assert cli.main(words) == 0
    assert capsys.readouterr().out.count("unchanged") == 2


def test_dry_run_writes_nothing(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what it would write."""
    out = tmp_path / "out"

    assert cli.main([*words, "containers-policy", *LOSSES, "--to", str(out), "--dry-run"]) == 0

    assert capsys.readouterr().out.count("would be written") == 2
    assert not out.exists()


def test_another_file_is_not_replaced(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither it nor the file before it is touched, until it is said with --force."""
    (tmp_path / "registries.d").mkdir()
    theirs = tmp_path / "registries.d/imagekit.yaml"
    theirs.write_text("theirs")
    words = [*words, "containers-policy", *LOSSES, "--to", str(tmp_path)]

    assert cli.main(words) == 2
    assert "export/exists" in capsys.readouterr().err
    assert theirs.read_text() == "theirs"
    assert not (tmp_path / "policy.json").exists()
    assert cli.main([*words, "--force"]) == 0
    assert f"{theirs}: replaced" in capsys.readouterr().out
    assert sorted(each.name for each in tmp_path.iterdir()) == ["policy.json", "registries.d"]


def test_a_folder_in_the_way(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder is not replaced by a file, whatever is said."""
    (tmp_path / "policy.json").mkdir()

    words = [*words, "containers-policy", *LOSSES, "--to", str(tmp_path), "--force"]
    assert cli.main(words) == 2
    assert "export/exists" in capsys.readouterr().err


def test_a_folder_that_is_a_file(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be written is an error with the file's name."""
    (tmp_path / "file").write_text("")

    words = [*words, "containers-policy", *LOSSES, "--to", str(tmp_path / "file")]
    assert cli.main(words) == 2
    assert "export/unwritable" in capsys.readouterr().err


def test_two_files_do_not_go_to_stdout(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of it on stdout would be taken for all; --json has room for both."""
    assert cli.main([*words, "containers-policy", *LOSSES]) == 64
    assert "--to FOLDER" in capsys.readouterr().err

    assert cli.main([*words, "containers-policy", *LOSSES, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in document["documents"]] == [
        "policy.json",
        "registries.d/imagekit.yaml",
    ]
    assert {"code", "effect", "rule", "message"} == set(document["losses"][0])


def test_a_page_needs_no_permission(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Words for people lose nothing; a permission that is not needed is pointed out."""
    assert cli.main([*words, "docs", "--allow-loss", "expiry"]) == 0

    captured = capsys.readouterr()
    assert captured.out.startswith("# Policy production, version 1\n")
    assert "--allow-loss expiry is not needed" in captured.err
