"""What runtimes mount over in a container, which every layer's image has from the build on.

A runtime makes what is missing, and fails where it cannot: rootless Podman on a store that is
another user's ("creating /etc/mtab: permission denied"), and any on a read-only file system.
"""

from pathlib import Path

from imagekit.build import inside

FOLDERS = ("etc", "run", "run/secrets")
FILES = ("etc/hosts", "etc/hostname", "etc/resolv.conf", "run/.containerenv")
LINKS = {"etc/mtab": "/proc/mounts"}


def add_mount_points(root: Path) -> None:
    """Make those that a tree lacks; what it has is left as it is.

    Raises:
        OSError: the tree cannot be written.
    """
    for name in FOLDERS:
        inside.add_folder(root, name)
    for name in FILES:
        inside.add_file(root, name)
    for name, target in LINKS.items():
        inside.add_link(root, name, target)
