"""The tests of a container-structure-test file: each fails by one thing, and by nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.build.job import Trial, TrialOutcome
from imagekit.check.cases import CommandCase, LookCase
from imagekit.check.check import cases_of
from imagekit.recipe import load
from tests.support.archives import archive, entry, link
from tests.support.built import RECIPE, layered_image

LAYER = archive(
    entry("opt/solve", b"#!/bin/sh\n", mode=0o4750, uid=7, gid=8),
    entry("etc/hosts", b"127.0.0.1 localhost\n"),
    link("etc/link", "hosts"),
    entry("tmp", mode=0o1777),
    entry("usr/share/doc/a/copyright", b"GPL-2\n"),
    entry("usr/share/doc/libgnutls30/copyright", b"AGPL\n"),
    entry("usr/share/doc/README", b"AGPL\n"),
    entry("LICENSE", b"wtfpl\n"),
    entry("latin", b"na\xefve\n"),
)
CONFIG: dict[str, Any] = {
    "env": ("PATH=/opt:/bin", "A=b=c", "HOSTS=/etc/hosts"),
    "labels": {"site": "hpc"},
    "entrypoint": ("/opt/solve",),
    "cmd": ("--help",),
    "workdir": "/w",
    "user": "7:8",
    "exposed_ports": ("8080/tcp", "53/udp"),
    "volumes": ("/data",),
}


def _cases(folder: Path, **tests: object) -> tuple[CommandCase | LookCase, ...]:
    place = folder / "r"
    place.mkdir()
    text = RECIPE.format(version="1.0") + "tests: [{structure: s.json, time_limit: 9}]\n"
    (place / "recipe.yaml").write_text(text)
    (place / "hello.txt").touch()
    (place / "s.json").write_text(json.dumps({"schemaVersion": "2.0.0", **tests}))
    image = layered_image(folder / "built", (LAYER,), **CONFIG)
    config = (image.layout / "blobs/sha256" / image.config.digest.hex).read_bytes()
    return cases_of(load(place), image, config)


def _looked(folder: Path, **tests: object) -> str:
    (case,) = _cases(folder, **tests)
    assert isinstance(case, LookCase)
    return case.look()


def _command(folder: Path, **test: object) -> CommandCase:
    (case,) = _cases(folder, commandTests=[{"name": "n", "command": "c", **test}])
    assert isinstance(case, CommandCase)
    return case


@pytest.mark.parametrize(
    ("test", "fault"),
    [
        ({"path": "/opt/solve"}, ""),
        ({"path": "/opt/none"}, "/opt/none is not there"),
        ({"path": "/opt/none", "shouldExist": False}, ""),
        ({"path": "/opt/solve", "shouldExist": False}, "/opt/solve is there"),
        ({"path": "/opt/solve", "permissions": "urwxr-x---"}, ""),
        (
            {"path": "/opt/solve", "permissions": "-rwxr-x---"},
            "/opt/solve has the permissions urwxr-x---, expected -rwxr-x---",
        ),
        ({"path": "/tmp", "permissions": "dtrwxrwxrwx"}, ""),
        ({"path": "/etc/link", "permissions": "Lrwxrwxrwx"}, ""),
        ({"path": "/etc/hosts", "permissions": "-rw-r--r--"}, ""),
        ({"path": "/opt/solve", "uid": 7, "gid": 8}, ""),
        ({"path": "/opt/solve", "uid": 0}, "/opt/solve is of the user 7, expected 0"),
        ({"path": "/opt/solve", "gid": 0}, "/opt/solve is of the group 8, expected 0"),
        ({"path": "/opt/solve", "isExecutableBy": "any"}, ""),
        ({"path": "/opt/solve", "isExecutableBy": "owner"}, ""),
        ({"path": "/opt/solve", "isExecutableBy": "group"}, ""),
        (
            {"path": "/opt/solve", "isExecutableBy": "other"},
            "/opt/solve is not executable by other: urwxr-x---",
        ),
        ({"path": "$HOSTS"}, ""),
    ],
)
def test_files_are_there_as_they_should_be(
    tmp_path: Path, test: dict[str, object], fault: str
) -> None:
    """A link is looked at itself, as Docker copies it out."""
    assert _looked(tmp_path, fileExistenceTests=[{"name": "n", **test}]) == fault


@pytest.mark.parametrize(
    ("test", "fault"),
    [
        ({"path": "/etc/hosts", "expectedContents": ["localhost", "^127"]}, ""),
        ({"path": "/etc/link", "expectedContents": ["localhost"]}, ""),
        ({"path": "/latin", "expectedContents": ["^na"]}, ""),
        (
            {"path": "/etc/hosts", "expectedContents": ["^localhost"]},
            "/etc/hosts does not match '^localhost'",
        ),
        ({"path": "/etc/hosts", "excludedContents": ["local"]}, "/etc/hosts matches 'local'"),
        ({"path": "/etc/none", "excludedContents": ["x"]}, "/etc/none is no file"),
        ({"path": "/etc", "excludedContents": ["x"]}, "/etc is no file"),
    ],
)
def test_files_hold_what_they_should(tmp_path: Path, test: dict[str, object], fault: str) -> None:
    """What is not there holds nothing that could be judged."""
    assert _looked(tmp_path, fileContentTests=[{"name": "n", **test}]) == fault


GOOD = {
    "envVars": [{"key": "A", "value": "b=c"}, {"key": "PATH", "value": "^/opt", "isRegex": True}],
    "unboundEnvVars": [{"key": "B"}],
    "labels": [{"key": "site", "value": "h.c", "isRegex": True}],
    "entrypoint": ["/opt/solve"],
    "cmd": ["--help"],
    "workdir": "/w",
    "user": "7:8",
    "exposedPorts": ["8080", "53/udp"],
    "unexposedPorts": ["22"],
    "volumes": ["/data"],
    "unmountedVolumes": ["/other"],
}


def test_a_configuration_that_fits(tmp_path: Path) -> None:
    """All of it; it is reported by the key that it stands under."""
    (case,) = _cases(tmp_path, metadataTest=GOOD)

    assert isinstance(case, LookCase)
    assert (case.name, case.look()) == ("metadataTest", "")


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("envVars", [{"key": "A", "value": "b"}], "the variable A is 'b=c', expected 'b'"),
        ("envVars", [{"key": "Z", "value": ""}], "the variable Z is not there"),
        (
            "envVars",
            [{"key": "A", "value": "^c", "isRegex": True}],
            "the variable A is 'b=c', which does not match '^c'",
        ),
        ("unboundEnvVars", [{"key": "A"}], "the variable A is there"),
        ("labels", [{"key": "site", "value": "h.c"}], "the label site is 'hpc', expected 'h.c'"),
        ("entrypoint", [], "the entrypoint is ['/opt/solve'], expected []"),
        ("cmd", ["--help", "x"], "the cmd is ['--help'], expected ['--help', 'x']"),
        ("workdir", "/", "the workdir is '/w', expected '/'"),
        ("user", "root", "the user is '7:8', expected 'root'"),
        ("exposedPorts", ["8081"], "the port 8081 is not there"),
        ("unexposedPorts", ["8080"], "the port 8080 is there"),
        ("volumes", ["/w"], "the volume /w is not there"),
        ("unmountedVolumes", ["/data"], "the volume /data is there"),
    ],
)
def test_a_configuration_that_differs_in_one_thing(
    tmp_path: Path, key: str, value: object, fault: str
) -> None:
    """With what is there and what was expected."""
    assert _looked(tmp_path, metadataTest={**GOOD, key: value}) == fault


@pytest.mark.parametrize(
    ("test", "fault"),
    [
        ({"debian": True}, ""),
        ({"debian": False, "files": ["/etc/hosts"]}, ""),
        (
            {"debian": True, "files": ["/LICENSE"]},
            "/LICENSE names WTFPL, which the format does not allow",
        ),
        ({"debian": False, "files": ["/none"]}, "/none is no file"),
    ],
)
def test_licences_that_the_format_does_not_allow(
    tmp_path: Path, test: dict[str, object], fault: str
) -> None:
    """One package is excepted, as there; what is no package's folder is none."""
    assert _looked(tmp_path, licenseTests=[test]) == fault


