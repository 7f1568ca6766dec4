"""Taking out of a tree what only this build on this host put there."""

import stat
from collections.abc import Mapping
from pathlib import Path

from imagekit.build.snapshot import Snapshot

_MOUNT_POINTS = ("etc/hosts", "etc/resolv.conf", "etc/hostname")
_CANONICAL: Mapping[str, str] = {
    "etc/resolv.conf": "",
    "etc/hostname": "localhost\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n",
    "etc/apt/sources.list": "# Packages come by the recipe; add a mirror here to install more.\n",
}
_EMPTIED = ("etc/machine-id", "var/lib/dbus/machine-id")


def tidy_bootstrap(root: Path) -> None:
    """Give a new system the host files of no host, and no identity.

    Raises:
        OSError: the tree cannot be written.
    """
    for name, text in _CANONICAL.items():
        _write(root, name, text)
    for name in _EMPTIED:
        if _is_file(root / name):
            _write(root, name, "")


def tidy_mount_points(root: Path, before: Snapshot) -> None:
    """Remove the empty files that Buildah's mounts left where the image had none.

    Raises:
        OSError: the tree cannot be written.
    """
    for name in _MOUNT_POINTS:
        path = root / name
        if name not in before.entries and _is_file(path) and path.lstat().st_size == 0:
            path.unlink()
    etc = root / "etc"
    if "etc" not in before.entries and etc.is_dir() and not any(etc.iterdir()):
        etc.rmdir()


def _write(root: Path, name: str, text: str) -> None:
    """Replace a file of the tree; a link in its place is removed and never followed."""
    folder = (root / name).parent
    if not folder.is_dir() or folder.is_symlink():
        return
    path = root / name
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
