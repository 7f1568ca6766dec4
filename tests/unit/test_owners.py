"""Owners that a user namespace does not tell are nobody's friends."""

import os
from pathlib import Path

import pytest

from imagekit import owners


def _kernel(root: Path, *, ids: str, overflow: str = "65534") -> Path:
    for name, text in (("proc/self/uid_map", ids), ("proc/sys/fs/overflowuid", overflow)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


def test_all_have_an_id_where_there_is_no_namespace(tmp_path: Path) -> None:
    """The first one maps every id to itself."""
    assert owners.unknown_owner(_kernel(tmp_path, ids="0 0 4294967295")) is None


@pytest.mark.parametrize("ids", ["", "0 1001 1", "0 0 1", "0 1001 1\n1 100000 65536"])
def test_whoever_has_none_is_told_by_the_kernel(tmp_path: Path, ids: str) -> None:
    """Without any id, as root of one's own, and with subordinate ids."""
    assert owners.unknown_owner(_kernel(tmp_path, ids=ids, overflow="4242")) == 4242


def test_without_the_kernels_files_its_default_counts(tmp_path: Path) -> None:
    """Nothing is anybody's by that id."""
    assert owners.unknown_owner(tmp_path) == 65534


def test_an_id_that_may_be_anybodys_is_no_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is asked for by its number, and where this process has none itself."""
    monkeypatch.setattr(owners, "unknown_owner", os.geteuid)
    (tmp_path / "file").touch()

    assert owners.known(0, os.geteuid(), 48212) - {0} == {48212}
    assert not owners.is_own((tmp_path / "file").stat())
