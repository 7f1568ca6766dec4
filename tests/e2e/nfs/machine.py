"""The virtual machine with homes on NFS: started, asked, and ended."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct, field

from tests.support.users import copy_packages

_GUEST = Path(__file__).parent / "guest"
_BOOT_SECONDS = 420.0
"""Emulated, on a machine that has other work; some 60 s otherwise."""
_END_SECONDS = 60.0
_SLACK = 30.0
_ANSWER = 1 << 20


class Done(Struct, frozen=True, kw_only=True):
    """What a command in the machine ended with."""

    status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def said(self) -> str:
        """All that it printed."""
        return self.stdout + self.stderr


class _Asked(Struct, frozen=True, kw_only=True):
    user: str
    argv: Sequence[str]
    seconds: float
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A running machine, in which commands are run one after the other."""

    port: socket.socket

    def run(
        self, user: str, *argv: str, seconds: float = 300, env: Mapping[str, str] | None = None
    ) -> Done:
        """Run a command as a user of the machine, after a login of that user's."""
        asked = _Asked(user=user, argv=argv, seconds=seconds, env=env or {})
        self.port.settimeout(seconds + _SLACK)
        self.port.sendall(msgspec.json.encode(asked) + b"\n")
        return msgspec.json.decode(self._line(), type=Done)

    def shell(self, user: str, script: str, *, seconds: float = 300) -> Done:
        """Run a script of the shell as a user."""
        return self.run(user, "bash", "-c", script, seconds=seconds)

    def imagekit(self, user: str, *words: str, seconds: float = 300) -> Done:
        """Run imagekit as a user."""
        return self.run(user, "imagekit", *words, seconds=seconds)

    def end(self) -> None:
        """Let it end by itself."""
        self.port.sendall(b"null\n")

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            piece = self.port.recv(_ANSWER)
            assert piece, "the virtual machine has ended"
            line += piece
        return line


@contextmanager
def machine(bench: Path, folder: Path, files: Path) -> Iterator[Machine]:
    """Start the virtual machine; it has ended, with what was written to its disk, at the end.

    Args:
        bench: what tests/support/bench/setup calls ``nfs``: kernel, initrd.img, root.ext4.
        folder: for sockets and logs; a short path.
        files: what the machine sees, read-only, as /payload; imagekit is added.
    """
    assert sys.version_info[:2] == (3, 11), "the machine's Python is Debian bookworm's"
    shutil.copytree(_GUEST, files, dirs_exist_ok=True)
    copy_packages(files / "site-packages")
    (files / "bin").mkdir()
    (files / "bin/imagekit").write_text('#!/bin/sh\nexec python3 -m imagekit "$@"\n')
    (files / "bin/imagekit").chmod(0o755)
    disk = folder / "payload.ext4"
    made = ["mke2fs", "-q", "-t", "ext4", "-d", str(files), str(disk), "2G"]
    subprocess.run(made, check=True, capture_output=True, timeout=300)
    log = folder / "console.log"
    address = folder / "port"
    process = subprocess.Popen(
        _command(bench, disk, address, log), stdin=subprocess.DEVNULL, cwd=folder
    )
    try:
        _await(address.exists, process, log)
        with socket.socket(socket.AF_UNIX) as port:
            port.connect(str(address))
            _await(lambda: "start: ready" in log.read_text(errors="replace"), process, log)
            running = Machine(port=port)
            yield running
            running.end()
        process.wait(_END_SECONDS)
    finally:
        process.kill()
        process.wait()


def _command(bench: Path, disk: Path, address: Path, log: Path) -> list[str]:
    kernel = "root=/dev/vda rw console=ttyS0 init=/sbin/start panic=-1"
    return [
        # It ends with the tests, whatever ends them.
        *("setpriv", "--pdeathsig", "KILL", "nice", "-n", "19"),
        *("qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none"),
        *("-accel", "tcg,thread=multi", "-cpu", "max", "-m", "3072", "-smp", "2"),
        *("-kernel", str(bench / "vmlinuz"), "-initrd", str(bench / "initrd.img")),
        *("-append", kernel, "-serial", f"file:{log}"),
        *("-drive", f"file={bench / 'root.ext4'},if=virtio,format=raw,snapshot=on"),
        *("-drive", f"file={disk},if=virtio,format=raw,readonly=on"),
        *("-device", "virtio-rng-pci", "-device", "virtio-serial"),
        *("-chardev", f"socket,id=port,path={address},server=on,wait=off"),
        *("-device", "virtserialport,chardev=port"),
    ]


def _await(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _BOOT_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            said = log.read_text(errors="replace") if log.exists() else "nothing"
            raise RuntimeError(f"the virtual machine did not start: {said[-3000:]}")
        time.sleep(0.2)
