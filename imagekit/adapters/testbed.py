"""Running a built image's tests by Podman, over imagekit's own storage."""

import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from imagekit.adapters.buildah import Buildah
from imagekit.adapters.process import Runner
from imagekit.adapters.storage import storage_conf
from imagekit.errors import ToolError
from imagekit.model.plan import Store, TestRan

_ENGINE_FAILED = 125
_MOST = 4096


@dataclass(slots=True)
class Testbed:
    """One image, pulled into imagekit's storage for the time of its tests."""

    runner: Runner
    store: Store
    work: Path
    source: str
    """``oci:FOLDER:NAME`` of the image."""
    uid: int
    limit: float
    _image: str = ""

    def __enter__(self) -> Self:
        self.work.mkdir(parents=True, exist_ok=True)
        config = storage_conf(self.store, self.work.parent.parent)
        env = {**os.environ, "CONTAINERS_STORAGE_CONF": str(config)}
        self.runner = replace(self.runner, env=env)
        self._image = self._buildah().pull(self.source)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the image: the next build starts on its layers; the worker sweeps old ones."""

    def run(self, command: Sequence[str], *, around_entrypoint: bool) -> TestRan:
        """Run a command in a fresh container of the image.

        Raises:
            ToolError: Podman could not start it.
        """
        argv = ["podman", "--cgroup-manager", "cgroupfs", "--runtime", self.store.runtime]
        argv += ["run", "--rm", "--pull", "never", "--network", "none", "--read-only"]
        argv += ["--log-driver", "none", "--user", f"{self.uid}:0", *_limits()]
        if around_entrypoint:
            argv += ["--entrypoint", ""]
        outcome = self.runner.run(
            [*argv, self._image, *command], stage="tests", limit=self.limit, check=False
        )
        if outcome.status == _ENGINE_FAILED:
            raise ToolError(
                "Podman could not start the test's container",
                hint="imagekit doctor tells what this host lacks",
                argv=outcome.argv,
                status=outcome.status,
                output=outcome.last_lines,
            )
        return TestRan(status=outcome.status, stdout=outcome.stdout, stderr=outcome.stderr)

    def _buildah(self) -> Buildah:
        return Buildah(runner=self.runner, store=self.store, work=self.work)


def _limits() -> list[str]:
    """Return limits that we may give: where root may not raise them, Podman's own are refused."""
    argv = []
    for name, kind in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        hard = resource.getrlimit(kind)[1]
        most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
        argv += ["--ulimit", f"{name}={most}:{most}"]
    return argv
