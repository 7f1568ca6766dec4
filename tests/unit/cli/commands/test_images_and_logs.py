"""``imagekit images`` and ``imagekit logs``."""

import io
import json
import os
from pathlib import Path

import pytest

from imagekit.build.local_store import open_store, record_built, record_published
from imagekit.build.logs import find_logs, logs_folder
from imagekit.build.tools.journal import journal
from imagekit.build.tools.storage import Folders
from imagekit.cli.main import main
from imagekit.oci.digest import Digest
from imagekit.progress import OutputLine, silent
from tests.support.local_store import put


class Terminal(io.StringIO):
    """A terminal that keeps what it shows."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


@pytest.fixture
def digest() -> Digest:
    """A built and published image of this HOME."""
    folders = Folders.of(os.environ)
    image = put(folders, "app", "1.0")
    record_built(open_store(folders), image, recipes=Digest.of(b"recipes"))
    record_published(folders, image.manifest.digest, "registry.site/app:1.0")
    return image.manifest.digest


@pytest.fixture
def log() -> Path:
    """The log of a build that printed what controls a terminal."""
    folders = Folders.of(os.environ)
    with journal(logs_folder(folders), "app", silent) as tell:
        tell(OutputLine(stage="steps", line="a\33[2Jb"))
    return find_logs(folders)[0].path


def test_images_for_programs(digest: Digest, capsys: pytest.CaptureFixture[str]) -> None:
    """Tabs, the whole digest and bytes."""
    assert main(["images"]) == 0

    name, version, shown, size, built, published = capsys.readouterr().out.rstrip("\n").split("\t")
    assert (name, version, shown, published) == (
        "app",
        "1.0",
        str(digest),
        "registry.site/app:1.0",
    )
    assert int(size) > 0
    assert built.endswith("Z")


def test_images_as_a_document(digest: Digest, capsys: pytest.CaptureFixture[str]) -> None:
    """All of it, and where the store is."""
    assert main(["images", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    (image,) = document["images"]
    assert document["store"] == str(Folders.of(os.environ).images)
    assert image["digest"] == str(digest)
    assert image["published"] == ["registry.site/app:1.0"]


def test_images_on_a_terminal(digest: Digest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles and a short digest."""
    shown = Terminal()
    monkeypatch.setattr("sys.stdout", shown)

    assert main(["images"]) == 0

    head, line = shown.getvalue().splitlines()
    assert head.split() == ["NAME", "VERSION", "DIGEST", "SIZE", "BUILT", "PUBLISHED"]
    assert digest.hex[:12] in line
    assert digest.hex not in line


def test_no_image_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said on stderr, and stdout is empty."""
    assert main(["images"]) == 0

    said = capsys.readouterr()
    assert said.out == ""
    assert "no image was built yet" in said.err


def test_the_log_as_it_is(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A program gets every byte."""
    assert main(["logs"]) == 0

    said = capsys.readouterr()
    assert said.out == "a\33[2Jb\n"
    assert str(log) in said.err


def test_the_log_on_a_terminal(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a step printed controls no terminal."""
    del log
    shown = Terminal()
    monkeypatch.setattr("sys.stdout", shown)

    assert main(["logs", "app", "--quiet"]) == 0

    assert shown.getvalue() == "a [2Jb\n"


def test_the_path_of_a_log(log: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Of a recipe by its folder, too."""
    (tmp_path / "recipe.yaml").write_text("schema: 1\nname: app\nversion: '1'\nbase: scratch\n")

    assert main(["logs", str(tmp_path), "--path"]) == 0
    assert capsys.readouterr().out == f"{log}\n"


def test_the_list_of_logs(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a log."""
    assert main(["logs", "--list"]) == 0
    line = capsys.readouterr().out.rstrip("\n").split("\t")
    assert main(["logs", "--list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert line[1:] == ["app", str(log.stat().st_size), str(log)]
    assert document["logs"][0]["path"] == str(log)
    assert document["text"] == ""


def test_a_recipe_without_a_log(capsys: pytest.CaptureFixture[str], log: Path) -> None:
    """Says so, and where logs are."""
    del log
    assert main(["logs", "other"]) == 6

    assert "no log of a build of other" in capsys.readouterr().err
