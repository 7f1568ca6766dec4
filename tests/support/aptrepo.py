"""A signed repository of apt with one package, made for a test."""

import hashlib
import os
import subprocess
from email.utils import formatdate
from pathlib import Path

_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
_LONG_AGO = "20200101T000000"


class Signer:
    """A key of GnuPG, in a folder of its own."""

    def __init__(self, home: Path, *, expired: bool = False) -> None:
        home.mkdir(mode=0o700)
        self._home = home
        # It was valid for the day on which it signed.
        self._time = ["--faked-system-time", f"{_LONG_AGO}!"] if expired else []
        words = ["--quick-gen-key", "Repository <repository@example.org>", "ed25519", "sign", "1d"]
        self._gpg("--passphrase", "", *words)
        self.public = self._gpg("--armor", "--export")

    def clear_signed(self, text: str) -> bytes:
        """Return the text with its signature."""
        return self._gpg("--clear-sign", given=text.encode())

    def _gpg(self, *words: str, given: bytes = b"") -> bytes:
        return subprocess.run(
            ["gpg", "--homedir", str(self._home), "--batch", "--quiet", *self._time, *words],
            input=given,
            capture_output=True,
            check=True,
        ).stdout

    def stop(self) -> None:
        """End the agent that GnuPG started."""
        words = ["gpgconf", "--homedir", str(self._home), "--kill", "all"]
        subprocess.run(words, check=True)


def make_repository(
    folder: Path, signer: Signer | None, *, package: str = "greeter", version: str = "1.0"
) -> None:
    """Write a repository whose suite ``stable`` has a package with /usr/bin/PACKAGE.

    Args:
        folder: where.
        signer: who signs it; nobody where it is left out.
        package: the name.
        version: that of the package.
    """
    pool = folder / "pool"
    pool.mkdir(parents=True)
    control = (
        f"Package: {package}\nVersion: {version}\nArchitecture: all\n"
        "Maintainer: A <a@example.org>\nDescription: says hello\n"
    )
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(control)
    (tree / "usr/bin").mkdir(parents=True)
    program = tree / f"usr/bin/{package}"
    program.write_text(f"#!/bin/sh\n# {version}\necho hello from afar\n")
    program.chmod(0o755)
    deb = pool / f"{package}_{version}_all.deb"
    words = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(deb)]
    subprocess.run(words, check=True, capture_output=True)
    raw = deb.read_bytes()
    listed = (
        f"{control}Filename: pool/{deb.name}\nSize: {len(raw)}\n"
        f"SHA256: {hashlib.sha256(raw).hexdigest()}\n"
    )
    index = f"main/binary-{_ARCHITECTURE}/Packages"
    suite = folder / "dists/stable"
    (suite / index).parent.mkdir(parents=True)
    (suite / index).write_text(listed)
    digest = hashlib.sha256(listed.encode()).hexdigest()
    release = (
        f"Origin: test\nSuite: stable\nCodename: stable\nDate: {formatdate(usegmt=True)}\n"
        f"Architectures: {_ARCHITECTURE}\nComponents: main\n"
        f"SHA256:\n {digest} {len(listed)} {index}\n"
    ).replace("GMT", "UTC")
    if signer is None:
        (suite / "Release").write_text(release)
    else:
        (suite / "InRelease").write_bytes(signer.clear_signed(release))
