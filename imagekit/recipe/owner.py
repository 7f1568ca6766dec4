"""Whose files a recipe may be made of: the user's own and root's, and nobody else may write them.

A base is built with the user's rights and signed with the user's key. With a file that another user
can change until then, that user decides what is signed.
"""

import grp
import os
import pwd
import stat
from functools import lru_cache
from pathlib import Path

from imagekit.errors import RecipeError
from imagekit.owners import known


def check_owner(path: Path, status: os.stat_result) -> None:
    """Require a file or folder of a recipe to be the user's or root's, and writable by no other.

    A link is judged by its owner alone: its mode means nothing.

    Raises:
        RecipeError: it belongs to somebody else, or somebody else may write it.
    """
    if status.st_uid not in trusted_owners():
        raise RecipeError(
            f"{path} belongs to {_user(status.st_uid)}, who is neither you nor root",
            hint="copy the recipe to a folder of your own, when you have read it",
            code="recipe/foreign-file",
        )
    if stat.S_ISLNK(status.st_mode):
        return
    if status.st_mode & stat.S_IWOTH:
        raise _writable(path, "everybody", "chmod o-w")
    if status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid, status.st_uid):
        raise _writable(path, f"the group {_group(status.st_gid)}", "chmod g-w")


def trusted_owners() -> frozenset[int]:
    """Return the users whose files are accepted: this one, root, and the caller of sudo."""
    own = os.geteuid()
    caller = os.environ.get("SUDO_UID", "") if own == 0 else ""
    callers = {int(caller)} if caller.isascii() and caller.isdigit() else set()
    return known(own, 0, *callers)


def _writable(path: Path, who: str, command: str) -> RecipeError:
    return RecipeError(
        f"{path} may be written by {who}",
        hint=f"{command} {path}, when nobody has changed it",
        code="recipe/writable-file",
    )


@lru_cache
def _is_private(group: int, user: int) -> bool:
    """Return whether a group is a user's own, as most distributions make one for each user."""
    try:
        account, entry = pwd.getpwuid(user), grp.getgrgid(group)
    except KeyError:
        return False
    own = account.pw_gid == group and entry.gr_name == account.pw_name
    return own and set(entry.gr_mem) <= {account.pw_name}


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
