"""``imagekit prune``, from words to what is printed."""

import json
import os

import pytest

from imagekit.build.local_store import open_store, record_built
from imagekit.build.tools.storage import Folders
from imagekit.cli.main import main
from imagekit.oci.digest import Digest
from tests.support.local_store import put


@pytest.fixture
def folders() -> Folders:
    """The folders of this HOME, with two images."""
    folders = Folders.of(os.environ)
    for version in ("1", "2"):
        image = put(folders, "app", version, mark=version)
        record_built(open_store(folders), image, recipes=Digest.of(b"recipes"))
    return folders


def test_what_was_freed_by_kind(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a kind, and all of it."""
    assert main(["prune", "--keep", "1"]) == 0

    said = capsys.readouterr()
    rows = [line.split("\t") for line in said.out.splitlines()]
    assert [row[0] for row in rows] == [
        "images",
        "layers and documents",
        "records of the cache",
        "files of steps",
        "downloads",
        "logs",
        "images of the container storage",
        "total",
    ]
    assert rows[0][1] == "1"
    assert rows[1][1] == "2"
    assert int(rows[-1][2]) == sum(int(row[2]) for row in rows[:-1]) > 0
    assert "  app:" in said.err
    assert folders.images.is_dir()


def test_the_document(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    """The same, and whether anything was done."""
    del folders
    assert main(["prune", "--keep", "0", "--dry-run", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["dry_run"] is True
    assert sorted(document["images"]) == ["app:1", "app:2"]
    assert document["freed"]["images"] == {"count": 2, "size": 0}
    assert document["left"] == []


@pytest.mark.parametrize(
    "words", [["--keep", "-1"], ["--older-than", "a week"], ["--older-than", "30"], ["--keep", "x"]]
)
def test_wrong_usage(
    folders: Folders, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is removed on a guess."""
    assert main(["prune", *words]) == 64

    assert capsys.readouterr().out == ""
    assert (folders.images / "index.json").is_file()


def test_a_time_span(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    """In days, hours, minutes or seconds: all that is here is younger."""
    del folders
    for span in ("1d", "1h", "5m"):
        assert main(["prune", "--keep", "0", "--older-than", span, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["images"] == []
    assert main(["prune", "--keep", "0", "--older-than", "0s", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["images"]) == 2
