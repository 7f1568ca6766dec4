"""Who owns a file, as far as this user namespace tells.

Users without an id in it, root and others alike, are all shown as one that owns whatever has no
id, and so is this process where it has none itself (user_namespaces(7), "Accessing files owned by
unmapped user IDs"). That id says nothing of an owner.
"""

import os
from contextlib import suppress
from pathlib import Path

_ALL_IDS = ["0", "0", str(2**32 - 1)]


def unknown_owner(root: Path = Path("/")) -> int | None:
    """Return the id of all owners that have none in this user namespace; None where all have one.

    Args:
        root: where the kernel's files are.
    """
    with suppress(OSError):
        if (root / "proc/self/uid_map").read_text("ascii").split() == _ALL_IDS:
            return None
        return int((root / "proc/sys/fs/overflowuid").read_text("ascii"))
    # Without /proc the kernel's default is as good as it gets, and errs on the safe side.
    return 65534


def known(*users: int) -> frozenset[int]:
    """Return the ids of these users, without the one that all unmapped owners have."""
    return frozenset(users) - {unknown_owner()}


def is_own(status: os.stat_result) -> bool:
    """Return whether a file is certainly this user's."""
    return status.st_uid in known(os.geteuid())
