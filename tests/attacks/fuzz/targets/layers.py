"""Layers of images, and the databases of packages in them."""

import gzip
import io
import sys
import tarfile

from imagekit.check.static.dynamic_object import dynamic_object
from imagekit.needs.elf import HEAD, elf_notes
from imagekit.needs.needs import CPU_LEVELS
from imagekit.oci.layer_stream import Stream
from imagekit.oci.tar import EntryKind, entries
from imagekit.sbom.catalogue import catalogue, owned_files
from imagekit.sbom.contents import LayerFiles, Subject
from imagekit.sbom.cyclonedx import cyclonedx_json
from imagekit.sbom.layer_files import read_layer
from tests.attacks.fuzz.target import BrokenRuleError, Target, same
from tests.support.elf import abi_tag, elf, isa_needed, linked

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LIMIT = 8 << 20
_PIECE = 1 << 20
_STATUS = b"""\
Package: libc6
Status: install ok installed
Maintainer: GNU Libc <debian-glibc@lists.debian.org>
Architecture: amd64
Source: glibc (2.36-9)
Version: 2.36-9+deb12u14
Provides: libc-dev-virtual (= 1)
Pre-Depends: gawk | libx:any [amd64], absent
Homepage: https://www.gnu.org/
Description: GNU C Library
 A long text.

Package: mawk
Status: install ok installed
Architecture: all
Version: 1:1.3-1
Depends: libc6 (>= 2.34)
"""
_METADATA = b"""\
Metadata-Version: 2.1
Name: Solver_Kit
Version: 2.0
License-Expression: MIT OR Apache-2.0
Classifier: License :: OSI Approved :: MIT License
Author-email: Ada <ada@example.org>
Requires-Dist: PyYAML>=5; extra == 'x'
Home-page: https://example.org/

Name: not a header
"""
_COPYRIGHT = b"""\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: GPL-2+ or Expat
"""
_OS_RELEASE = b"""\
ID=debian
VERSION_ID="12"
PRETTY_NAME="Debian GNU/Linux 12"
HOME_URL="https://www.debian.org/"
CPE_NAME="cpe:2.3:o:debian:debian_linux:12:*:*:*:*:*:*:*"
"""
_SITE = "usr/lib/python3/dist-packages/solver-2.0.dist-info"


def _tar(raw: bytes) -> None:
    stream = Stream([raw], where="layer x", limit=_LIMIT)
    for entry in entries(stream):
        if ".." in entry.path.split("/") or entry.path.startswith("/") or entry.size < 0:
            raise BrokenRuleError(f"an entry that leads out: {entry}")
        if entry.kind in {EntryKind.SYMLINK, EntryKind.HARDLINK, EntryKind.OTHER}:
            same(entry.size, 0)
        stream.skip(entry.size)
    stream.drain()


def _layer(raw: bytes) -> None:
    pieces = [raw[at : at + 509] for at in range(0, len(raw), 509)]
    whole = read_layer([raw], layer="sha256:x", digest_programs=True, limit=_LIMIT)
    same(read_layer(pieces, layer="sha256:x", digest_programs=True, limit=_LIMIT), whole)
    sbom_of(whole)


def _elf(raw: bytes) -> None:
    if not 0 <= elf_notes(raw[:HEAD]).level <= len(CPU_LEVELS):
        raise BrokenRuleError("a level that there is not")


def _dynamic_elf(raw: bytes) -> None:
    """Read a file as the loader does: whole, and nothing behind it."""
    stream = Stream([raw + b"next"], where="fuzz")
    head = stream.exactly(min(len(raw), HEAD)) if raw else b""
    dynamic_object(head, stream, len(raw))
    if bytes(stream.some(_PIECE)) != b"next":
        raise BrokenRuleError("more or less was read than there is")


def _gzip(raw: bytes) -> None:
    """Unpack the bytes; those that are no gzip are packed first."""
    packed = raw if raw.startswith(b"\x1f\x8b") else gzip.compress(raw)
    _layer(packed)


def _zstd(raw: bytes) -> None:
    """Unpack the bytes; those that are no zstd are packed first."""
    packed = raw if raw.startswith(b"\x28\xb5\x2f\xfd") else zstd.compress(raw)
    _layer(packed)


