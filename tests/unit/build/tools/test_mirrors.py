"""Where distributions come from: what was stated, else the host's own apt."""

import subprocess
from pathlib import Path

import pytest
import yaml

from imagekit.build.tools.mirrors import (
    DISTRIBUTIONS,
    Mirrors,
    archive_address,
    host_mirrors,
    mirrors_of,
    takes_old_dates,
)
from imagekit.errors import ToolError, ToolNotFoundError
from imagekit.process import Runner

KEYS = "/keys.gpg"


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    """The apt configuration of a Debian host."""
    (tmp_path / "sources.list").write_text(
        "deb http://m.site/debian bookworm main\n"
        "deb [arch=amd64] http://s.site/debian-security bookworm-security main\n"
        "deb http://other.site/tools stable main\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("stated", "main", "security"),
    [
        ({}, "http://m.site/debian", "http://s.site/debian-security"),
        ({"debian": "http://x/debian"}, "http://x/debian", "http://s.site/debian-security"),
        ({"debian-security": "http://x/fixes"}, "http://m.site/debian", "http://x/fixes"),
        ({"ubuntu": "http://x/ubuntu"}, "http://m.site/debian", "http://s.site/debian-security"),
    ],
)
def test_what_is_stated_goes_before_the_hosts(
    apt: Path, stated: dict[str, str], main: str, security: str
) -> None:
    """Each archive for itself."""
    assert mirrors_of("debian", stated, folder=apt) == Mirrors(main, security)


def test_ubuntu_comes_from_one_archive(apt: Path) -> None:
    """A host that is none knows no mirror of it, and the one that is stated has its fixes too."""
    with pytest.raises(ToolError, match="no mirror of Ubuntu") as caught:
        mirrors_of("ubuntu", {}, folder=apt)
    assert "--mirror ubuntu=URL" in caught.value.hint

    stated = mirrors_of("ubuntu", {"ubuntu": "http://u.site/ubuntu"}, folder=apt)

    head = f"deb [signed-by={KEYS}] http://u.site/ubuntu"
    assert stated.lines("ubuntu", "noble", keyring=KEYS).splitlines() == [
        f"{head} noble main universe",
        f"{head} noble-updates main universe",
        f"{head} noble-security main universe",
    ]


def test_an_ubuntu_host_knows_its_own(tmp_path: Path) -> None:
    """And no mirror of Debian."""
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "ubuntu.sources").write_text(UBUNTU)

    found = mirrors_of("ubuntu", {}, folder=tmp_path)

    assert found == Mirrors("http://archive.site/ubuntu", "http://security.site/ubuntu")


@pytest.mark.parametrize(
    ("archive", "stated", "address"),
    [
        ("debian", {}, "http://deb.site/debian"),
        ("debian-security", {}, "http://sec.site/debian-security"),
        ("debian", {"debian": "http://own.site/debian"}, "http://own.site/debian"),
        ("ubuntu", {}, ""),
        ("ubuntu", {"ubuntu": "http://own.site/ubuntu"}, "http://own.site/ubuntu"),
        ("other", {"other": "http://own.site/other"}, ""),
    ],
)
def test_an_archive_has_an_address_by_its_name(
    tmp_path: Path, archive: str, stated: dict[str, str], address: str
) -> None:
    """A lock has names only; a login of the host's apt is in no address that may be shown."""
    (tmp_path / "sources.list").write_text(
        "deb http://me:s3cret@deb.site/debian bookworm main\n"
        "deb http://me:s3cret@sec.site/debian-security bookworm-security main\n"
    )

    assert archive_address(archive, stated, folder=tmp_path) == address


@pytest.mark.parametrize("suite", ["sid", "unstable"])
def test_a_suite_that_moves_has_nothing_beside_it(suite: str) -> None:
    """No updates, no fixes: a mirror has no such suites."""
    mirrors = Mirrors("http://m/debian")

    assert mirrors.lines("debian", suite, keyring=KEYS).count("\n") == 1
    assert not mirrors.lacks_fixes("debian", suite)


