"""Runs commands in the virtual machine: one JSON document a line in, one out."""

import json
import pwd
import subprocess
import time
from pathlib import Path
from typing import Any

_MOST = 60_000


def _command(user: str, argv: list[str], more: dict[str, str]) -> list[str]:
    """Return what runs a program as a user, with what a login gives."""
    entry = pwd.getpwnam(user)
    env = {
        "HOME": entry.pw_dir,
        "USER": user,
        "LOGNAME": user,
        "PATH": "/payload/bin:/usr/local/bin:/usr/bin:/bin" + ":/usr/sbin:/sbin" * (user == "root"),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": "/payload/site-packages",
        "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_RUNTIME_DIR": f"/run/user/{entry.pw_uid}",
    } | more
    become = ["--reuid", str(entry.pw_uid), "--regid", str(entry.pw_gid), "--init-groups"]
    # The folder is entered by the user: root may not enter a home on NFS.
    enter = ["env", "-i", f"--chdir={entry.pw_dir}", *(f"{key}={env[key]}" for key in env)]
    return ["setpriv", *become, *enter, *argv]


def _run(asked: dict[str, Any]) -> dict[str, Any]:
    command = _command(asked["user"], asked["argv"], asked["env"])
    began = time.monotonic()
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=asked["seconds"],
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        status, stdout, stderr = 124, error.stdout or b"", error.stderr or b""
    except OSError as error:
        status, stdout, stderr = 127, b"", str(error).encode()
    else:
        status, stdout, stderr = done.returncode, done.stdout, done.stderr
    return {
        "status": status,
        "stdout": stdout[-_MOST:].decode("utf-8", "replace"),
        "stderr": stderr[-_MOST:].decode("utf-8", "replace"),
        "seconds": time.monotonic() - began,
    }


def main() -> None:
    """Answer until the other side says that it is done."""
    # Its name has the number of the virtio device.
    place = next(Path("/dev").glob("vport*p1"))
    with place.open("r+b", buffering=0) as port:
        waiting = b""
        while True:
            piece = port.read(65536)
            if not piece:
                # Nobody is connected yet.
                time.sleep(0.1)
                continue
            waiting += piece
            while b"\n" in waiting:
                line, _, waiting = waiting.partition(b"\n")
                asked = json.loads(line)
                if asked is None:
                    return
                answer = json.dumps(_run(asked)).encode() + b"\n"
                while answer:
                    answer = answer[port.write(answer) or 0 :]


if __name__ == "__main__":
    main()
