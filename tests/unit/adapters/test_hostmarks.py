"""What tells a host: the login and address of its proxy, the login of its mirrors."""

from pathlib import Path

import pytest

from imagekit.adapters import hostmarks
from imagekit.adapters.bootstrap import Mirrors
from imagekit.adapters.hostmarks import host_marks
from imagekit.errors import ToolError


@pytest.fixture(autouse=True)
def _no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Mirrors:
        raise ToolError("no mirror")

    monkeypatch.setattr(hostmarks, "host_mirrors", missing)


@pytest.mark.parametrize(
    ("uri", "texts"),
    [
        ("", []),
        ("http://proxy.site:3128", ["proxy.site:3128"]),
        ("proxy.site:3128", ["proxy.site:3128"]),
        ("socks5h://[2001:db8::1]:1080/", ["[2001:db8::1]:1080"]),
        ("http://me:p%40ssword@proxy.site:3128", ["me:p%40ssword@", "p@ssword", "proxy.site:3128"]),
        ("http://me:s3cret@127.0.0.1:3128", ["me:s3cret@", "s3cret"]),
        ("http://localhost:3128", []),
        ("http://[::1]:3128", []),
        ("http://[broken", []),
    ],
)
@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "all_proxy"])
def test_texts_of_a_proxy(name: str, uri: str, texts: list[str]) -> None:
    """A loopback address tells nothing; a login always does."""
    found = host_marks({name: uri, "HOME": "/home/me"})

    assert [mark.text.decode() for mark in found] == texts
    assert all(
        mark.secret == ("3128" not in str(mark.text) and "1080" not in str(mark.text))
        for mark in found
    )
    assert all(uri not in mark.what for mark in found if uri)


def test_the_login_of_a_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of a mirror stands in the documents of packages too, a login does not."""
    mirrors = Mirrors("http://site:s3cret@a.site/debian", "http://b.site/debian-security")
    monkeypatch.setattr(hostmarks, "host_mirrors", lambda: mirrors)

    assert [mark.text for mark in host_marks({})] == [b"site:s3cret@", b"s3cret"]


def test_the_real_configuration_can_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Through apt's own files."""
    from imagekit.adapters.bootstrap import host_mirrors

    (tmp_path / "sources.list").write_text("deb http://a:longer@m.site/debian bookworm main\n")
    monkeypatch.setattr(hostmarks, "host_mirrors", lambda: host_mirrors(tmp_path))

    assert host_marks({})[0].text == b"a:longer@"
