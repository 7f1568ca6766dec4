"""Downloads: the bytes as they come, their digest told, and the line of the recipe that asks."""

import gzip
from pathlib import Path

import pytest

from imagekit.build.tools.fetch import download
from imagekit.errors import IntegrityError, ToolError
from imagekit.oci.digest import Digest
from imagekit.progress import silent
from tests.support.hostile import Answer, HostileRegistry

_WHERE = "recipes/a/recipe.yaml:12"
_PACKED = gzip.compress(b"archive", mtime=0)


def _download(answer: Answer, digest: Digest, target: Path) -> list[str]:
    with HostileRegistry(lambda _: answer) as server:
        url = f"http://{server.host}/file.tar.gz"
        download(url, digest, target, where=_WHERE, limit=5, progress=silent)
    return [asked.headers.get("accept-encoding", "") for asked in server.asked]


def test_an_encoded_body_is_taken_as_it_comes(tmp_path: Path) -> None:
    """Servers that call a .tar.gz a gzip encoding of a .tar send the file that was meant."""
    target = tmp_path / "downloads" / "x"
    answer = Answer(body=_PACKED, headers={"Content-Encoding": "gzip"})

    asked = _download(answer, Digest.of(_PACKED), target)

    assert target.read_bytes() == _PACKED
    assert asked == ["identity"]


def test_another_file_is_told_by_its_digest_and_the_recipe_s_line(tmp_path: Path) -> None:
    """So that whoever checks it elsewhere can write it at once."""
    answer = Answer(body=_PACKED, headers={"Content-Encoding": "gzip"})
    with pytest.raises(IntegrityError) as caught:
        _download(answer, Digest.of(b"archive"), tmp_path / "x")

    assert caught.value.message.startswith(f"{_WHERE}: http://")
    assert str(Digest.of(_PACKED)) in caught.value.message
    assert str(Digest.of(b"archive")) in caught.value.hint
    assert "gzip" in caught.value.hint
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=404),
        Answer(body=b"x", headers={"Content-Length": "9"}),
        Answer(status=302, headers={"Location": "http://2130706433/x"}),
    ],
    ids=["missing", "cut", "odd host"],
)
def test_what_cannot_be_had(tmp_path: Path, answer: Answer) -> None:
    """Nothing is left behind of it."""
    with pytest.raises(ToolError):
        _download(answer, Digest.of(b"x"), tmp_path / "x")
    assert [*tmp_path.iterdir()] == []


def test_an_odd_length_says_nothing(tmp_path: Path) -> None:
    """A stated length only serves to show how far it is."""

    def drip(write: object) -> None:
        assert callable(write)
        write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")

    _download(Answer(raw=True, drip=drip), Digest.of(b"x"), tmp_path / "x")

    assert (tmp_path / "x").read_bytes() == b"x"
