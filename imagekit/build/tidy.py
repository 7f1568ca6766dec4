"""Removing from a tree what is there only because of this build on this host."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from imagekit import rooted
from imagekit.build import inside
from imagekit.build.keystore import CACERTS, settled
from imagekit.build.mount_points import add_mount_points
from imagekit.build.tree_snapshot import Snapshot

_MOUNT_POINTS = ("etc/hosts", "etc/resolv.conf", "etc/hostname", "run/.containerenv")
_MOUNT_FOLDERS = ("run/secrets", "run/imagekit", "etc")
"""Folders that hold mount points, and that a mount makes where the image has none."""
_CANONICAL: Mapping[str, str] = {
    "etc/resolv.conf": "",
    "etc/hostname": "localhost\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n",
    "etc/apt/sources.list": "# Packages come by the recipe; add a mirror here to install more.\n",
}
_SOURCES = ("etc/apt/sources.list.d", "etc/apt/auth.conf.d")
"""Folders that no package of a new system puts anything into: what is there is of this host."""
_MMDEBSTRAP = (
    "etc/apt/apt.conf.d/00mmdebstrap",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
)
_EMPTIED = (
    # Podman writes into it what it is run by.
    "run/.containerenv",
    # machine-id(5): the file of an image for many machines is missing or empty.
    "etc/machine-id",
    # Who logged in when: nobody did, and useradd makes them as long as the largest uid wants.
    "var/log/btmp",
    "var/log/faillog",
    "var/log/lastlog",
    "var/log/wtmp",
)
"""Files that programs expect to find, with nothing of this build in them."""
_OF_APT = (
    "var/cache/apt/archives/partial",
    "var/lib/apt/lists/auxfiles",
    "var/lib/apt/lists/partial",
)
"""Folders that apt gives to its own user where that can reach them, which depends on this host."""
_REMOVED = ("var/lib/dbus/machine-id",)
"""Identities that are made anew where they are missing, and only there."""
_IDENTITIES = (
    "etc/bind/rndc.key",
    "etc/dropbear/dropbear_*_host_key",
    "etc/iscsi/initiatorname.iscsi",
    "etc/munge/munge.key",
    "etc/nvme/hostid",
    "etc/nvme/hostnqn",
    "etc/ssh/ssh_host_*_key",
    "etc/ssh/ssh_host_*_key.pub",
    "etc/ssl/certs/ssl-cert-snakeoil.pem",
    "etc/ssl/private/ssl-cert-snakeoil.key",
    "etc/unbound/unbound_*.key",
    "etc/unbound/unbound_*.pem",
    "etc/xrdp/rsakeys.ini",
    "var/lib/rabbitmq/.erlang.cookie",
)
"""Keys and names of one machine, that packages make when they are installed."""
_VARYING = (
    "etc/aliases.db",
    "etc/ldap/slapd.d/cn=config.ldif",
    "var/lib/ldap/data.mdb",
    "var/lib/mysql/ibdata1",
    "var/lib/postgresql/*/global/pg_control",
)
"""Databases that packages make when they are installed, by a file that each of them has."""
_LISTED = ("var/log/journal",)
"""Folders whose access control list systemd makes, and makes anew at every start."""
_MAX_STORE = 16 << 20
_CERTIFICATES, _SNAKEOIL = "etc/ssl/certs/", "ssl-cert-snakeoil.pem"
_PRIVATE = ("etc/", "var/")
_BEGIN, _PRIVATE_KEY = b"-----BEGIN ", b"PRIVATE KEY-----"
_FIRST_LINE = 64


def tidy_bootstrap(root: Path) -> None:
    """Remove the settings of this host from a new system, and give it neutral ones.

    Raises:
        BuildError: the tree is not that of a system.
        OSError: the tree cannot be written.
    """
    for folder in _SOURCES:
        for name in inside.files(root, folder):
            inside.remove(root, f"{folder}/{name}")
    for name in _MMDEBSTRAP:
        inside.remove(root, name)
    for name, text in _CANONICAL.items():
        inside.place(root, name, text)


def tidy_layer(root: Path, before: Snapshot) -> None:
    """Remove what the build itself leaves in every layer: mount points, identities, logins.

    The mount points of runtimes are made then, the same whatever made them before.

    Args:
        root: the mounted tree.
        before: its state before the layer.

    Raises:
        OSError: the tree cannot be written.
    """
    for name in _OF_APT:
        inside.give_to_root(root, name)
    for name in _LISTED:
        inside.remove_access_list(root, name)
    for name in _EMPTIED:
        inside.empty(root, name)
    for name in _REMOVED:
        if inside.is_file(root, name):
            inside.remove(root, name)
    for name in _mount_points(root):
        if name not in before.entries and inside.is_empty_file(root, name):
            inside.remove(root, name)
    for name in _MOUNT_FOLDERS:
        if name not in before.entries:
            inside.remove_empty_folder(root, name)
    add_mount_points(root)


def remove_identities(root: Path, present: Iterable[str], *, packages: bool) -> tuple[str, ...]:
    """Remove keys and names of one machine, which all who pull the image would share.

    Args:
        root: the mounted tree.
        present: the paths of the layer.
        packages: whether the layer is of packages: then a private key that lies among the
            configuration was made by one when it was installed.

    Returns:
        The paths that were removed, sorted.
    """
    present = tuple(present)
    identities = {path for path in present if _is_identity(root, path)}
    if packages:
        identities.update(private_keys(root, present))
    for path in identities:
        inside.remove(root, path)
    return tuple(sorted(identities))


def private_keys(root: Path, present: Iterable[str]) -> tuple[str, ...]:
    """Return the private keys among the configuration that a layer holds, sorted.

    Args:
        root: the mounted tree.
        present: the paths of the layer.
    """
    return tuple(
        sorted(
            path for path in present if path.startswith(_PRIVATE) and _is_private_key(root, path)
        )
    )


def settle(root: Path, present: Iterable[str], *, epoch: int) -> bool:
    """Replace times of the build in files by the image's, and return whether a file was changed.

    Args:
        root: the mounted tree.
        present: the paths of the layer.
        epoch: the image's time.

    Raises:
        OSError: the tree cannot be written.
    """
    raw = inside.read(root, CACERTS, limit=_MAX_STORE) if CACERTS in present else None
    new = settled(raw, epoch=epoch) if raw else None
    if new is None or new == raw:
        return False
    inside.rewrite(root, CACERTS, new)
    return True


def varying(present: Iterable[str]) -> tuple[str, ...]:
    """Return the files of a layer that are known to differ from build to build, sorted.

    Args:
        present: the paths of the layer.
    """
    return tuple(
        sorted(path for path in present if any(fnmatchcase(path, pattern) for pattern in _VARYING))
    )


def _mount_points(root: Path) -> Iterator[str]:
    yield from _MOUNT_POINTS
    for name in inside.files(root, "run/secrets"):
        yield f"run/secrets/{name}"


def _is_identity(root: Path, path: str) -> bool:
    if any(fnmatchcase(path, pattern) for pattern in _IDENTITIES):
        return not _is_folder(root, path)
    # `openssl rehash` links every certificate by its hash.
    return path.startswith(_CERTIFICATES) and _SNAKEOIL in inside.link(root, path)


def _is_private_key(root: Path, path: str) -> bool:
    """Return whether it is a private key in PEM (RFC 7468) or OpenSSH's form of one."""
    first = inside.read(root, path, limit=_FIRST_LINE) or b""
    return first.startswith(_BEGIN) and _PRIVATE_KEY in first.partition(b"\n")[0]


def _is_folder(root: Path, path: str) -> bool:
    with rooted.place(root, path, follow=False) as opened:
        status = os.stat(opened.name, dir_fd=opened.folder, follow_symlinks=False)
    return stat.S_ISDIR(status.st_mode)
