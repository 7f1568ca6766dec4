"""What is copied from a recipe depends on what its digest covers, and on nothing else."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from imagekit.build.job import Job
from imagekit.build.tools.build_container import BuildahContainer, _settle
from imagekit.oci.digest import Digest
from imagekit.process import Outcome, Runner


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A folder as a checkout, a browser and an umask leave it."""
    folder = tmp_path / "copied"
    folder.mkdir(mode=0o700)
    (folder / "tool").write_text("x")
    (folder / "tool").chmod(0o700)
    (folder / "text").write_text("x")
    (folder / "text").chmod(0o600)
    (folder / "link").symlink_to("./missing//")
    for path in (folder, folder / "text"):
        os.setxattr(path, "user.xdg.origin.url", b"https://site.example/?token=s3cret")
    return folder


def test_modes_and_times_are_the_images(copied: Path) -> None:
    """Whatever the umask was."""
    _settle(copied, mode=None, epoch=7)

    found = {path.name: path.lstat() for path in (copied, *copied.iterdir())}
    modes = {name: stat.S_IMODE(status.st_mode) for name, status in found.items()}
    assert modes == {"copied": 0o755, "tool": 0o755, "text": 0o644, "link": 0o777}
    assert {status.st_mtime for status in found.values()} == {7}


def test_attributes_of_the_checkout_go(copied: Path) -> None:
    """A browser writes the address of a download into one, with the token in it."""
    _settle(copied, mode=None, epoch=7)

    assert not any(os.listxattr(path) for path in (copied, copied / "tool", copied / "text"))


class _Asked:
    """Answers with a version, and writes down who was asked."""

    def __init__(self) -> None:
        self.programs: list[str] = []

    def run(self, argv: Sequence[str]) -> Outcome:
        self.programs.append(argv[0])
        said = f"{argv[0]} version 1.0 (x)\n"
        return Outcome(argv=tuple(argv), status=0, stdout=said, stderr="", seconds=0.0)


def test_a_program_is_asked_for_its_version_once_and_only_if_it_was_used() -> None:
    """Mmdebstrap takes as long to say it as all else that a small layer needs."""
    plan = SimpleNamespace(platform=None)
    job = SimpleNamespace(store=None, folder=None, plan=plan)
    asked = _Asked()
    container = BuildahContainer(cast("Job", job), cast("Runner", asked), lambda _: Digest.of(b""))

    assert [name for name, _ in container.tools(bootstrapped=False)] == ["buildah"]
    assert asked.programs == ["buildah"]
    assert [name for name, _ in container.tools(bootstrapped=True)] == ["buildah", "mmdebstrap"]
    container.tools(bootstrapped=True)
    assert asked.programs == ["buildah", "mmdebstrap"]
