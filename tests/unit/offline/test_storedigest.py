"""A store's digest is the same wherever it is computed, or there is none."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from imagekit.errors import RegistryError
from imagekit.oci.digest import Digest
from imagekit.offline import storedigest
from imagekit.offline.stagedigest import tree_digest
from imagekit.offline.storedigest import store_digest


@pytest.fixture
def roots(tmp_path: Path) -> list[tuple[str, Path]]:
    """Two folders, one with a name that is no text."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "two" / os.fsdecode(b"\xff")).touch()
    return [("layer/0", tmp_path / "one"), ("layer/1", tmp_path / "two")]


def _closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be read by this process itself, which is an ordinary user's."""

    def refused(roots: Sequence[tuple[str, Path]]) -> Digest:
        raise RegistryError(f"the staged folder {roots[0][1]}: no") from PermissionError()

    monkeypatch.setattr(storedigest, "tree_digest", refused)
    monkeypatch.setattr(os, "geteuid", lambda: 48212)


def test_what_can_be_read_is_read_here(roots: list[tuple[str, Path]]) -> None:
    """No program is started."""
    assert store_digest(roots) == tree_digest(roots)


def test_what_only_the_namespace_reads_has_the_same_digest(
    roots: list[tuple[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names and paths go there and the digest comes back."""
    _closed(monkeypatch)
    monkeypatch.setattr(storedigest, "in_namespace", lambda argv: argv)

    assert store_digest(roots) == tree_digest(roots)


@pytest.mark.parametrize("program", ["false", "true", "echo"])
def test_without_an_answer_there_is_no_digest(
    roots: list[tuple[str, Path]], monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    """A namespace that cannot be had, and one that says something else."""
    _closed(monkeypatch)
    monkeypatch.setattr(storedigest, "in_namespace", lambda argv: (program, *argv))

    with pytest.raises(RegistryError, match=r"the staged folder .*: no") as caught:
        store_digest(roots)
    assert "only root may read" in caught.value.hint


def test_what_is_missing_is_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No namespace brings it back."""
    monkeypatch.setattr(storedigest, "in_namespace", lambda _: pytest.fail("asked again"))

    with pytest.raises(RegistryError):
        store_digest([("", tmp_path / "none")])


def test_a_folder_that_cannot_be_read_has_no_digest_there_either(tmp_path: Path) -> None:
    """The program fails instead of saying less."""
    asked = json.dumps([["", str(tmp_path / "none")]])
    ran = subprocess.run(
        [sys.executable, "-m", "imagekit.offline.storedigest"],
        input=asked,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode != 0
    assert ran.stdout == ""
