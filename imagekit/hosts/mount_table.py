"""What this host has mounted where: proc(5), ``/proc/self/mounts``."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from imagekit.inputs import read_regular

NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "9p", "afs", "fuse.sshfs"}
)
"""File systems on which ids of containers, or overlays, are refused."""
_MAX = 4 << 20
_FIELDS = 4


class MountedPlace(Struct, frozen=True, kw_only=True):
    """One mount."""

    place: Path
    kind: str
    """The type of the file system."""
    options: frozenset[str] = frozenset()


def read_mounts(root: Path = Path("/")) -> tuple[MountedPlace, ...]:
    """Return the mounts in the order in which they were made; nothing where they are not told."""
    try:
        raw = read_regular(root / "proc/self/mounts", limit=_MAX)
    except OSError:
        return ()
    fields = (line.split(" ") for line in raw.decode("utf-8", "replace").splitlines())
    return tuple(
        MountedPlace(
            place=Path(words[1].replace("\\040", " ")),
            kind=words[2],
            options=frozenset(words[3].split(",")),
        )
        for words in fields
        if len(words) >= _FIELDS
    )


def mount_of(path: Path, mounts: Sequence[MountedPlace]) -> MountedPlace | None:
    """Return the mount that a path is on, or would be on where it is not there yet.

    Args:
        path: an absolute path.
        mounts: in the order in which they were made: a later one hides an earlier.
    """
    last = {mount.place: mount for mount in mounts}
    # A home is often a link to where it is mounted.
    real = Path(os.path.realpath(path))
    return next((last[folder] for folder in (real, *real.parents) if folder in last), None)


def on_network(stores: Iterable[Path], root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the folders that are on a file system of a network, each with its type."""
    mounts = read_mounts(root)
    for store in stores:
        mount = mount_of(store, mounts)
        if mount is not None and mount.kind in NETWORK:
            yield store, mount.kind
