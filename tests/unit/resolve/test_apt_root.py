"""apt in a root of its own, by a program in its place that prints what apt 2.6.1 did."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.build.tools.mirrors import MirrorSource
from imagekit.errors import BuildError, ToolNotFoundError
from imagekit.oci.digest import Digest
from imagekit.process import Runner
from imagekit.resolve import apt_root as module
from imagekit.resolve.apt_root import AptRoot
from imagekit.resolve.dpkg_status import DpkgStatus
from tests.support.locks import deb

_HEX = Digest.of(b"greeter").hex
_URI = "http://mirror.example.org/debian/pool/g/greeter_1%3a1.0%2bb1_amd64.deb"
_PRINTED = f"'{_URI}' greeter_1%3a1.0+b1_amd64.deb 100 SHA256:{_HEX}"
_STEPS = "Inst greeter (1:1.0+b1 Debian:12/oldstable [amd64])"
_STANZA = f"""\
Package: greeter
Version: 1:1.0+b1
Architecture: amd64
Priority: important
SHA256: {_HEX}
"""
_APT = """\
#!/bin/sh
case "$*" in
  update*) cp "$FIXTURES"/lists/* "$ROOT/state/lists/" ; exit $(cat "$FIXTURES/status") ;;
  *--simulate*) cat "$FIXTURES/steps" ;;
  *) cat "$FIXTURES/printed" ;;
esac
"""
Open = Callable[..., AptRoot]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Return a function that opens a root in which apt prints these texts."""
    fixtures, root, programs = (tmp_path / name for name in ("fixtures", "root", "programs"))
    (fixtures / "lists").mkdir(parents=True)
    root.mkdir()
    programs.mkdir()
    script = _APT.replace("$FIXTURES", str(fixtures)).replace("$ROOT", str(root))
    (programs / "apt-get").write_text(script)
    (programs / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def make(
        *, printed: str = _PRINTED, steps: str = _STEPS, stanza: str = _STANZA, status: int = 0
    ) -> AptRoot:
        (fixtures / "printed").write_text(printed + "\n")
        (fixtures / "steps").write_text(steps + "\n")
        (fixtures / "status").write_text(str(status))
        lists = fixtures / "lists/mirror.example.org_debian_dists_bookworm_"
        Path(f"{lists}main_binary-amd64_Packages").write_text(stanza)
        Path(f"{lists}InRelease").write_text("signed")
        source = MirrorSource(
            archive="debian", uri="http://u:pw@mirror.example.org/debian/", suite="bookworm"
        )
        made = AptRoot(
            Runner(),
            root,
            architecture="amd64",
            archives=[source],
            files={"sources/mirrors.list": b""},
        )
        made.update()
        return made

    return make


def test_a_package_is_locked_with_what_the_index_says(opened: Open) -> None:
    """Its path is below the archive, whose mirror and login are not told."""
    root = opened()
    (found,), after = root.install(["greeter"], DpkgStatus(), pins={}, asked=["greeter"])

    assert found == deb(
        "greeter",
        "1:1.0+b1",
        sha256=Digest("sha256", _HEX),
        path="pool/g/greeter_1:1.0+b1_amd64.deb",
        priority="important",
        automatic=False,
    )
    assert after.version("greeter") == "1:1.0+b1"
    (state,) = root.states()
    assert (state.name, state.suite) == ("debian", "bookworm")
    assert state.release == Digest.of(b"signed")


def test_apt_reads_nothing_of_the_host_and_trusts_signatures_only(
    opened: Open, tmp_path: Path
) -> None:
    """Its configuration is one file, and it prefers what is pinned."""
    root = opened()
    status = DpkgStatus().with_stanza(deb("libc6", "2.36"), None)
    root.install(["greeter"], status, pins={"greeter": "1:1.0+b1"}, sources="bootstrap")

    text = (tmp_path / "root/apt.conf").read_text()
    assert f'Dir "{tmp_path}/root";' in text
    assert 'Dir::Etc::sourcelist "/dev/null";' in text
    assert f'Dir::Etc::sourceparts "{tmp_path}/root/bootstrap";' in text
    for name in ("InsecureRepositories", "WeakRepositories"):
        assert f'Acquire::Allow{name} "false";' in text
    assert (tmp_path / "root/etc/preferences").read_text() == (
        "Package: greeter\nPin: version 1:1.0+b1\nPin-Priority: 1001\n"
    )
    assert "Package: libc6" in (tmp_path / "root/status").read_text()


def test_what_goes_is_not_there_behind_it(opened: Open) -> None:
    """What is installed next is resolved without it."""
    root = opened(steps=f"{_STEPS}\nRemv old [1.0]")
    status = DpkgStatus().with_stanza(deb("old"), None)

    _, after = root.install(["greeter"], status, pins={})
    assert after.version("old") == ""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"printed": _PRINTED.replace("mirror.", "other.")}, "in none of the archives"),
        ({"printed": _PRINTED.replace("/pool", "-security/pool")}, "in none of the archives"),
        ({"printed": _PRINTED.replace("/pool/g", "/pool/../..")}, "in none of the archives"),
        ({"printed": ""}, "an address of each package"),
        ({"steps": ""}, "an address of each package"),
        ({"stanza": _STANZA.replace(_HEX, Digest.of(b"").hex)}, "no index of the archives has"),
        ({"stanza": _STANZA.replace("1:1.0+b1", "2")}, "no index of the archives has"),
    ],
    ids=["host", "sibling", "above", "no address", "no step", "digest", "version"],
)
def test_what_is_not_of_the_archives_is_not_locked(
    opened: Open, change: dict[str, str], told: str
) -> None:
    """Each difference alone is refused."""
    root = opened(**change)

    with pytest.raises(BuildError, match=told) as caught:
        root.install(["greeter"], DpkgStatus(), pins={})
    assert caught.value.code == "lock/not-resolved"


def test_an_archive_that_does_not_answer_is_told_with_what_apt_said(opened: Open) -> None:
    """Nothing is resolved of half the indexes."""
    with pytest.raises(BuildError) as caught:
        opened(status=100)

    assert caught.value.code == "lock/no-index"


def test_a_host_without_apt_is_told(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is asked."""
    monkeypatch.setattr(module, "which", lambda _: None)

    with pytest.raises(ToolNotFoundError):
        opened()
