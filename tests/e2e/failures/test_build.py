"""Disks that are full, and builds that end by kill -9: the next run needs no help of anybody."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagekit.sign.keyed import KeySigner
from imagekit.sign.open_signer import open_signer
from tests.support.command import at_home, command
from tests.support.left_behind import left_behind
from tests.support.namespaces import pid_namespace
from tests.support.released import RECIPE, complete, no_unsigned_tag, whole_blobs
from tests.support.tinyroot import tiny_root
from tests.support.whole import WHOLE, times

pytestmark = [pytest.mark.real, pytest.mark.slow]

STEP = "  - copy: {from: root, to: /}\n  - run: cat /usr/bin/cat /usr/bin/sh > /made\ntags:"
FOLDERS = {
    "data": "home/.local/share",
    "cache": "home/.cache",
    "state": "home/.local/state",
    "temporary files": "tmp",
    "destination": "images",
}
"""What can be on a disk of its own."""
SIZES = {"data": (8, 1000, 5000), "cache": (4,), "destination": (600,)}
"""KiB of the disk, too few each time, for another part of the work."""
WHOLE_SIZES = dict.fromkeys(FOLDERS, (4, 8, 12, 16, 24, 64, *range(200, 12_000, 200)))


@dataclass(frozen=True)
class Site:
    """A home with a key and a recipe, and a layout that is published to."""

    folder: Path

    @property
    def home(self) -> Path:
        """Where the local store is."""
        return self.folder / "home"

    @property
    def to(self) -> str:
        """The destination."""
        return f"oci:{self.folder}/images"

    @property
    def signer(self) -> KeySigner:
        """Who publishes."""
        return open_signer(self.folder / "imagekit.key", lambda: "x")

    @property
    def env(self) -> dict[str, str]:
        """The environment in which it is published."""
        return at_home(self.home, IMAGEKIT_KEY_PASSWORD="x", TMPDIR=str(self.folder / "tmp"))

    def command(self, *before: str) -> "subprocess.Popen[str]":
        """Begin to publish."""
        words = ("publish", "recipe", "--to", self.to, "--key", "imagekit.key", "--no-test")
        return subprocess.Popen(
            [*before, *command(*words)],
            env=self.env,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def publish(self) -> tuple[int, str]:
        """Publish, and return the exit code and what was said."""
        with self.command() as process:
            said = process.communicate(timeout=300)[1]
        return process.returncode, said

    def hold_next_run(self, *mounts: Path) -> None:
        """Hold that nobody gets half a release, and that the next run ends well."""
        no_unsigned_tag(self.to, self.signer)
        code, said = self.publish()
        assert code == 0, said
        complete(self.to, self.signer)
        whole_blobs(self.home)
        own = [f" {mount} tmpfs " for mount in mounts]
        left = [each for each in left_behind(self.home) if not any(line in each for line in own)]
        assert left == []

    def clear(self) -> None:
        """Forget all that was built and published."""
        for name in ("home", "images", "tmp"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / "tmp").mkdir()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A recipe of a shell, and a step that writes a few megabytes."""
    site = Site(tmp_path_factory.mktemp("site"))
    tiny_root(site.folder / "recipe/root", ("sh", "cat"))
    (site.folder / "recipe/recipe.yaml").write_text(RECIPE.replace("tags:", STEP))
    (site.folder / "recipe/hello.txt").write_text("hello\n")
    site.clear()
    made = command("key", "generate")
    subprocess.run(made, env=site.env, cwd=site.folder, check=True, capture_output=True)
    return site


@contextmanager
def _disk(folder: Path, kibibytes: int) -> Iterator[None]:
    """Mount a disk of that size on a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    size = f"size={kibibytes}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", str(folder)], check=True)


def _disks() -> Iterator[tuple[str, int]]:
    for name, sizes in (WHOLE_SIZES if WHOLE else SIZES).items():
        yield from ((name, size) for size in sizes)


@pytest.mark.root
@pytest.mark.parametrize(("name", "size"), list(_disks()))
def test_a_full_disk(site: Site, name: str, size: int) -> None:
    """It is told with what to do, and when there is room the same command ends well."""
    site.clear()
    folder = site.folder / FOLDERS[name]
    with _disk(folder, size):
        code, said = site.publish()

        assert "Traceback" not in said
        assert code in {0, 6}, said
        assert code == 0 or "room" in said, said
        no_unsigned_tag(site.to, site.signer)
        subprocess.run(["mount", "-o", "remount,size=1g", str(folder)], check=True)
        site.hold_next_run(folder)


@pytest.mark.root
def test_killed_at_any_time(site: Site) -> None:
    """Everything ends at once, as where a machine loses its power: worker, Buildah and steps."""
    site.clear()
    began = time.monotonic()
    assert site.publish()[0] == 0
    lasts = time.monotonic() - began
    rounds = times(2, 60)
    killed = 0
    for number in range(rounds):
        site.clear()
        with site.command(*pid_namespace(site.env)) as process:
            time.sleep(lasts * (number + 0.5) / rounds)
            process.kill()
            process.communicate(timeout=60)
        killed += process.returncode != 0
        site.hold_next_run()
    assert killed
