"""Squashfs files that root mounted for everybody, as a prolog does before a job.

Only root mounts squashfs by the kernel, so what such a mount shows is what its file holds. Whose
file it is, the kernel tells every user: ``/sys/dev/block/MAJOR:MINOR/loop/backing_file``.
"""

import os
from contextlib import suppress
from pathlib import Path

from imagekit.offline.stagedigest import FileIdentity

_SAFE = frozenset({"ro", "nosuid", "nodev"})
_FIELDS = 6


def mounted_at(identity: FileIdentity, root: Path = Path("/")) -> Path | None:
    """Return where a file is mounted read-only, without its devices and set-user-ID bits.

    Args:
        identity: of the file.
        root: where the kernel's files are.
    """
    with suppress(OSError):
        for line in (root / "proc/self/mountinfo").read_text("utf-8", "replace").splitlines():
            found = _of(line, identity, root)
            if found is not None:
                return found
    return None


def _of(line: str, identity: FileIdentity, root: Path) -> Path | None:
    """Return the mount of a line of mountinfo (proc(5)), if it is of this file as a whole."""
    before, _, after = line.partition(" - ")
    fields, kind = before.split(" "), after.split(" ")[0]
    if len(fields) < _FIELDS or kind != "squashfs" or "\\" in line:
        return None
    device, inner, place, options = fields[2], fields[3], fields[4], fields[5].split(",")
    if inner != "/" or not _SAFE.issubset(options):
        return None
    with suppress(OSError):
        loop = root / f"sys/dev/block/{device}/loop"
        whole = {(loop / name).read_text("utf-8").strip() for name in ("offset", "sizelimit")}
        backing = Path((loop / "backing_file").read_text("utf-8").rstrip("\n"))
        shown = Path(place).stat().st_dev
        # Something else may be mounted over it, and the file may have been exchanged since.
        on_top = f"{os.major(shown)}:{os.minor(shown)}" == device
        if on_top and whole == {"0"} and FileIdentity.at(backing) == identity:
            return Path(place)
    return None
