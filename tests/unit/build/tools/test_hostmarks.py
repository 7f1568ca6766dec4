"""What tells a host: the login and address of its proxy, the login of its mirrors."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from imagekit.build.marks import Mark
from imagekit.build.tools import hostmarks
from imagekit.build.tools.hostmarks import host_marks
from imagekit.build.tools.mirrors import Mirrors
from imagekit.errors import ToolError


@pytest.fixture(autouse=True)
def _no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(distribution: str) -> Mirrors:
        raise ToolError("no mirror")

    monkeypatch.setattr(hostmarks, "host_mirrors", missing)


def _marks(env: dict[str, str]) -> tuple[Mark, ...]:
    return host_marks(env, Path("/nonexistent"))


@pytest.mark.parametrize(
    ("uri", "texts"),
    [
        ("", []),
        ("http://proxy.site:3128", ["proxy.site:3128"]),
        ("proxy.site:3128", ["proxy.site:3128"]),
        ("socks5h://[2001:db8::1]:1080/", ["[2001:db8::1]:1080"]),
        (
            "http://me:p%40ssword@proxy.site:3128",
            ["me:p%40ssword@", "bWU6cEBzc3dvcmQ=", "p%40ssword", "p@ssword", "proxy.site:3128"],
        ),
        ("http://me:s3cret@127.0.0.1:3128", ["me:s3cret@", "bWU6czNjcmV0", "s3cret"]),
        ("http://localhost:3128", []),
        ("http://[::1]:3128", []),
        ("http://[broken", []),
    ],
)
@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "all_proxy"])
def test_texts_of_a_proxy(name: str, uri: str, texts: list[str]) -> None:
    """A loopback address tells nothing; a login always does."""
    found = _marks({name: uri, "HOME": "/home/me"})

    assert [mark.text.decode() for mark in found] == texts
    assert all(
        mark.secret == ("3128" not in str(mark.text) and "1080" not in str(mark.text))
        for mark in found
    )
    assert all(uri not in mark.label for mark in found if uri)


@pytest.mark.parametrize(
    ("value", "marked"),
    [
        ("localhost,127.0.0.1,.site.example", True),
        ("10.0.0.0/8", True),
        ("localhost,127.0.0.1, ::1", False),
        ("*", False),
        ("", False),
    ],
)
def test_the_exceptions_of_a_proxy(value: str, marked: bool) -> None:  # noqa: FBT001 - the expected value
    """They name a site's domains, and this host in every list."""
    assert bool(_marks({"no_proxy": value})) is marked


def test_the_login_of_a_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of a mirror stands in the documents of packages too, a login does not."""
    mirrors = Mirrors("http://site:s3cret@a.site/debian", "http://b.site/debian-security")
    other = Mirrors("http://own:hidden@c.site/ubuntu", "")
    known = {"debian": mirrors, "ubuntu": other}
    monkeypatch.setattr(hostmarks, "host_mirrors", lambda name: known[name])

    assert [mark.text for mark in _marks({})] == [
        b"site:s3cret@",
        b"c2l0ZTpzM2NyZXQ=",
        b"s3cret",
        b"own:hidden@",
        b"b3duOmhpZGRlbg==",
        b"hidden",
    ]


def test_the_real_configuration_can_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Through apt's own files."""
    from imagekit.build.tools.mirrors import host_mirrors

    (tmp_path / "sources.list").write_text("deb http://a:longer@m.site/debian bookworm main\n")
    monkeypatch.setattr(hostmarks, "host_mirrors", lambda name: host_mirrors(name, tmp_path))

    assert _marks({})[0].text == b"a:longer@"


def test_the_name_of_the_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As a step finds it in its copy of /etc/hosts; names of others, and words alone, are none."""
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(nodename="build7.site"))
    hosts = tmp_path / "hosts"
    hosts.write_text(
        "127.0.0.1 localhost build7\n::1 localhost\n# 10.0.0.8 build7\n"
        "10.0.0.7  build7.site build7 # ours\n10.0.0.9 other.site\n"
    )

    assert [mark.text.decode() for mark in host_marks({}, hosts)] == [
        "127.0.0.1 localhost build7",
        "127.0.0.1\tbuild7",
        "10.0.0.7  build7.site build7 # ours",
        "10.0.0.7\tbuild7.site",
        "10.0.0.7\tbuild7",
    ]
