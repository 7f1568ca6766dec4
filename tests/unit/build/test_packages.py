"""Packages come from the host's mirrors, and nothing of how they came stays."""

import json
from pathlib import Path

import pytest

from imagekit.build.image import Material
from imagekit.build.job import CommandResult
from imagekit.build.packages import count_packages, install, lists_of
from imagekit.errors import BuildError
from imagekit.recipe.recipe import Packages
from tests.support.folder_container import PLACE, FakeWorkshop, debian, ends

APT = Packages(manager="apt", install=("gcc", "make=4.3"), place=PLACE)
PIP = Packages(manager="pip", install=(f"humanize==4.12.3 --hash=sha256:{'a' * 64}",), place=PLACE)


def python(**changes: object) -> str:
    """Return what an image's Python says of itself, among other lines."""
    markers = {"python_version": "3.11", "python_full_version": "3.11.2", "sys_platform": "linux"}
    others = (
        "implementation_name", "implementation_version", "os_name", "platform_machine",
        "platform_python_implementation", "platform_release", "platform_system",
        "platform_version",
    )  # fmt: skip
    said: dict[str, object] = {
        "implementation": "cpython",
        "version": "3.11.2",
        "threads": False,
        "machine": "x86_64",
        "bits": 64,
        "libc": "glibc 2.36",
        "markers": dict.fromkeys(others, "x") | markers,
    }
    return f"{json.dumps(said | changes)}\nWARNING: of something else\n"


def _install(packages: Packages, workshop: FakeWorkshop) -> tuple[Material, ...]:
    return install(packages, workshop, workshop.root, epoch=1, limit=60.0)


def test_apt_wants_a_debian(workshop: FakeWorkshop) -> None:
    """An empty image has no apt, and that is said before anything runs."""
    with pytest.raises(BuildError, match="no apt of Debian"):
        _install(APT, workshop)

    assert workshop.calls == []


@pytest.mark.parametrize(
    "release",
    [
        "ID=fedora\nVERSION_CODENAME=bookworm\n",
        "ID=debian\nVERSION_CODENAME='bookworm main contrib'\n",
        "ID=debian\nVERSION_CODENAME=../../etc\n",
    ],
)
def test_an_odd_release_is_no_debian(workshop: FakeWorkshop, release: str) -> None:
    """What an image says of itself goes into apt's sources: it has to be a plain word."""
    debian(workshop.root)
    (workshop.root / "usr/lib/os-release").write_text(release)

    with pytest.raises(BuildError, match="no apt of Debian"):
        _install(APT, workshop)


def test_an_image_whose_usr_is_the_hosts_gets_nothing(
    workshop: FakeWorkshop, tmp_path: Path
) -> None:
    """A hostile base may point its folders anywhere; nothing is written there."""
    debian(workshop.root)
    outside = tmp_path / "outside"
    outside.mkdir()
    (workshop.root / "etc/apt").rmdir()
    (workshop.root / "etc/apt").symlink_to(outside)

    with pytest.raises(BuildError, match="cannot be written in the image"):
        _install(APT, workshop)

    assert list(outside.iterdir()) == []


def test_apt_installs_with_its_sources_and_leaves_none(workshop: FakeWorkshop) -> None:
    """While it runs, the sources are there and services are kept from starting."""
    debian(workshop.root)
    seen: list[str] = []

    def runs(command: str, root: Path) -> CommandResult:
        seen.append((root / "etc/apt/sources.list.d/imagekit.list").read_text())
        seen.append((root / "usr/sbin/policy-rc.d").read_text())
        return ends(0)(command, root)

    workshop.runs = runs
    materials = _install(APT, workshop)

    assert "bookworm main" in seen[0]
    assert "exit 101" in seen[1]
    assert "-- gcc make=4.3" in workshop.calls[0]
    assert [m.uri for m in materials] == ["pkg:generic/debian/bookworm"]
    assert not list((workshop.root / "etc/apt/sources.list.d").iterdir())
    assert not (workshop.root / "usr/sbin/policy-rc.d").exists()


def test_the_images_own_service_policy_stays(workshop: FakeWorkshop) -> None:
    """Some images forbid services themselves."""
    debian(workshop.root)
    (workshop.root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101 # mine\n")

    _install(APT, workshop)

    assert "mine" in (workshop.root / "usr/sbin/policy-rc.d").read_text()


def test_a_failing_apt_is_told_and_leaves_no_sources(workshop: FakeWorkshop) -> None:
    """The last lines come along; the sources are gone all the same."""
    debian(workshop.root)
    workshop.runs = ends(100, "E: Unable")

    with pytest.raises(BuildError, match="apt-get ended with 100") as caught:
        _install(APT, workshop)

    assert caught.value.output == "E: Unable"
    assert not list((workshop.root / "etc/apt/sources.list.d").iterdir())


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (127, ""),
        (0, ""),
        (0, "3.11\n"),
        (0, python(version="2.7.18")),
        (0, python(version="3.11.2; rm")),
        (0, python(version="--index-url=x")),
        (0, python(implementation="pypy")),
        (0, python(machine="--x")),
        (0, python(libc="")),
        (0, python(libc="glibc 3.0")),
        (0, python(markers={})),
    ],
)
def test_pip_wants_a_python_that_says_its_version(
    workshop: FakeWorkshop, status: int, said: str
) -> None:
    """What the image's python says is given to pip as an argument."""
    workshop.runs = ends(status, said)

    with pytest.raises(BuildError, match=r"python3") as caught:
        _install(PIP, workshop)

    assert caught.value.code == "build/no-python"
    assert len(workshop.calls) == 1


def test_pip_installs_from_the_wheels_only(workshop: FakeWorkshop) -> None:
    """Without an index, by hash, and with the pip that was brought."""
    workshop.runs = ends(0, python())

    materials = _install(PIP, workshop)

    assert workshop.calls[1] == "wheels for 3.11.2 of 1"
    assert "--no-index" in workshop.calls[2]
    assert "--require-hashes" in workshop.calls[2]
    assert [m.uri for m in materials] == ["pkg:pypi/humanize"]


def test_a_failing_pip_is_told(workshop: FakeWorkshop) -> None:
    """With what it said."""

    def runs(command: str, root: Path) -> CommandResult:
        return ends(1 if "install" in command else 0, python())(command, root)

    workshop.runs = runs

    with pytest.raises(BuildError, match="pip ended with 1"):
        _install(PIP, workshop)


def test_only_installed_packages_count(workshop: FakeWorkshop) -> None:
    """What was removed and left its configuration is not installed."""
    assert count_packages(workshop.root) == 0
    debian(workshop.root)
    assert count_packages(workshop.root) == 1


def test_lists_are_signed_release_files_only(workshop: FakeWorkshop) -> None:
    """Indexes of packages, links and folders are left alone."""
    debian(workshop.root)
    lists = workshop.root / "var/lib/apt/lists"
    (lists / "m_dists_bookworm_main_Packages").write_text("")
    (lists / "link_dists_x_InRelease").symlink_to("/etc/passwd")
    (lists / "folder_dists_x_InRelease").mkdir()

    assert [m.uri for m in lists_of(workshop.root)] == ["pkg:generic/debian/bookworm"]