def test_a_command_is_run_as_the_recipe_says(tmp_path: Path) -> None:
    """With the image's variables put in; its own user goes before."""
    case = _command(tmp_path, args=["$A", "${NONE}x"], envVars=[{"key": "P", "value": "/n:$PATH"}])

    assert case.name == "n"
    expected = Trial(command=("c", "b=c", "x"), env={"P": "/n:/opt:/bin"}, limit=9.0)
    assert case.trial == replace(expected, user="48211:48211")


def test_the_file_may_name_a_user(tmp_path: Path) -> None:
    """As containerRunOptions has it."""
    test = {"name": "n", "command": "c"}

    (case,) = _cases(tmp_path, commandTests=[test], containerRunOptions={"user": "root"})

    assert isinstance(case, CommandCase)
    assert case.trial.user == "root"


@pytest.mark.parametrize(
    ("test", "fault"),
    [
        ({}, ""),
        ({"expectedOutput": ["^out$"], "excludedOutput": ["err"]}, ""),
        ({"expectedError": ["^err$"], "excludedError": ["out"]}, ""),
        ({"exitCode": 1}, "ended with 0, expected 1"),
        ({"expectedOutput": ["^out$", "more"]}, "its stdout does not match 'more'"),
        ({"excludedOutput": ["o"]}, "its stdout matches 'o'"),
        ({"expectedError": ["x"]}, "its stderr does not match 'x'"),
        ({"excludedError": ["e"]}, "its stderr matches 'e'"),
    ],
)
def test_a_command_must_end_as_it_says(tmp_path: Path, test: dict[str, object], fault: str) -> None:
    """Each alone is a fault."""
    ran = TrialOutcome(status=0, stdout="out", stderr="err")

    assert _command(tmp_path, **test).judge(ran) == fault


def test_a_layer_that_cannot_be_read_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no test that passed."""
    monkeypatch.setattr("imagekit.check.image_files.MAX_CONTENT", 3)

    fault = _looked(tmp_path, fileContentTests=[{"name": "n", "path": "/etc/hosts"}])

    assert "bytes of files to read" in fault
