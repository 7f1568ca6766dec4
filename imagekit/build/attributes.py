"""Extended attributes of files (xattr(7)): which belong to an image, and which a layer can keep.

A layer has to have them (image-spec layer.md, File Attributes), and keeps them as pax records
``SCHILY.xattr.NAME``, as every runtime unpacks them. Kept are capabilities and attributes of users;
anything else would be lost or have another meaning where it is unpacked, so it is refused by name.
"""

import errno
import os
from collections.abc import Iterator, Mapping

from imagekit.build.catalogued import shown
from imagekit.errors import BuildError

CANNOT_KEEP = "build/cannot-keep"
"""Code of the error for what no layer can hold."""
Attributes = tuple[tuple[str, bytes], ...]

_CAPABILITY = "security.capability"
_USER = "user."
_PAX = "SCHILY.xattr."
_MAX_BYTES = 512 << 10
"""Most bytes of one file's attributes; readers bound a pax header at 1 MiB."""
_STORAGE = frozenset(
    {
        # Of the file system or host that the tree lies on, whatever the image is.
        "btrfs.compression",
        "lustre.lov",
        "security.apparmor",
        "security.evm",
        "security.ima",
        "security.selinux",
        "system.nfs4_acl",
    }
)
_ACLS = frozenset({"system.posix_acl_access", "system.posix_acl_default"})
_NO_ACL = (
    "use owner, group and mode: setfacl --remove-all FILE; where the folder of imagekit's storage "
    "gives it to every file, setfacl --remove-default FOLDER"
)
_OF_STORAGE_DRIVERS = ("user.overlay.", "user.containers.", "user.fuseoverlayfs.")
"""What storage drivers take for their own records: one in a layer would control the storage."""
_NONE = frozenset({errno.ENOTSUP, errno.ENOSYS})


def read(place: str | int) -> Attributes:
    """Return the attributes that a file has as part of its image, in the order of their names.

    In a user namespace the kernel itself shows capabilities without the namespace's owner.

    Args:
        place: its path, of which a link is not followed; or the open file.

    Raises:
        OSError: they cannot be read.
    """
    # With an open file, which is no link, the functions take nothing else.
    follow = isinstance(place, int)
    try:
        names = os.listxattr(place, follow_symlinks=follow)
    except OSError as error:
        if error.errno in _NONE:
            return ()
        raise
    return tuple(
        (name, os.getxattr(place, name, follow_symlinks=follow))
        for name in sorted(names)
        if name not in _STORAGE
    )


def access_lists(handle: int) -> frozenset[str]:
    """Return the names of the access control lists that an open file or folder has.

    Raises:
        OSError: they cannot be read.
    """
    try:
        return _ACLS.intersection(os.listxattr(handle))
    except OSError as error:
        if error.errno in _NONE:
            # A file system without attributes has no lists.
            return frozenset()
        raise


def refuse_access_list(path: str, place: str) -> None:
    """Refuse a file or folder with an access control list.

    Args:
        path: what it is in the image.
        place: where it lies.

    Raises:
        BuildError: it has one.
        OSError: it cannot be read.
    """
    try:
        names = os.listxattr(place, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NONE:
            return
        raise
    pax_records(path, tuple((name, b"") for name in names if name in _ACLS))


def pax_records(path: str, attributes: Attributes) -> dict[str, str]:
    """Return the attributes as pax records (IEEE Std 1003.1 "pax", extended header records).

    Args:
        path: whose they are, in the image.
        attributes: what ``read`` returned.

    Raises:
        BuildError: a layer cannot keep one of them.
    """
    for why, hint in _reasons(attributes):
        raise BuildError(
            f"{shown(path)} has {why}, which no layer keeps", hint=hint, code=CANNOT_KEEP
        )
    return {f"{_PAX}{name}": value.decode("utf-8", "surrogateescape") for name, value in attributes}


def of_records(records: Mapping[str, str]) -> dict[str, bytes]:
    """Return the attributes that pax records hold, by their names.

    Args:
        records: of one entry, as Python's tarfile has them.
    """
    return {
        keyword.removeprefix(_PAX): value.encode("utf-8", "surrogateescape")
        for keyword, value in records.items()
        if keyword.startswith(_PAX)
    }


def _reasons(attributes: Attributes) -> Iterator[tuple[str, str]]:
    for name, _ in attributes:
        if name in _ACLS:
            yield (
                "an access control list",
                _NO_ACL,
            )
        elif not _is_kept(name):
            yield (
                f"the extended attribute {shown(name)[1:]!r}",
                "remove it: setfattr --remove NAME FILE",
            )
    if sum(len(name) + len(value) for name, value in attributes) > _MAX_BYTES:
        yield f"more than {_MAX_BYTES} bytes of extended attributes", "keep them in a file"


def _is_kept(name: str) -> bool:
    if name == _CAPABILITY:
        return True
    # IEEE Std 1003.1, pax Extended Header: "LENGTH KEYWORD=VALUE", so a keyword has no "=".
    plain = name.isprintable() and "=" not in name
    return plain and name.startswith(_USER) and not name.startswith(_OF_STORAGE_DRIVERS)
