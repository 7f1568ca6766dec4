"""The worker sweeps what dead jobs left, and nothing that a living one uses."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from imagekit.build.job import ContainerStore, Folder, Job
from imagekit.build.tools.buildah import PREFIX, Buildah
from imagekit.build.tools.chain import FOLDER, lock_of
from imagekit.build.worker import _sweep
from imagekit.locks import held

OWN, OTHER = "job-00000000000000aa", "job-00000000000000bb"
CHAIN = "0123456789abcdef01234567"
WEEKS = 1_000_000


@dataclass
class FakeBuildah:
    """A storage of names."""

    store: ContainerStore
    names: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def containers(self) -> tuple[str, ...]:
        """Return the working containers."""
        return tuple(self.names)

    def images(self) -> tuple[str, ...]:
        """Return the images."""
        return tuple(self.kept)

    def remove(self, name: str) -> None:
        """Remove a working container."""
        self.names.remove(name)

    def remove_image(self, name: str) -> None:
        """Remove an image."""
        self.kept.remove(name)


@dataclass(frozen=True)
class FakeJob:
    """The part of a job that sweeping looks at."""

    folder: Folder
    locks: Path
    name: str = OWN


@pytest.fixture
def job(tmp_path: Path) -> FakeJob:
    """A job beside which another one has a folder."""
    for name in (OWN, OTHER):
        (tmp_path / "work" / name).mkdir(parents=True)
    real = tmp_path / "work" / OWN
    return FakeJob(Folder(path=real, real=real), tmp_path / "locks")


@pytest.fixture
def buildah(tmp_path: Path) -> FakeBuildah:
    """A storage with containers of both jobs and of strangers, and one chain of layers."""
    place = Folder(path=tmp_path / "graph", real=tmp_path / "graph")
    store = ContainerStore(folder=place, run=tmp_path / "run", driver="overlay", runtime="runc")
    (tmp_path / "run" / FOLDER / CHAIN).mkdir(parents=True)
    names = [f"{PREFIX}{OWN}-main", f"{PREFIX}{OTHER}-main", "somebody-elses", f"{PREFIX}12-main"]
    return FakeBuildah(store, names, [f"localhost/run/{FOLDER}/{CHAIN}:1", "localhost/other:1"])


def _swept(buildah: FakeBuildah, job: FakeJob, **words: float) -> None:
    with held(job.locks / f"{OWN}.lock"):
        _sweep(cast("Buildah", buildah), cast("Job", job), **words)


@contextmanager
def _old(lock: Path) -> Iterator[None]:
    """Let a lock have been used weeks ago."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    os.utime(lock, (WEEKS, WEEKS))
    yield


def test_what_a_dead_job_left_is_removed(buildah: FakeBuildah, job: FakeJob) -> None:
    """Its containers, its folder and its lock; what belongs to nobody of ours stays."""
    (job.locks).mkdir()
    (job.locks / f"{OTHER}.lock").touch()

    _swept(buildah, job)

    assert buildah.names == [f"{PREFIX}{OWN}-main", "somebody-elses", f"{PREFIX}12-main"]
    assert [path.name for path in job.folder.real.parent.iterdir()] == [OWN]
    assert list(job.locks.glob("job-*")) == []


def test_a_living_job_keeps_all_it_has(buildah: FakeBuildah, job: FakeJob) -> None:
    """Wherever it runs: no process of its number needs to be here."""
    before = list(buildah.names)

    with held(job.locks / f"{OTHER}.lock"):
        _swept(buildah, job)

    assert buildah.names == before
    assert (job.folder.real.parent / OTHER).is_dir()


def test_an_old_chain_is_removed_with_its_image(buildah: FakeBuildah, job: FakeJob) -> None:
    """A week after its last use."""
    with _old(lock_of(CHAIN, job.locks)):
        _swept(buildah, job)

    assert buildah.kept == ["localhost/other:1"]
    assert list((buildah.store.run / FOLDER).iterdir()) == []


def test_a_chain_that_is_read_is_never_removed(buildah: FakeBuildah, job: FakeJob) -> None:
    """However long the build takes that stands on it."""
    lock = lock_of(CHAIN, job.locks)

    with held(lock, shared=True, keep=True), _old(lock):
        _swept(buildah, job)

    assert len(buildah.kept) == 2
    assert (buildah.store.run / FOLDER / CHAIN).is_dir()


def test_a_chain_of_which_nothing_is_known_is_kept(buildah: FakeBuildah, job: FakeJob) -> None:
    """Its week begins when it is seen: after a boot the folder is gone, and the image is not."""
    (buildah.store.run / FOLDER / CHAIN).rmdir()

    _swept(buildah, job)
    _swept(buildah, job)

    assert len(buildah.kept) == 2


def test_what_a_dead_job_built_by_a_containerfile_is_removed(
    buildah: FakeBuildah, job: FakeJob
) -> None:
    """Its image has the job's name; that of a living job stays."""
    living = "job-00000000000000cc"
    buildah.kept = [f"localhost/{PREFIX}{name}:latest" for name in (OTHER, living, OWN)]

    with held(job.locks / f"{living}.lock"):
        _swept(buildah, job)

    assert buildah.kept == [f"localhost/{PREFIX}{name}:latest" for name in (living, OWN)]


@pytest.mark.parametrize("known", [True, False])
def test_prune_removes_a_chain_that_nobody_uses_now(
    buildah: FakeBuildah, job: FakeJob, *, known: bool
) -> None:
    """However young; nothing need be known of when it was used."""
    if known:
        with held(lock_of(CHAIN, job.locks), shared=True, keep=True):
            pass

    _swept(buildah, job, unused_for=0.0)

    assert buildah.kept == ["localhost/other:1"]


def test_prune_leaves_a_chain_that_a_job_uses(buildah: FakeBuildah, job: FakeJob) -> None:
    """Its lock is held."""
    with held(lock_of(CHAIN, job.locks), shared=True, keep=True):
        _swept(buildah, job, unused_for=0.0)

    assert f"localhost/run/{FOLDER}/{CHAIN}:1" in buildah.kept
