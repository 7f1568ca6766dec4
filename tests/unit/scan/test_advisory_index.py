"""The index of a folder: made once, found again by what it was made of, and never half."""

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from imagekit.errors import InputError
from imagekit.scan.advisory_index import AdvisoryIndex, open_index
from imagekit.scan.severity import Rating
from tests.support.advisories import HIGH, export, fixed, osv


def ids(index: AdvisoryIndex, name: str, ecosystem: str) -> list[str]:
    """Return the advisories on a package, and close the index."""
    with closing(index):
        return [advisory.id for advisory in index.advisories(name, [ecosystem])]


def indexes(folder: Path) -> list[Path]:
    """Return the files of indexes."""
    return list(folder.glob(".imagekit-advisories-*"))


def test_an_index_is_made_once_of_the_same_files(tmp_path: Path) -> None:
    """Another one takes its place where the files are others."""
    export(tmp_path, "PyPI", [osv("A", "PyPI", "Foo_Bar", *fixed("2"))])
    assert ids(open_index(tmp_path), "foo-bar", "PyPI") == ["A"]
    (first,) = indexes(tmp_path)
    made = first.stat().st_mtime_ns
    assert ids(open_index(tmp_path), "foo-bar", "PyPI") == ["A"]
    assert first.stat().st_mtime_ns == made

    export(tmp_path, "PyPI", [osv("B", "PyPI", "foo.bar", *fixed("2"))])
    assert ids(open_index(tmp_path), "foo-bar", "PyPI") == ["B"]
    assert indexes(tmp_path) != [first]
    assert len(indexes(tmp_path)) == 1


def test_an_index_that_is_damaged_is_made_again(tmp_path: Path) -> None:
    """Whatever wrote there."""
    export(tmp_path, "PyPI", [osv("A", "PyPI", "a", *fixed("2"))])
    open_index(tmp_path).close()
    (file,) = indexes(tmp_path)
    file.write_bytes(b"x" * 5000)

    assert ids(open_index(tmp_path), "a", "PyPI") == ["A"]


def test_the_later_of_two_records_counts(tmp_path: Path) -> None:
    """In whatever order they are read; a later one that was withdrawn takes all back."""
    later = {"modified": "2026-11-21T00:00:00Z"}
    export(tmp_path, "a", [osv("X", "PyPI", "gone", *fixed("2")), osv("Y", "PyPI", "y")])
    export(tmp_path, "b", [osv("X", "PyPI", "now", *fixed("2"), **later)])
    export(tmp_path, "c", [osv("X", "PyPI", "gone", *fixed("2"))])
    export(tmp_path, "d", [osv("Y", "PyPI", "y", withdrawn="2026-11-21T00:00:00Z", **later)])
    index = open_index(tmp_path)

    assert [list(index.advisories(name, ["PyPI"])) for name in ("gone", "y")] == [[], []]
    assert ids(index, "now", "PyPI") == ["X"]


def test_facts_say_what_it_was_made_of(tmp_path: Path) -> None:
    """The newest change, and what could not be read."""
    export(tmp_path, "PyPI", [osv("A", "PyPI", "a", *fixed("2")), {"id": "no advisory"}])
    (tmp_path / "notes.json").write_text(json.dumps({"some": "thing"}))
    with closing(open_index(tmp_path)) as index:
        facts = index.facts

    assert (facts.records, facts.unread, facts.newest) == (1, 2, "2026-11-20T00:00:00Z")
    assert any(place.endswith("notes.json") for place in facts.unread_places)


def test_ratings_are_found_by_every_name_of_a_vulnerability(tmp_path: Path) -> None:
    """A distribution's advisory often has none of its own."""
    export(tmp_path, "PyPI", [osv("GHSA-1", "PyPI", "a", *fixed("2"), aliases=["CVE-1"])])
    with closing(open_index(tmp_path)) as index:
        assert list(index.ratings(["CVE-1"])) == [Rating("CVSS_V3", HIGH)]


def test_a_folder_that_cannot_be_written_has_its_index_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share that only its admin writes."""
    folder, cache = tmp_path / "db", tmp_path / "cache"
    export(folder, "PyPI", [osv("A", "PyPI", "a", *fixed("2"))])
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder and real(path, mode))

    assert ids(open_index(folder), "a", "PyPI") == ["A"]
    assert indexes(folder) == []
    assert len(indexes(cache / "imagekit/scan")) == 1


def test_files_without_any_advisory_are_refused(tmp_path: Path) -> None:
    """And leave no index behind."""
    export(tmp_path, "PyPI", [{"id": "x"}])

    with pytest.raises(InputError, match="no advisory among the files"):
        open_index(tmp_path)
    assert indexes(tmp_path) == []
