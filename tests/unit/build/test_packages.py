"""Packages come from the host's mirrors, and nothing of how they came stays."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.build import apt_sources
from imagekit.build.image import Material
from imagekit.build.job import Below, CommandResult
from imagekit.build.packages import count_packages, install
from imagekit.build.plan import make_plan
from imagekit.errors import BuildError, ToolError
from imagekit.lock.lock import LockedDeb, LockedInstall, LockedWheel
from imagekit.oci.digest import Digest
from imagekit.oci.types import Platform
from imagekit.recipe.recipe import AptSource, BootstrapBase, Packages
from tests.support.folder_container import PLACE, FakeWorkshop, debian, ends, small_recipe

APT = Packages(manager="apt", install=("gcc", "make=4.3"), place=PLACE)
MIRRORS = "sources/mirrors.list"
SOURCE = AptSource(
    uri="https://p.site/a_b",
    suite="stable",
    components=("main", "extra"),
    signed_by="p.asc",
    key="a2V5IG9uZQ==",
    place=PLACE,
)
FLAT = AptSource(
    uri="http://q.site/flat/",
    suite="/",
    components=(),
    signed_by="q.asc",
    key="a2V5IHR3bw==",
    place=PLACE,
)
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


def _install(
    packages: Packages,
    workshop: FakeWorkshop,
    *sources: AptSource,
    system: BootstrapBase | None = None,
    locked: LockedInstall | None = None,
) -> tuple[Material, ...]:
    recipe = replace(small_recipe(workshop.folder), apt=sources)
    platform = Platform(os="linux", architecture="amd64")
    plan = make_plan(recipe, platform=platform, epoch=1, below=Below(system=system))
    return install(packages, workshop, workshop.root, plan=plan, locked=locked)


def test_apt_wants_a_debian(workshop: FakeWorkshop) -> None:
    """An empty image has no apt, and that is said before anything runs."""
    with pytest.raises(BuildError, match="no apt of Debian") as caught:
        _install(APT, workshop)

    assert "dnf install" in caught.value.hint
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
    (workshop.root / "usr/sbin").rmdir()
    (workshop.root / "usr/sbin").symlink_to(outside)

    with pytest.raises(BuildError, match="cannot be written in the image"):
        _install(APT, workshop)

    assert list(outside.iterdir()) == []


def test_apt_installs_with_its_sources_and_leaves_none(workshop: FakeWorkshop) -> None:
    """They are mounted while it runs, and services are kept from starting."""
    debian(workshop.root)
    seen: list[str] = []

    def runs(command: str, root: Path) -> CommandResult:
        seen.append((root / "usr/sbin/policy-rc.d").read_text())
        return ends(0)(command, root)

    workshop.runs = runs
    materials = _install(APT, workshop)

    assert b"debian bookworm main" in workshop.files["sources/mirrors.list"]
    assert workshop.mounts == ["/run/imagekit"]
    assert "Dir::Etc::sourceparts=/run/imagekit/sources " in workshop.calls[0]
    assert "Dir::Etc::sourcelist=/dev/null " in workshop.calls[0]
    assert "exit 101" in seen[0]
    assert "-- gcc make=4.3" in workshop.calls[0]
    assert [m.uri for m in materials] == ["pkg:generic/debian/bookworm"]
    assert not list((workshop.root / "etc/apt").iterdir())
    assert not (workshop.root / "usr/sbin/policy-rc.d").exists()


def test_the_images_own_service_policy_stays(workshop: FakeWorkshop) -> None:
    """Some images forbid services themselves."""
    debian(workshop.root)
    (workshop.root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101 # mine\n")

    _install(APT, workshop)

    assert "mine" in (workshop.root / "usr/sbin/policy-rc.d").read_text()


@pytest.mark.parametrize(
    ("status", "said"), [(100, "apt-get install ended"), (99, "apt-get update ended")]
)
def test_a_failing_apt_is_told(workshop: FakeWorkshop, status: int, said: str) -> None:
    """The last lines come along; what keeps services from starting is gone all the same."""
    debian(workshop.root)
    workshop.runs = ends(status, "E: Unable")

    with pytest.raises(BuildError, match=said) as caught:
        _install(APT, workshop)

    assert caught.value.output == "E: Unable"
    assert not (workshop.root / "usr/sbin/policy-rc.d").exists()


@pytest.mark.parametrize(
    ("keyrings", "used"),
    [
        (["debian-archive-keyring.gpg"], "debian-archive-keyring.gpg"),
        (["debian-archive-keyring.pgp"], "debian-archive-keyring.pgp"),
        ([], "debian-archive-keyring.gpg"),
    ],
)
def test_the_images_own_keys_are_used(
    workshop: FakeWorkshop, keyrings: list[str], used: str
) -> None:
    """From Debian 13 on the file has another name, and the old one is a link to it."""
    debian(workshop.root)
    folder = workshop.root / "usr/share/keyrings"
    folder.mkdir(parents=True)
    for name in keyrings:
        (folder / name).touch()
    if keyrings == ["debian-archive-keyring.pgp"]:
        (folder / "debian-archive-keyring.gpg").symlink_to("debian-archive-keyring.pgp")

    _install(APT, workshop)

    assert f"signed-by=/usr/share/keyrings/{used}]".encode() in workshop.files[MIRRORS]


def test_an_ubuntu_gets_ubuntus_mirror(workshop: FakeWorkshop) -> None:
    """By what os-release(5) says."""
    debian(workshop.root)
    (workshop.root / "usr/lib/os-release").write_text("ID=ubuntu\nVERSION_CODENAME=noble\n")

    _install(APT, workshop)

    assert b"http://mirror.example/ubuntu noble main" in workshop.files[MIRRORS]
    assert b"ubuntu-archive-keyring.gpg" in workshop.files[MIRRORS]


def test_the_suite_is_that_of_the_bootstrap(workshop: FakeWorkshop) -> None:
    """Testing and unstable have the same os-release, and other packages."""
    debian(workshop.root)
    sid = BootstrapBase(distribution="debian", suite="sid", place=PLACE)

    _install(APT, workshop, system=sid)

    assert b"debian sid main" in workshop.files[MIRRORS]


def test_repositories_of_others_are_there_while_apt_runs(workshop: FakeWorkshop) -> None:
    """Each with its own key and no other; what it was becomes a material, by its address."""
    debian(workshop.root)
    lists = workshop.root / "var/lib/apt/lists"
    (lists / "p.site_a%5fb_dists_stable_InRelease").write_text("signed too")
    (lists / "q.site_flat_Release").write_text("signed beside it")

    materials = _install(APT, workshop, SOURCE, FLAT)

    assert workshop.files["sources/1.sources"].decode().splitlines() == [
        "Types: deb",
        "URIs: https://p.site/a_b",
        "Suites: stable",
        "Components: main extra",
        "Signed-By: /run/imagekit/keys/1.gpg",
    ]
    assert workshop.files["sources/2.sources"].decode().splitlines() == [
        "Types: deb",
        "URIs: http://q.site/flat/",
        "Suites: /",
        "Signed-By: /run/imagekit/keys/2.gpg",
    ]
    assert workshop.files["keys/1.gpg"] == b"key one"
    assert workshop.files["keys/2.gpg"] == b"key two"
    assert [(m.uri, m.digest) for m in materials] == [
        ("pkg:generic/debian/bookworm", Digest.of(b"signed")),
        ("https://p.site/a_b/dists/stable/InRelease", Digest.of(b"signed too")),
        ("http://q.site/flat/Release", Digest.of(b"signed beside it")),
    ]


def test_a_repository_without_a_signed_state_is_refused(workshop: FakeWorkshop) -> None:
    """What apt does not keep cannot be named in the provenance."""
    debian(workshop.root)

    with pytest.raises(BuildError, match=r"no signed Release file of https://p\.site/a_b stable"):
        _install(APT, workshop, SOURCE)


def test_a_mirror_is_not_needed_beside_repositories_of_the_recipe(workshop: FakeWorkshop) -> None:
    """Where an image is of a distribution that this host has no mirror of."""
    debian(workshop.root)
    workshop.no_mirror = True
    with pytest.raises(ToolError, match="no mirror"):
        _install(APT, workshop)
    (workshop.root / "var/lib/apt/lists/q.site_flat_InRelease").touch()

    _install(APT, workshop, FLAT)

    assert workshop.files[MIRRORS] == b""


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

    found = apt_sources.materials(workshop.root, "debian")

    assert [m.uri for m in found] == ["pkg:generic/debian/bookworm"]


def _locked(*debs: tuple[str, str]) -> LockedInstall:
    return LockedInstall(
        manager="apt",
        asked=APT.install,
        debs=tuple(
            LockedDeb(
                name=name,
                version=version,
                architecture="amd64",
                sha256=Digest.of(name.encode()),
                size=1,
                path=f"pool/{name}.deb",
                archive="debian",
            )
            for name, version in debs
        ),
    )


def _gets(*debs: tuple[str, str]) -> Callable[[str, Path], CommandResult]:
    """Return what apt does: these versions are installed."""

    def runs(command: str, root: Path) -> CommandResult:
        if " install " in command:
            stanzas = [
                f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\n"
                f"Version: {version}\n"
                for name, version in debs
            ]
            (root / "var/lib/dpkg/status").write_text("\n".join(stanzas))
        return ends(0)(command, root)

    return runs


def test_locked_packages_need_neither_network_nor_mirror(workshop: FakeWorkshop) -> None:
    """Only what the lock has is there, and each is named by its digest."""
    debian(workshop.root)
    workshop.no_mirror = True
    workshop.runs = _gets(("gcc", "12"), ("libgcc", "12"))

    materials = _install(APT, workshop, locked=_locked(("gcc", "12"), ("libgcc", "12")))

    assert workshop.calls[0] == "repository bookworm of 2"
    assert "-- gcc make=4.3" in workshop.calls[1]
    assert workshop.calls[1].endswith("(no network)")
    assert [(m.uri, m.digest) for m in materials] == [
        (f"pkg:deb/debian/{name}@12?arch=amd64", Digest.of(name.encode()))
        for name in ("gcc", "libgcc")
    ]


@pytest.mark.parametrize(
    ("got", "said"),
    [
        ([("gcc", "12")], r"libgcc \(amd64\) in the version 12, and none was"),
        ([("gcc", "12"), ("libgcc", "13")], r"libgcc \(amd64\) in the version 12, and 13 was"),
        (
            [("gcc", "12"), ("libgcc", "12"), ("evil", "1")],
            r"evil \(amd64\) in the version none, and 1 was",
        ),
    ],
    ids=["missing", "other version", "one more"],
)
def test_another_package_than_the_locks_is_told(
    workshop: FakeWorkshop, got: list[tuple[str, str]], said: str
) -> None:
    """Else the image would not be what its lock says."""
    debian(workshop.root)
    workshop.runs = _gets(*got)

    with pytest.raises(BuildError, match=said) as caught:
        _install(APT, workshop, locked=_locked(("gcc", "12"), ("libgcc", "12")))

    assert caught.value.code == "build/not-as-locked"
    assert "imagekit lock" in caught.value.hint


def test_what_was_there_before_need_not_be_locked_again(workshop: FakeWorkshop) -> None:
    """A lock's entry has what is installed on top."""
    debian(workshop.root)
    (workshop.root / "var/lib/dpkg/status").write_text(
        "Package: old\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n"
    )
    workshop.runs = _gets(("old", "1"), ("gcc", "12"))

    assert len(_install(APT, workshop, locked=_locked(("gcc", "12")))) == 1


def test_pip_gets_the_wheels_of_the_lock(workshop: FakeWorkshop) -> None:
    """They are asked for by their digests."""
    wheel = LockedWheel(
        name="humanize", version="4.12.3", file="h.whl", sha256=Digest.of(b"w"), size=1
    )
    locked = LockedInstall(manager="pip", asked=PIP.install, wheels=(wheel,))
    workshop.runs = ends(0, python())

    _install(PIP, workshop, locked=locked)

    assert "wheels for 3.11.2 of 1, 1 locked" in workshop.calls
