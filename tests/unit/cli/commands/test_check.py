"""``imagekit check``: what is found in an image, and whether that is signed."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from imagekit.signatures.intoto import SELF_CONTAINED
from tests.support.built import layered_image
from tests.support.command import imagekit
from tests.support.planted import FAULTS, PATH, PlantedFault

IMAGE = "oci:images:app:1"
RECIPE = """\
schema: 1
name: app
version: "1"
base: scratch
check:
  except:
    - {finding: IK301, path: /opt/helper, reason: every node lets it}
    - {finding: IK302, path: /opt/helper, reason: it was there once}
"""


def _planted(folder: Path, fault: PlantedFault) -> None:
    layered_image(folder / "images", fault.layers, env=(PATH,))


def test_findings_are_shown_with_what_they_break(tmp_path: Path) -> None:
    """And the exit code says that there are some."""
    _planted(tmp_path, FAULTS["library missing"])

    said = imagekit(tmp_path, "check", IMAGE)

    assert said.returncode == 4
    first, *_, last = said.stdout.splitlines()
    assert first == "IK101  a library is missing: libm3.so.6 is not in the image"
    assert "breaks /usr/bin/other, /usr/local/bin/solve" in said.stdout
    assert last.startswith("1 finding in")


def test_the_document_has_all_of_it(tmp_path: Path) -> None:
    """With what a recipe excepts, and what it excepts for nothing."""
    _planted(tmp_path, FAULTS["setuid"])
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe/recipe.yaml").write_text(RECIPE)

    said = imagekit(tmp_path, "check", IMAGE, "--recipe", "recipe", "--json")

    assert said.returncode == 0, said.stderr
    document: dict[str, Any] = json.loads(said.stdout)
    assert (document["result"], document["findings"]) == ("PASSED", [])
    (excepted,) = document["excepted"]
    assert (excepted["code"], excepted["path"]) == ("IK301", "/opt/helper")
    assert excepted["reason"] == "every node lets it"
    assert document["unused_exceptions"] == [{"finding": "IK302", "path": "/opt/helper"}]


def test_that_nothing_was_found_is_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only that."""
    monkeypatch.setenv("IMAGEKIT_KEY_PASSWORD", "test")
    imagekit(tmp_path, "key", "generate")
    sign = ("--attest", "--key", "imagekit.key", "--json")
    _planted(tmp_path, FAULTS["setuid"])
    assert imagekit(tmp_path, "check", IMAGE, *sign).returncode == 4
    assert SELF_CONTAINED not in imagekit(tmp_path, "inspect", IMAGE, "--json").stdout
    _planted(tmp_path, PlantedFault(code="", path=""))

    said = imagekit(tmp_path, "check", IMAGE, *sign)

    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["attestation"].startswith("sha256:")
    assert SELF_CONTAINED in imagekit(tmp_path, "inspect", IMAGE, "--json").stdout


def test_an_archive_is_read_as_its_layout(tmp_path: Path) -> None:
    """Its members in any order, nothing unpacked."""
    _planted(tmp_path, FAULTS["setuid"])
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        for name in ("blobs", "index.json", "oci-layout"):
            tar.add(tmp_path / "images" / name, name)

    said = imagekit(tmp_path, "check", "oci:images.tar:app:1", "--json")

    assert said.returncode == 4, said.stderr
    assert [one["code"] for one in json.loads(said.stdout)["findings"]] == ["IK301"]
    assert imagekit(tmp_path, "check", "oci:images.tar:app:1", "--attest").returncode == 64


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("gone/",), 2, "names no registry"),
        (("./gone",), 2, "there is no folder"),
        (("images",), 2, "oci:images:NAME:TAG"),
        (("oci:images:other:1",), 6, "no "),
        ((".", "--attest", "--key", "x"), 64, "not for folders"),
    ],
)
def test_what_cannot_be_checked(
    tmp_path: Path, words: tuple[str, ...], status: int, says: str
) -> None:
    """With what can be named instead."""
    _planted(tmp_path, PlantedFault(code="", path=""))

    said = imagekit(tmp_path, "check", *words)

    assert (said.returncode, "Traceback" in said.stderr) == (status, False)
    assert says in said.stderr
