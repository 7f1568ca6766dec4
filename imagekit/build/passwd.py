"""Who ``User`` of an image's configuration is: numbers, or names in the image's own files."""

from collections.abc import Iterator
from pathlib import Path

from imagekit import rooted
from imagekit.documents.digits import decimal
from imagekit.errors import InputError

_MAX = 1 << 20
_MAX_ID = (1 << 32) - 2


def user_of(user: str, rootfs: Path) -> tuple[int, int]:
    """Return the user and group ids of ``USER[:GROUP]`` (image-spec config.md).

    Args:
        user: as in the configuration; empty for root.
        rootfs: the unpacked image; nothing is followed out of it.

    Raises:
        InputError: the image has no such user or group.
    """
    name, _, group = user.partition(":")
    # Without a group, that of the user in the image's /etc/passwd is the default.
    uid, gid = _user(name or "0", rootfs)
    if group:
        gid = _number(group)
        if gid is None:
            gid = next((int(row[2]) for row in _rows(rootfs, "group") if row[0] == group), None)
    if uid is None or gid is None or not (0 <= uid <= _MAX_ID and 0 <= gid <= _MAX_ID):
        raise InputError(
            f"the image runs as {user[:80]!r}, whom it does not have",
            hint="write numbers into the recipe's user",
            code="stage/unknown-user",
        )
    return uid, gid


def _user(name: str, rootfs: Path) -> tuple[int | None, int | None]:
    uid = _number(name)
    for row in _rows(rootfs, "passwd"):
        if row[0] == name or (uid is not None and int(row[2]) == uid):
            return int(row[2]), int(row[3])
    return uid, 0


def _number(text: str) -> int | None:
    return decimal(text, most=len(str(_MAX_ID)))


def _rows(rootfs: Path, name: str) -> Iterator[list[str]]:
    try:
        raw = rooted.read(rootfs, f"etc/{name}", limit=_MAX)
    except OSError:
        return
    text = raw.decode("utf-8", "replace")
    for line in text.splitlines():
        row = line.split(":")
        if len(row) > 3 and _number(row[2]) is not None:  # noqa: PLR2004 - name, x, id, ...
            yield row if name == "group" or _number(row[3]) is not None else [*row[:3], "0"]
