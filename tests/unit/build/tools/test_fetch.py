"""Downloads: the bytes as they come, their digest told, and the line of the recipe that asks."""

import gzip
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.build.tools.fetch import download
from imagekit.errors import IntegrityError, ToolError
from imagekit.oci.digest import Digest
from imagekit.progress import silent
from tests.support.hostile import Answer, Asked, HostileRegistry, Script

_WHERE = "recipes/a/recipe.yaml:12"
_PACKED = gzip.compress(b"archive", mtime=0)


def _serve(
    script: Script, digest: Digest, target: Path, *, path: str = "/file.tar.gz", limit: float = 5
) -> list[Asked]:
    """Download from a server that answers so; return what it was asked."""
    with HostileRegistry(script) as server:
        url = f"http://{server.host}{path}"
        download(url, digest, target, where=_WHERE, limit=limit, progress=silent)
    return server.asked


def _download(answer: Answer, digest: Digest, target: Path) -> list[str]:
    asked = _serve(lambda _: answer, digest, target)
    return [one.headers.get("accept-encoding", "") for one in asked]


def _raw(text: bytes) -> Answer:
    """An answer as it stands there, after which the connection ends."""

    def drip(write: Callable[[bytes], None]) -> None:
        write(text)

    return Answer(raw=True, drip=drip)


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
        Answer(status=204),
        _raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"),
        _raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"),
        Answer(status=302, headers={"Location": "http://2130706433/x"}),
        Answer(status=302, headers={"Location": "http://169.254.169.254/x"}),
        Answer(status=302, headers={"Location": "file:///etc/passwd"}),
        Answer(status=302, headers={"Location": "/file.tar.gz"}),
    ],
    ids=["missing", "nothing", "cut", "chunks cut", "odd host", "link", "file", "round"],
)
def test_what_cannot_be_had(tmp_path: Path, answer: Answer) -> None:
    """Nothing is left behind of it."""
    with pytest.raises(ToolError):
        _download(answer, Digest.of(b"x"), tmp_path / "x")
    assert [*tmp_path.iterdir()] == []


def test_an_odd_length_says_nothing(tmp_path: Path) -> None:
    """A stated length only serves to show how far it is."""
    text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    _download(_raw(text), Digest.of(b"x"), tmp_path / "x")

    assert (tmp_path / "x").read_bytes() == b"x"


def test_a_redirect_is_followed_without_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever builds may have logins of other things, which no recipe can ask for."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))

    def script(asked: Asked) -> Answer:
        return Answer(body=b"x") if asked.path == "/there" else Answer(302, {"Location": "/there"})

    asked = _serve(script, Digest.of(b"x"), tmp_path / "x")

    assert [(one.path, "authorization" in one.headers) for one in asked] == [
        ("/file.tar.gz", False),
        ("/there", False),
    ]


def test_a_fault_that_may_pass_is_waited_for(tmp_path: Path) -> None:
    """A mirror that is busy does not end a build of hours."""
    answers = [Answer(503, {"Retry-After": "0"}), Answer(body=b"x")]

    assert len(_serve(lambda _: answers.pop(0), Digest.of(b"x"), tmp_path / "x")) == 2


def test_one_limit_holds_for_all_of_it(tmp_path: Path) -> None:
    """A server that drips, and one that leads on and on before it does."""

    def drip(write: Callable[[bytes], None]) -> None:
        for _ in range(50):
            write(b"x")
            time.sleep(0.1)

    def leads_on(asked: Asked) -> Answer:
        time.sleep(0.4)
        return Answer(302, {"Location": f"{asked.path}/on"})

    for script in (lambda _: Answer(drip=drip), leads_on):
        began = time.monotonic()
        with pytest.raises(ToolError, match=r"not answered whole|stopped sending"):
            _serve(script, Digest.of(b"x"), tmp_path / "x", limit=1)
        assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("path", "sent"),
    [("/a?b=c%20d&e#f", "/a?b=c%20d&e"), ("/\u00e9/x+y", "/%C3%A9/x+y"), ("?x", "/?x")],
)
def test_an_address_is_sent_as_a_request_can_be(tmp_path: Path, path: str, sent: str) -> None:
    """A recipe writes it as a browser shows it."""
    (asked,) = _serve(lambda _: Answer(body=b"x"), Digest.of(b"x"), tmp_path / "x", path=path)

    assert asked.path == sent


@pytest.mark.parametrize("url", ["http://\u2024/x", "http://1.2/x", "http://[fe80::1%25x]/x"])
def test_an_address_without_a_host_is_told(tmp_path: Path, url: str) -> None:
    """Nothing is asked, and the line of the recipe is named."""
    with pytest.raises(ToolError, match=_WHERE):
        download(url, Digest.of(b"x"), tmp_path / "x", where=_WHERE, limit=1, progress=silent)
