"""Debian packages made for a test, and what a lock says of them."""

import subprocess
from pathlib import Path

from imagekit.lock.lock import LockedDeb
from imagekit.oci.digest import Digest


def make_deb(folder: Path, name: str, version: str = "1.0", **fields: str) -> Path:
    """Write a package with one file."""
    tree = folder / f"tree-{name}-{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    more = "".join(f"{key}: {value}\n" for key, value in fields.items())
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\n{more}"
        "Maintainer: A <a@example.org>\nDescription: says hello\n and more\n"
    )
    (tree / "usr/share").mkdir(parents=True)
    (tree / "usr/share" / name).write_text(f"{name} {version}\n")
    deb = folder / f"{name}_{version}_all.deb"
    words = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(deb)]
    subprocess.run(words, check=True, capture_output=True)
    return deb


def locked(deb: Path, *, archive: str = "debian", priority: str = "optional") -> LockedDeb:
    """Return what a lock says of a package."""
    name, version, architecture = deb.stem.split("_")
    return LockedDeb(
        name=name,
        version=version,
        architecture=architecture,
        sha256=Digest.of(deb.read_bytes()),
        size=deb.stat().st_size,
        path=f"pool/{deb.name}",
        archive=archive,
        priority=priority,
    )
