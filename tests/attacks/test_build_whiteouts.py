"""What Buildah's layers would not hold, or hold as something else, is refused before it is lost.

A name may mean a removal, and without an access control list its mask would be the group's rights.
"""

import os
import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tinyroot import tiny_root

pytestmark = [pytest.mark.real, pytest.mark.slow]

RECIPE = "schema: 1\nname: removals\nversion: 1.0.0\ncontainerfile: Containerfile\n"


# linux/posix_acl_xattr.h: version 2; owner rw-, user 1234 rwx, group ---, mask rwx, others ---.
_ENTRIES = ((1, 6, -1), (2, 7, 1234), (4, 0, -1), (16, 7, -1), (32, 0, -1))
ACL = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in _ENTRIES)
SETXATTR = {"x86_64": 188, "aarch64": 5}.get(platform.machine(), 188)
SET = f'$v = pack "H*", "{ACL.hex()}"; syscall({SETXATTR}, $p, $n, $v, length $v, 0) and die "$!"'
PERL = {
    "removal": 'open F, ">/usr/bin/.wh.cat"; close F; -e "/usr/bin/.wh.cat" or die',
    "opaque": 'mkdir "/d"; open F, ">/d/.wh..wh..opq"; close F; -e "/d/.wh..wh..opq" or die',
    "list": f'$p = "/f"; open F, ">$p"; close F; $n = "system.posix_acl_access"; {SET}',
    "default list": f'$p = "/g"; mkdir $p; $n = "system.posix_acl_default"; {SET}',
}
LAST = "FROM scratch\nCOPY root /\nRUN {step}\n"
EARLIER = "FROM scratch AS one\nCOPY root /\nRUN {step}\nFROM one\nRUN cat /etc/x > /copy\n"


def _build(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "imagekit", "build", folder / "recipe", "--no-cache", *words],
        env=os.environ
        | {
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "SOURCE_DATE_EPOCH": "1700000000",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _recipe(folder: Path, containerfile: str) -> Path:
    tiny_root(folder / "root")
    (folder / "root/etc").mkdir()
    (folder / "root/etc/x").write_text("x")
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "Containerfile").write_text(containerfile)
    return folder


@pytest.mark.parametrize("isolation", ["chroot", "oci"])
@pytest.mark.parametrize("stages", [LAST, EARLIER], ids=["last stage", "earlier stage"])
@pytest.mark.parametrize("step", PERL)
def test_what_a_run_makes(tmp_path: Path, step: str, stages: str, isolation: str) -> None:
    """It is seen before Buildah commits the stage: afterwards it could not be."""
    _recipe(tmp_path / "recipe", stages.format(step=f"/usr/bin/perl -e '{PERL[step]}'"))

    said = _build(tmp_path, "--isolation", isolation)

    assert said.returncode == 6, said.stderr
    assert "build/cannot-keep" in said.stderr
    assert ("access control list" if "list" in step else ".wh.") in said.stderr


@pytest.mark.parametrize("isolation", ["chroot", "oci"])
def test_what_a_run_removes_is_removed(tmp_path: Path, isolation: str) -> None:
    """A removal of the storage's own is none of these; a socket that is left out is named."""
    step = 'unlink "/etc/x" or die; mkdir "/new"; socket S, 1, 1, 0; bind S, pack "Sa*", 1, "/sock"'
    _recipe(
        tmp_path / "recipe",
        f"FROM scratch AS one\nCOPY root /\nFROM one\nRUN /usr/bin/perl -e '{step}'\n",
    )

    said = _build(tmp_path, "--isolation", isolation)

    assert said.returncode == 0, said.stderr
    assert "/sock: not in the image" in said.stderr


@pytest.mark.parametrize("name", [".wh.x", "folder/.wh..wh..opq", ".wh.folder/x"])
def test_file_of_the_context(tmp_path: Path, name: str) -> None:
    """Buildah copies it, and its layer has a removal in the file's place."""
    folder = tmp_path / "recipe"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("a file\n")
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "Containerfile").write_text("FROM scratch\nCOPY . /\n")

    said = _build(tmp_path)

    assert said.returncode == 6, said.stderr
    assert "build/cannot-keep" in said.stderr
    assert ".wh." in said.stderr
