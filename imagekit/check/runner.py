"""Running a built image's tests by Podman, over imagekit's own storage."""

import os
import resource
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Self

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.build.job import ContainerStore, Folder, Trial, TrialOutcome
from imagekit.build.tools.buildah import PREFIX, Buildah
from imagekit.build.tools.chain import Chain
from imagekit.build.tools.isolation import IsolationRecord, Sandbox
from imagekit.build.tools.podman import ContainerOptions, Podman
from imagekit.build.tools.run_worker import environment, in_namespace
from imagekit.build.tools.storage import Folders, tool_files
from imagekit.locks import held
from imagekit.process import Runner
from imagekit.progress import Started

_MOST = 4096


class ImageTestRunner(Struct):
    """One image, pulled into imagekit's storage where something of it is run.

    Podman and what it runs are in a sandbox, like build steps: see ``build.tools.sandbox``.
    """

    runner: Runner
    store: ContainerStore
    folders: Folders
    chain: Chain
    """The image."""
    folder: Folder
    """The job's own; it is not made yet."""
    _image: str = ""
    _used: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        with ExitStack() as used:
            lock = self.folders.locks / f"{self.folder.real.name}.lock"
            used.enter_context(held(lock))
            used.callback(shutil.rmtree, self.folder.real, ignore_errors=True)
            used.enter_context(held(self.chain.lock(self.folders.locks), shared=True, keep=True))
            self.folder.real.mkdir(parents=True, mode=0o700)
            self._used = used.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the image: the next build starts on its layers; the worker sweeps old ones."""
        self._used.close()

    def run(self, trial: Trial) -> TrialOutcome:
        """Run a command in a fresh container of the image.

        Raises:
            ToolError: Podman could not start it.
            ToolTimeoutError: it took too long.
        """
        programs = self._in_sandbox(network=trial.network)
        if not self._image:
            # The image's layers are laid out first, which takes longer than most tests.
            self.runner.progress(Started(stage="tests", detail="laying out the image"))
            self._image = self._pull()
        podman = Podman(programs=programs, container=self._container())
        # The worker removes leftovers by the job in their names, where this process was killed.
        return podman.run_test(self._image, trial, name=f"{PREFIX}{self.folder.real.name}-test")

    @property
    def _runtime(self) -> str:
        """Return the runtime that is recorded to work here, else the one that should."""
        known = IsolationRecord(self.folders.isolation).find()
        return known.runtime if known is not None and known.runtime else self.store.runtime

    def _pull(self) -> str:
        buildah = Buildah(runner=self._in_sandbox(), store=self.store, folder=self.folder)
        return buildah.pull(self.chain.place(self.store))

    def _in_sandbox(self, *, network: bool = False) -> Runner:
        sandbox = Sandbox(store=self.store, folder=self.folder, readable=(self.chain.blobs,))
        env = environment(os.environ, self.store) | tool_files(self.store).environment

        def wrap(argv: Sequence[str]) -> Sequence[str]:
            return in_namespace(sandbox.wrap(argv, network=network, programs=(self._runtime,)))

        return replace(self.runner, env=sandbox.environment(env, network=False), wrap=wrap)

    def _container(self) -> ContainerOptions:
        """Return limits within this process's own: Podman's fail where it may not raise them."""
        limits = []
        for name, kind in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
            hard = resource.getrlimit(kind)[1]
            most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
            limits.append((name, most, most))
        return ContainerOptions(runtime=self._runtime, limits=tuple(limits))