def _dpkg(raw: bytes) -> None:
    status, _, rest = raw.partition(b"\0")
    copyright_file, _, listed = rest.partition(b"\0")
    files = LayerFiles(
        layer="sha256:x",
        documents={
            "var/lib/dpkg/status": status,
            "usr/share/doc/libc6/copyright": copyright_file,
            "var/lib/dpkg/info/libc6.list": listed,
            "var/lib/dpkg/info/mawk.md5sums": listed,
            "etc/os-release": _OS_RELEASE,
        },
    )
    sbom_of(files)


def _python(raw: bytes) -> None:
    metadata, _, rest = raw.partition(b"\0")
    record, _, direct = rest.partition(b"\0")
    files = LayerFiles(
        layer="sha256:x",
        documents={
            f"{_SITE}/METADATA": metadata,
            f"{_SITE}/RECORD": record,
            f"{_SITE}/direct_url.json": direct,
            "usr/lib/python3/dist-packages/old.egg-info": metadata,
        },
        links={"usr/lib": "/lib", "lib": "usr/lib"},
    )
    sbom_of(files)


def _os_release(raw: bytes) -> None:
    sbom_of(
        LayerFiles(
            layer="sha256:x",
            documents={"etc/os-release": raw, "var/lib/dpkg/status": _STATUS},
        )
    )


def sbom_of(files: LayerFiles) -> None:
    """Hold that an SBOM can be written of whatever was read, the same bytes each time."""
    owned_files(files)("usr/bin/x")
    subject = Subject(name="r.site/apps/demo", version="1", digest="sha256:" + "a" * 64)
    first = cyclonedx_json(catalogue([files], subject=subject), tool_version="1")
    again = cyclonedx_json(catalogue([files], subject=subject), tool_version="1")
    same(again, first)


def _archive(form: int) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as tar:
        for name, content in (
            ("var/lib/dpkg/status", _STATUS),
            (f"{_SITE}/METADATA", _METADATA),
            ("usr/bin/" + "x" * 90 + "/y" * 10, b"\x7fELF"),
            ("usr/.wh.gone", b""),
            ("etc/os-release", _OS_RELEASE),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mode = 0o755
            tar.addfile(info, io.BytesIO(content))
        for kind, name in ((tarfile.SYMTYPE, "lib"), (tarfile.LNKTYPE, "etc/copy")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "etc/os-release"
            tar.addfile(info)
    return raw.getvalue()


_ARCHIVES = tuple(
    _archive(form) for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)
)

TARGETS = {
    "tar": Target(check=_tar, seeds=_ARCHIVES),
    "layer": Target(check=_layer, seeds=_ARCHIVES),
    "gzip": Target(
        check=_gzip,
        seeds=(
            *(gzip.compress(raw) for raw in _ARCHIVES),
            gzip.compress(_ARCHIVES[0][:700]) + gzip.compress(_ARCHIVES[0][700:]) + bytes(100),
            _ARCHIVES[0],
        ),
    ),
    "zstd": Target(
        check=_zstd,
        seeds=(
            *(zstd.compress(raw) for raw in _ARCHIVES),
            zstd.compress(_ARCHIVES[0][:700]) + zstd.compress(_ARCHIVES[0][700:]),
            _ARCHIVES[0],
        ),
    ),
    "elf": Target(
        check=_elf, seeds=(elf(isa_needed(7), abi_tag(5, 10, 0)), elf(abi_tag(3, 2, 0), machine=3))
    ),
    "dynamic-elf": Target(
        check=_dynamic_elf,
        seeds=(
            linked(
                needed=("liba.so",),
                soname="libb.so",
                interpreter="/lib/ld.so",
                runpath="$ORIGIN",
                wants={"liba.so": ("A_1", "A_2")},
                defines=("B_1",),
            ),
            linked(needed=("liba.so",), wide=False, machine=3),
        ),
    ),
    "dpkg": Target(
        check=_dpkg,
        seeds=(_STATUS + b"\0" + _COPYRIGHT + b"\0/usr\n/usr/lib/x\n", b"Package: a\n\n\n"),
    ),
    "python": Target(
        check=_python,
        seeds=(
            _METADATA
            + b'\0a/b.py,sha256=x,12\n"a,b",,\n\0'
            + b'{"archive_info": {"hashes": {"sha256": "%b"}}}' % (b"a" * 64),
        ),
    ),
    "os-release": Target(check=_os_release, seeds=(_OS_RELEASE,)),
}
