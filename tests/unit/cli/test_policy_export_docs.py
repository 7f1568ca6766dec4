"""docs/policy-export.md: its commands work, and it knows every loss."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from imagekit.cli import main as cli
from imagekit.policy.export import CODES, FORMATS


@pytest.fixture
def text(project: Path) -> str:
    """The page."""
    return (project / "docs/policy-export.md").read_text()


def test_its_commands_work(
    text: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, as they stand there."""
    shutil.copytree(project / "policies", tmp_path / "policies")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^\$ imagekit (.*)$", text, re.MULTILINE)

    assert len(commands) >= len(FORMATS)
    for command in commands:
        assert cli.main(shlex.split(command)) == 0, command
    assert (tmp_path / "etc-containers/registries.d/imagekit.yaml").is_file()


def test_it_names_every_loss_and_format(text: str) -> None:
    """A loss that nobody can look up is a riddle."""
    words = set(re.findall(r"`([^`\n]+)`", text))

    assert words >= CODES
    assert set(re.findall("[a-z-]+", text)) >= set(FORMATS)
