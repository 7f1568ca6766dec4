"""Who owns a file, as far as this user namespace tells.

Users without an id in it, root and others alike, are all shown as one that owns whatever has no
id, and so is this process where it has none itself (user_namespaces(7), "Accessing files owned by
unmapped user IDs"). That id says nothing of an owner.
"""

import os
import stat
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from msgspec import Struct

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


class OtherWriter(Struct, frozen=True, kw_only=True):
    """Somebody else who decides what is in a file or folder."""

    message: str
    remedy: str = ""
    """The command that takes the right to write away; empty where the file is not ours."""


def trusted_owners() -> frozenset[int]:
    """Return the users whose files are accepted: this one, root, and the caller of sudo."""
    own = os.geteuid()
    caller = os.environ.get("SUDO_UID", "") if own == 0 else ""
    callers = {int(caller)} if caller.isascii() and caller.isdigit() else set()
    return known(own, 0, *callers)


def other_writer(path: Path, status: os.stat_result) -> OtherWriter | None:
    """Return who besides the user and root can write a file or folder; None where nobody can.

    A link is judged by its owner alone: its mode means nothing.
    """
    if status.st_uid not in trusted_owners():
        owner = _user(status.st_uid)
        return OtherWriter(message=f"{path} belongs to {owner}, who is neither you nor root")
    if stat.S_ISLNK(status.st_mode):
        return None
    if status.st_mode & stat.S_IWOTH:
        return _writable(path, "everybody", "o-w")
    if status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid, status.st_uid):
        return _writable(path, f"the group {_group(status.st_gid)}", "g-w")
    return None


def _writable(path: Path, who: str, change: str) -> OtherWriter:
    return OtherWriter(
        message=f"{path} may be written by {who}",
        remedy=f"chmod {change} {path}, when nobody has changed it",
    )


@lru_cache
def _is_private(group: int, user: int) -> bool:
    """Return whether a group is a user's own, as most distributions make one for each user."""
    import grp
    import pwd

    try:
        account, entry = pwd.getpwuid(user), grp.getgrgid(group)
    except KeyError:
        return False
    own = account.pw_gid == group and entry.gr_name == account.pw_name
    return own and set(entry.gr_mem) <= {account.pw_name}


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