@pytest.mark.parametrize("suite", ["bookworm", "trixie", "testing", "forky"])
def test_a_release_has_updates_and_fixes(suite: str) -> None:
    """Testing has both suites as well, most of the time empty."""
    lines = Mirrors("http://m/debian", "http://s/debian-security").lines(
        "debian", suite, keyring=KEYS
    )

    assert [line.split()[2:4] for line in lines.splitlines()] == [
        ["http://m/debian", suite],
        ["http://m/debian", f"{suite}-updates"],
        ["http://s/debian-security", f"{suite}-security"],
    ]
    assert Mirrors("http://m/debian").lacks_fixes("debian", suite)


@pytest.mark.parametrize(
    ("uri", "frozen"),
    [
        ("http://m.site/archive/debian/20261101T000000Z", True),
        ("http://m.site/archive/debian/20261101T000000Z/", True),
        ("http://m.site/20261101T000000Z/debian", False),
        ("http://m.site/debian", False),
    ],
)
def test_an_archive_of_a_day_may_be_old(apt: Path, uri: str, *, frozen: bool) -> None:
    """Its dates are over soon, and nothing else is: it is signed as all others are."""
    lines = mirrors_of("debian", {"debian": uri}, folder=apt).lines("debian", "sid", keyring=KEYS)

    assert f"signed-by={KEYS}" in lines
    assert ("check-valid-until=no" in lines) is frozen


@pytest.mark.parametrize(
    ("said", "takes"),
    [
        ("STATED='no'\nCHECKED='false'\n", True),
        ("STATED='yes'\nCHECKED='true'\n", False),
        ("CHECKED='false'\n", False),
        ("", False),
    ],
)
def test_the_hosts_apt_may_take_old_dates(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    *,
    takes: bool,
) -> None:
    """Only where it says so; a host without apt checks."""
    (tmp_path / "said").write_text(said)
    program = tmp_path / "apt-config"
    program.write_text(f"#!/bin/sh\n[ -s {tmp_path}/said ] && exec cat {tmp_path}/said\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    assert takes_old_dates(Runner()) is takes


@pytest.mark.parametrize("distribution", ["debian", "ubuntu"])
def test_a_host_without_a_keyring_is_told_which(tmp_path: Path, distribution: str) -> None:
    """No signature could be checked."""
    known = DISTRIBUTIONS[distribution]
    with pytest.raises(ToolNotFoundError, match="keyring is not installed") as caught:
        known.keyring_of(tmp_path)
    assert known.package in caught.value.hint

    place = tmp_path / known.keyring.relative_to("/")
    place.parent.mkdir(parents=True)
    place.touch()

    assert known.keyring_of(tmp_path) == known.keyring


UBUNTU = """\
Types: deb
URIs: http://archive.site/ubuntu/
Suites: noble noble-updates noble-backports
Components: main universe restricted multiverse
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg

Types: deb
URIs: http://security.site/ubuntu/
Suites: noble-security
Components: main universe restricted multiverse
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg
"""


@pytest.mark.parametrize("security", ["", "https://mirror.site/debian-security"])
def test_the_workflow_names_debian_to_a_runner_of_ubuntu(
    tmp_path: Path, project: Path, security: str
) -> None:
    """Ubuntu's own sources are no mirror of Debian, and what the workflow writes is one."""
    parts = tmp_path / "etc/apt/sources.list.d"
    parts.mkdir(parents=True)
    (parts / "ubuntu.sources").write_text(UBUNTU)
    with pytest.raises(ToolError, match="no mirror of Debian") as caught:
        host_mirrors("debian", parts.parent)
    assert "sources.list.d/debian.list" in caught.value.hint
    sudo = tmp_path / "sudo"
    sudo.write_text(f'#!/bin/sh\nexec "$1" "{tmp_path}$2"\n')
    sudo.chmod(0o755)

    workflow = yaml.safe_load((project / ".github/workflows/publish.yml").read_text())
    (script,) = (
        step["run"]
        for step in workflow["jobs"]["publish"]["steps"]
        if step.get("name") == "Debian's sources"
    )
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "MIRROR": "https://mirror.site/debian",
            "SECURITY": security,
        },
        check=True,
    )

    found = host_mirrors("debian", parts.parent)
    assert (found.main, found.security) == ("https://mirror.site/debian", security)
