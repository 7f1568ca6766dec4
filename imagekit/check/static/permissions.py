"""IK301 to IK305: rights that users lose, that anybody has, or that an arbitrary user lacks."""

from collections.abc import Iterator

from imagekit.check.image_files import ImageFile
from imagekit.check.static.image_tree import ImageTree
from imagekit.check.static.links import RUNTIME
from imagekit.check.static.portability_finding import PortabilityFinding, found
from imagekit.oci.tar import EntryKind

_SETUID, _SETGID, _STICKY = 0o4000, 0o2000, 0o1000
KNOWN = frozenset(
    {
        "at", "bsd-write", "chage", "chfn", "chsh", "crontab", "dbus-daemon-launch-helper",
        "expiry", "fusermount", "fusermount3", "gpasswd", "mount", "mount.cifs", "mount.nfs",
        "newgidmap", "newgrp", "newuidmap", "pam_extrausers_chkpwd", "pam_timestamp_check",
        "passwd", "ping", "pkexec", "polkit-agent-helper-1", "ssh-agent", "ssh-keysign",
        "ssh-keycat", "su", "sudo", "umount", "unix_chkpwd", "unix_update", "userhelper",
        "utempter", "wall", "write",
    }
)  # fmt: skip
"""Programs of distributions that have such rights everywhere, in the folders of the system."""
_SYSTEM = ("usr/bin/", "usr/sbin/", "usr/lib/", "usr/lib64/", "usr/libexec/", "bin/", "sbin/")
_CAPABLE = frozenset({"arping", "clockdiff", "mtr-packet", "newgidmap", "newuidmap", "ping"})
# Kernel, devices: every runtime mounts over these.
_MOUNTED = ("dev/", "proc/", "sys/", "run/")
_SECRET = ("etc/", "root", "var/", "home/", "usr/lib/dbus-1.0/", "boot/", "lost+found")
"""Where distributions keep what only root may read."""


def permission_findings(tree: ImageTree) -> Iterator[PortabilityFinding]:
    """Yield what is wrong with modes, capabilities and kinds of files."""
    for path, file in tree.files.files.items():
        if path.startswith(_MOUNTED) or file.kind is EntryKind.SYMLINK:
            continue
        if file.kind is EntryKind.OTHER:
            yield found("IK304", path, "it is a device, FIFO or socket", breaks=(path,))
            continue
        yield from _rights(path, file)
        if _is_open(path, file):
            kind = "folder" if file.kind is EntryKind.FOLDER else "file"
            message = f"the {kind} has the mode {file.mode:04o}"
            yield found("IK303", path, message, breaks=(path,))
    yield from _capabilities(tree)
    yield from _unreadable(tree)


def _rights(path: str, file: ImageFile) -> Iterator[PortabilityFinding]:
    if file.kind is not EntryKind.FILE or not file.mode & (_SETUID | _SETGID):
        return
    name = path.rpartition("/")[2]
    if name in KNOWN and path.startswith(_SYSTEM) and file.uid == 0:
        return
    if file.mode & _SETUID:
        message = f"whoever starts it becomes the user {file.uid}"
    else:
        message = f"whoever starts it gets the group {file.gid}"
    if file.mode & 0o111:
        yield found("IK301", path, message, breaks=(path,))


def _is_open(path: str, file: ImageFile) -> bool:
    if not file.mode & 0o002:
        return False
    folder = file.kind is EntryKind.FOLDER
    return not (folder and (file.mode & _STICKY or path in RUNTIME))


def _capabilities(tree: ImageTree) -> Iterator[PortabilityFinding]:
    capable = tree.examined.capabilities
    for path, file in tree.regular.items() if capable else ():
        known = path.rpartition("/")[2] in _CAPABLE and path.startswith(_SYSTEM)
        if (file.layer, file.source) in capable and not known:
            yield found("IK302", path, "its security.capability is set", breaks=(path,))


def _unreadable(tree: ImageTree) -> Iterator[PortabilityFinding]:
    """Yield programs, libraries and folders of them that whoever is not their owner cannot use."""
    closed: list[str] = []
    for path in sorted(tree.files.files):
        file = tree.files.files[path]
        if path.startswith((*_MOUNTED, *_SECRET)) or (closed and _is_in(path, closed[-1])):
            continue
        if file.kind is EntryKind.FOLDER and not file.mode & 0o001 and not _group_zero(file):
            closed.append(path)
            message = f"only its owner may enter it: mode {file.mode:04o}"
            inside = {p for p in tree.objects if _is_in(p, path)}
            yield found("IK305", path, message, breaks=inside or (path,))
        elif file.kind is EntryKind.FILE and not file.mode & _wanted(tree, path, file):
            known = path.rpartition("/")[2] in KNOWN
            if not known and not _group_zero(file):
                message = f"only its owner may use it: mode {file.mode:04o}"
                yield found("IK305", path, message, breaks=(path,))


def _wanted(tree: ImageTree, path: str, file: ImageFile) -> int:
    """Return the permission for others that the owner of a file has: to execute, or to read."""
    if file.mode & 0o100 and (path in tree.objects or tree.script_at(path) is not None):
        return 0o001
    return 0o004


def _group_zero(file: ImageFile) -> bool:
    # As OpenShift has it, an arbitrary user of the group 0.
    return file.gid == 0 and bool(file.mode & 0o010) and bool(file.mode & 0o040)


def _is_in(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")
