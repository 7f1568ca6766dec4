"""What is copied of a stage: as it is there, and nothing that lies outside of it."""

import json
import os
import platform
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.tinyroot import tiny_root

pytestmark = [pytest.mark.real, pytest.mark.slow]

# setxattr(2), by its number (syscalls(2)).
_SETXATTR = {"x86_64": 188, "aarch64": 5}[platform.machine()]
_MAKE = r"""
umask 0;
mkdir "/opt"; mkdir "/opt/x"; mkdir "/opt/x/open", 01777; mkdir "/opt/x/shut", 0700;
open F, ">", "/opt/x/a"; print F "content"; close F;
chmod 04755, "/opt/x/a"; link "/opt/x/a", "/opt/x/hard"; symlink "a", "/opt/x/soft";
symlink "/secret", "/opt/x/absolute"; symlink "../../../../../../../secret", "/opt/x/relative";
symlink "OUTSIDE", "/opt/x/outside"; symlink "../" x 20 . "OUTSIDE", "/opt/x/up";
symlink "/opt/x", "/opt/link"; symlink "OUTSIDE", "/opt/folder";
open F, ">", "/secret"; print F "of the stage"; close F;
open F, ">", "/.dockerignore"; print F "*\n"; close F;
($file, $name, $value) = ("/opt/x/a", "user.origin", "here");
syscall(SETXATTR, $file, $name, $value, 4, 0) == 0 or die "setxattr: $!";
"""
_RECIPE = """\
schema: 1
name: staged
version: 1.0.0
base: scratch
stages:
  first:
    steps:
      - copy: {{from: root, to: /}}
      - run: [/usr/bin/perl, /make.pl]
  second:
    steps:
      - copy: {{from_stage: first, from: /opt, to: /opt}}
steps:
{steps}
"""


def _build(folder: Path, *steps: str) -> subprocess.CompletedProcess[str]:
    recipe = _RECIPE.format(steps="\n".join(f"  - copy: {{{step}}}" for step in steps))
    (folder / "recipe/recipe.yaml").write_text(recipe)
    env = {"HOME": str(folder / "home"), "SOURCE_DATE_EPOCH": "1700000000"}
    return subprocess.run(
        [sys.executable, "-m", "imagekit", "build", folder / "recipe", "--no-test"],
        env=os.environ | env | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe's files, and one of the host that links lead to."""
    folder = tmp_path_factory.mktemp("stages")
    (folder / "home").mkdir()
    (folder / "outside").mkdir()
    (folder / "outside/key").write_text("of the host")
    tiny_root(folder / "recipe/root")
    script = _MAKE.replace("SETXATTR", str(_SETXATTR))
    (folder / "recipe/root/make.pl").write_text(
        script.replace("OUTSIDE", str(folder / "outside").lstrip("/"), 1).replace(
            "OUTSIDE", str(folder / "outside")
        )
    )
    (folder / "recipe/root/hole").symlink_to(folder / "outside")
    return folder


def _members(folder: Path, digest: str) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """Return what the image's layers hold."""
    blobs = folder / "home/.local/share/imagekit/images/blobs/sha256"
    manifest = json.loads((blobs / digest).read_text())
    members = {}
    for layer in manifest["layers"]:
        with tarfile.open(blobs / layer["digest"].removeprefix("sha256:")) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                members[member.name] = (member, content.read() if content else b"")
    return members


def test_what_a_stage_made_is_copied_as_it_is(folder: Path) -> None:
    """Through a second stage: modes, hard links, links and attributes; times are the image's."""
    said = _build(
        folder,
        "from_stage: second, from: /opt/x, to: /opt/y",
        "from_stage: first, from: /opt/link/soft, to: /opt/",
        "from_stage: first, from: /opt/x/absolute, to: /opt/secret, owner: '7:8'",
    )
    assert said.returncode == 0, said.stderr
    members = _members(folder, said.stdout.strip().rpartition("sha256:")[2])

    kinds = {name: (member.type, oct(member.mode)) for name, (member, _) in members.items()}
    assert kinds["opt/y/a"] == (tarfile.REGTYPE, "0o4755")
    assert kinds["opt/y/hard"] == (tarfile.LNKTYPE, "0o4755")
    assert members["opt/y/hard"][0].linkname == "opt/y/a"
    assert kinds["opt/y/open"] == (tarfile.DIRTYPE, "0o1777")
    assert kinds["opt/y/shut"] == (tarfile.DIRTYPE, "0o700")
    for name in ("soft", "absolute", "relative", "outside", "up"):
        assert members[f"opt/y/{name}"][0].type == tarfile.SYMTYPE
    assert members["opt/y/a"][0].pax_headers["SCHILY.xattr.user.origin"] == "here"
    assert {(m.uid, m.gid) for name, (m, _) in members.items() if name.startswith("opt/y")} == {
        (0, 0)
    }
    # A link that is named itself is followed, and keeps its name where a folder is named.
    assert members["opt/soft"][1] == b"content"
    # In the stage, whatever the host has there.
    assert members["opt/secret"][1] == b"of the stage"
    assert (members["opt/secret"][0].uid, members["opt/secret"][0].gid) == (7, 8)
    # Nothing else of the stages.
    assert not {"make.pl", "usr", "secret"} & members.keys()
    assert b"of the host" not in b"".join(content for _, content in members.values())


@pytest.mark.parametrize("source", ["/opt/folder", "/opt/folder/key", "/opt/x/up/key", "/nothing"])
def test_links_lead_nowhere_out_of_a_stage(folder: Path, source: str) -> None:
    """The host's own folder is not one of the stage."""
    said = _build(folder, f"from_stage: second, from: {source}, to: /opt/x")

    assert said.returncode == 6
    assert "build/not-in-stage" in said.stderr
    assert "recipe.yaml:14:" in said.stderr


def test_links_of_the_image_lead_nowhere_out_of_it(folder: Path) -> None:
    """What is copied goes where the link leads in the image."""
    said = _build(
        folder, "from: root, to: /", "from_stage: second, from: /opt/x/a, to: /hole/planted"
    )

    assert said.returncode == 0, said.stderr
    members = _members(folder, said.stdout.strip().rpartition("sha256:")[2])
    assert f"{folder / 'outside'}/planted".lstrip("/") in members
    assert [path.name for path in (folder / "outside").iterdir()] == ["key"]
