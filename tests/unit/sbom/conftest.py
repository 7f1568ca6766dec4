"""Images for the cataloguer's tests, made of a few files."""

import io
import tarfile
from collections.abc import Callable, Mapping

import pytest

STATUS = """\
Package: libc6
Status: install ok installed
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u14
Provides: libc-dev-virtual (= 1)
Description: GNU C Library: Shared libraries
 A long text.

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: mawk
Status: install ok installed
Architecture: amd64
Version: 1:1.3-1
Pre-Depends: libc6 (>= 2.34)
Depends: gawk | libc-dev-virtual, absent

Package: python3-yaml
Status: install ok installed
Architecture: all
Version: 6.0-3
Depends: libc6:any
"""

COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: somebody
License: GPL-2+ or Expat

Files: debian/*
License: BSD-3-clause
"""

METADATA = """\
Metadata-Version: 2.1
Name: Solver_Kit
Version: 2.0
License-Expression: MIT OR Apache-2.0
Author-email: Ada <ada@example.org>
Requires-Dist: PyYAML>=5
Requires-Dist: pytest; extra == 'test'

Name: not a header
"""

OS_RELEASE = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'


@pytest.fixture
def base_files() -> Mapping[str, bytes]:
    """A small Debian system with one Python package of Debian's."""
    return {
        "usr/lib/os-release": OS_RELEASE.encode(),
        "var/lib/dpkg/status": STATUS.encode(),
        "var/lib/dpkg/info/libc6:amd64.md5sums": b"0123  usr/lib/libc.so.6\n",
        "var/lib/dpkg/info/libc6:amd64.list": b"/.\n/lib\n/lib/libc.so.6\n",
        "var/lib/dpkg/info/python3-yaml.list": b"/usr/lib/python3/dist-packages/"
        b"PyYAML-6.0.egg-info/PKG-INFO\n",
        "usr/share/doc/libc6/copyright": COPYRIGHT.encode(),
        "usr/lib/python3/dist-packages/PyYAML-6.0.egg-info/PKG-INFO": b"Name: PyYAML\n"
        b"Version: 6.0\nClassifier: License :: OSI Approved :: MIT License\n",
    }


@pytest.fixture
def recipe_files() -> Mapping[str, bytes]:
    """What a recipe put on top: a wheel and a compiled program."""
    site = "opt/venv/lib/python3.11/site-packages"
    return {
        f"{site}/solver_kit-2.0.dist-info/METADATA": METADATA.encode(),
        f"{site}/solver_kit-2.0.dist-info/RECORD": b"solver/_core.so,sha256=x,9\n"
        b"../../../bin/solver,sha256=y,9\n",
        f"{site}/solver/_core.so": b"\x7fELF.core",
        "opt/venv/bin/solver": b"\x7fELF.solver",
        "opt/app/mpi_hello": b"\x7fELF.mpi",
        "opt/app/notes.txt": b"nothing to run",
    }


@pytest.fixture
def tar() -> Callable[..., bytes]:
    """Make a tar archive of files and links."""

    def make(files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, target in (links or {}).items():
                member = tarfile.TarInfo(name)
                member.type, member.linkname = tarfile.SYMTYPE, target
                archive.addfile(member)
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o644
                archive.addfile(member, io.BytesIO(content))
        return raw.getvalue()

    return make
