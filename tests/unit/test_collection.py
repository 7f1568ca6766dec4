"""Every file of tests is one that pytest finds by itself."""

import fnmatch
from pathlib import Path

import pytest


def test_no_folder_of_tests_is_passed_over(project: Path, pytestconfig: pytest.Config) -> None:
    """By default pytest looks into no folder that is called build or dist."""
    patterns = pytestconfig.getini("norecursedirs")
    below = {
        part
        for file in (project / "tests").rglob("test_*.py")
        for part in file.relative_to(project).parts[:-1]
    }

    hidden = [name for name in below for each in patterns if fnmatch.fnmatch(name, each)]
    assert "build" in below
    assert hidden == []
