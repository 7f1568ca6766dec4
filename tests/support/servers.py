"""Real registries on loopback for tests: started, and stopped by their own process id."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

USER, PASSWORD = "admin", "correct horse"
# bcrypt of PASSWORD, cost 5: a test's login and no secret.
_HTPASSWD = "admin:$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n"

_CONFIG = """\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
"""
_AUTH = """\
auth:
  htpasswd: {{realm: Registry Realm, path: {file}}}
"""


class RegistryServer:
    """A registry process; ``host`` is what references begin with."""

    def __init__(self, argv: Sequence[str], port: int, log: Path) -> None:
        self.host = f"127.0.0.1:{port}"
        self._port = port
        self._log = log
        # docker-registry takes every variable REGISTRY_... for a setting of its own.
        env = {key: value for key, value in os.environ.items() if not key.startswith("REGISTRY_")}
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                argv, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @classmethod
    def docker_registry(cls, folder: Path, *, login: bool = False) -> Self:
        """Start Debian's docker-registry 2.8.2, which has no referrers API."""
        port = free_port()
        text = _CONFIG.format(root=folder / "data", port=port)
        if login:
            (folder / "htpasswd").write_text(_HTPASSWD)
            text += _AUTH.format(file=folder / "htpasswd")
        config = folder / "config.yml"
        config.write_text(text)
        program = shutil.which("docker-registry") or "/usr/bin/docker-registry"
        return cls([program, "serve", str(config)], port, folder / "log")

    @classmethod
    def refregistry(cls, program: Path, folder: Path) -> Self:
        """Start a registry with the referrers API (go-containerregistry's)."""
        port = free_port()
        argv = [str(program), f"127.0.0.1:{port}", str(folder / "data")]
        return cls(argv, port, folder / "log")

    def wait(self, seconds: float = 20) -> None:
        """Wait until it accepts connections."""
        answers(self._process, self._port, self._log, seconds=seconds)

    def stop(self) -> None:
        """Stop it, so that nothing is left running."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def answers(process: subprocess.Popen[bytes], port: int, log: Path, *, seconds: float = 20) -> None:
    """Wait until a process of ours accepts connections on a port of loopback.

    Raises:
        RuntimeError: it ended, or it takes too long; with the end of its log.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError as error:
            if process.poll() is not None or time.monotonic() > end:
                said = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"the server did not start: {said}") from error
            time.sleep(0.02)
        else:
            return


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
