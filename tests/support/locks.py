"""Locks and their parts, as tests need them."""

from typing import Any

from msgspec.structs import replace

from imagekit.lock.lock import (
    Lock,
    LockedArchive,
    LockedDeb,
    LockedFile,
    LockedInstall,
    LockedPlatform,
    LockedTree,
    LockedWheel,
)
from imagekit.oci.digest import Digest


def deb(name: str = "greeter", version: str = "1.0", **more: Any) -> LockedDeb:
    """Return a package; its digest is that of its name and version."""
    found = LockedDeb(
        name=name,
        version=version,
        architecture="amd64",
        sha256=Digest.of(f"{name} {version}".encode()),
        size=100,
        path=f"pool/{name}_{version}_amd64.deb",
        archive="debian",
    )
    return replace(found, **more)


def lock_of(**more: Any) -> Lock:
    """Return a lock with one of everything."""
    tree = LockedTree(
        base="debian bookworm",
        bootstrap=(deb("base-files", "12.4"), deb("libc6", "2.36-9")),
        installs=(
            LockedInstall(manager="apt", asked=("greeter",), debs=(deb(automatic=False),)),
            LockedInstall(
                manager="pip",
                asked=("six==1.16.0 --hash=sha256:" + "8" * 64,),
                wheels=(
                    LockedWheel(
                        name="six",
                        version="1.16.0",
                        file="six-1.16.0-py2.py3-none-any.whl",
                        sha256=Digest.of(b"six"),
                        size=11053,
                    ),
                ),
            ),
        ),
        files=(LockedFile(url="https://example.org/a.tar", digest=Digest.of(b"a")),),
    )
    platform = LockedPlatform(
        archives=(LockedArchive(name="debian", suite="bookworm", release=Digest.of(b"release")),),
        image=tree,
        stages={"build": LockedTree(base="", installs=())},
    )
    lock = Lock(
        recipe="hello",
        source_date=1_700_000_000,
        compressor="isal 1.7.2 level 1",
        layers=6,
        platforms={"linux/amd64": platform},
    )
    return replace(lock, **more)


def of_tree(tree: LockedTree, **stages: LockedTree) -> Lock:
    """Return a lock of one platform with that tree."""
    return lock_of(platforms={"linux/amd64": LockedPlatform(image=tree, stages=stages)})
