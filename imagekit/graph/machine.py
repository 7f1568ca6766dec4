"""How much of this machine there is for work at once: processors, and memory that is left."""

import os
from pathlib import Path

MEMORY_OF_ONE = 512 << 20
"""Bytes that must be left before one more recipe is begun: a compiler or apt takes as many."""
_ROOT = Path("/")
_KIB = 1024


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def has_memory(root: Path = _ROOT) -> bool:
    """Return whether there is memory for one more; also where nothing tells.

    Args:
        root: of the file system.
    """
    left = memory_left(root)
    return left is None or left >= MEMORY_OF_ONE


def memory_left(root: Path = _ROOT) -> int | None:
    """Return the bytes of memory that may still be used; None where nothing tells.

    That of the host, and of the control groups that limit this process (cgroup-v2, memory): a
    batch system's job and a container see the host's memory, and may use their own part of it.

    Args:
        root: of the file system.
    """
    known = [_left_of_host(root), *(_left_of_group(folder) for folder in _groups(root))]
    return min((left for left in known if left is not None), default=None)


def _left_of_host(root: Path) -> int | None:
    kib = _table(root / "proc/meminfo").get("MemAvailable:")
    return None if kib is None else kib * _KIB


def _groups(root: Path) -> list[Path]:
    """Return the folders of the control groups of this process, from its own to the root."""
    top = root / "sys/fs/cgroup"
    lines = _text(root / "proc/self/cgroup").splitlines()
    name = next((line[3:].strip("/") for line in lines if line.startswith("0::/")), None)
    if name is None:
        return []
    own = top / name
    return [folder for folder in (own, *own.parents) if folder.is_relative_to(top)]


def _left_of_group(folder: Path) -> int | None:
    limit, used = (_number(folder / name) for name in ("memory.max", "memory.current"))
    if limit is None or used is None:
        return None
    # What was read of files is given up before anything is refused.
    return limit - used + _table(folder / "memory.stat").get("inactive_file", 0)


def _number(path: Path) -> int | None:
    """Return the number in a file; None for ``max`` and where there is none."""
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _table(path: Path) -> dict[str, int]:
    """Return the numbers of a file behind the words that stand before them."""
    rows = (line.split()[:2] for line in _text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, ValueError):
        return ""
