"""Taking out of a tree what only this build on this host put there."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from imagekit.build import inside
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
        BuildError: the tree is not that of a system.
        OSError: the tree cannot be written.
    """
    for name, text in _CANONICAL.items():
        inside.place(root, name, text)
    for name in _EMPTIED:
        if inside.is_file(root, name):
            inside.place(root, name, "")


def tidy_mount_points(root: Path, before: Snapshot) -> None:
    """Remove the empty files that Buildah's mounts left where the image had none.

    Raises:
        OSError: the tree cannot be written.
    """
    for name in _MOUNT_POINTS:
        if name not in before.entries and inside.is_empty_file(root, name):
            inside.remove(root, name)
    etc = root / "etc"
    if "etc" not in before.entries and not etc.is_symlink() and etc.is_dir():
        with suppress(OSError):  # it holds something
            etc.rmdir()
