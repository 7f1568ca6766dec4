"""Files that state packages, of every cataloguer: as a layer has them, up to the SBOM."""

import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping

from imagekit.sbom.layer_files import read_layer
from tests.attacks.fuzz.target import Target
from tests.attacks.fuzz.targets.layers import sbom_of
from tests.support.elf import elf_with_sections
from tests.support.rpmdb import berkeley, header, ndb, sqlite

_OS_RELEASE = b"ID=rocky\nVERSION_ID=9.3\n"


def _layer(files: Mapping[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def _at(*paths: str) -> Callable[[bytes], None]:
    """Return a check that puts the bytes at each of the paths."""

    def check(raw: bytes) -> None:
        files = {"etc/os-release": _OS_RELEASE, **dict.fromkeys(paths, raw)}
        sbom_of(read_layer([_layer(files)], layer="sha256:x", digest_programs=True))

    return check


def _in_section(name: str) -> Callable[[bytes], None]:
    """Return a check that puts the bytes into a section of a program."""

    def check(raw: bytes) -> None:
        _at("usr/bin/x")(elf_with_sections({name: raw}))

    return check


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _jar(files: Mapping[str, bytes], method: int) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return raw.getvalue()


_HEADER = header(
    {
        1000: "solver", 1001: "2.1", 1002: "3.el9", 1003: 1, 1014: "GPLv2+ and MIT", 1022: "x86_64",
        1047: ["libx.so"], 1049: ["libx.so", "rpmlib(x)"],
        1116: [0], 1117: ["x"], 1118: ["/usr/"],
    }
)  # fmt: skip
_POM = b"version=1.0\ngroupId=org.a\nartifactId=b\n"
_INNER = _jar({"META-INF/maven/org.a/b/pom.properties": _POM}, zipfile.ZIP_STORED)
_MANIFEST = (
    b"Manifest-Version: 1.0\r\nBundle-SymbolicName: org.a.b\r\n .c\r\nBundle-Version: 1\r\n\r\n"
)
_GO = b"path\tx.org/y/cmd\nmod\tx.org/y\tv1.0.0\th1:x=\ndep\ta.b/c\tv1\n=>\ta.b/d\tv2\th1:z=\n"
_GO_TEXT = bytes(16) + _GO + bytes(16)
_NODE = {"name": "hdf5", "version": "1.14", "hash": "aa", "dependencies": [{"hash": "bb"}]}
_INSTALL = {"spec": _NODE, "path": "/o", "installed": True}
_CONDA = {
    "name": "numpy", "version": "2.3.4", "build": "0", "subdir": "linux-64",
    "channel": "https://c/conda-forge/linux-64", "url": "https://c/x.conda",
    "depends": ["python >=3"], "files": ["lib/x.so"], "sha256": "ab" * 32,
}  # fmt: skip

TARGETS = {
    "rpm": Target(
        check=_at("var/lib/rpm/Packages"),
        seeds=(
            sqlite([_HEADER]), ndb([_HEADER]), berkeley([_HEADER]), berkeley([_HEADER], order=">"),
        ),
    ),
    "apk": Target(
        check=_at("lib/apk/db/installed"),
        seeds=(b"P:musl\nV:1.2\nA:x86\nL:MIT\no:m\nD:so:a !b c>=1\np:so:a=1\nF:lib\nR:x\n\n",),
    ),
    "conda": Target(check=_at("opt/c/conda-meta/numpy-2.3.4-0.json"), seeds=(_json(_CONDA),)),
    "spack": Target(
        check=_at("opt/s/hdf5/.spack/spec.json", "opt/s/.spack-db/index.json"),
        seeds=(
            _json({"spec": {"nodes": [_NODE]}}),
            _json({"database": {"installs": {"aa": _INSTALL}}}),
        ),
    ),
    "easybuild": Target(
        check=_at("opt/software/X/1/easybuild/X-1.eb"),
        seeds=(
            (b"name = 'X'\nversion = \"1\"\nversionsuffix = '-p'\n"
            b"toolchain = {'name': 'gompi', 'version': '2023a'}\n"),
        ),
    ),
    "npm": Target(
        check=_at("app/node_modules/x/package.json", "app/node_modules/@s/x/package.json"),
        seeds=(
            _json({
                "name": "x", "version": "1.0.0", "license": {"type": "MIT"}, "licenses": ["ISC"],
                "author": "A <a@b.c> (https://d)", "dependencies": {"x": "*"}, "homepage": "https://x",
            }),
        ),
    ),
    "java": Target(
        check=_at("opt/b-1.0.jar"),
        seeds=tuple(
            _jar({"a/c-1.jar": _INNER, "META-INF/MANIFEST.MF": _MANIFEST}, method)
            for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        ),
    ),
    "r": Target(
        check=_at("usr/lib/R/library/x/DESCRIPTION"),
        seeds=(
            (b"Package: x\nVersion: 1.0\nBuilt: R 4.2\nDepends: R (>= 3), y,\n z\n"
            b"License: GPL (>= 2) | file LICENSE\nMaintainer: A <a@b.c>\nURL: https://x, https://y\n"),
        ),
    ),
    "perl": Target(
        check=_at("l/auto/JSON/XS/.packlist", "l/.meta/JSON-XS-4/install.json"),
        seeds=(
            b"/l/auto/JSON/XS/XS.so type=file\n",
            _json({"name": "JSON::XS", "version": "4", "pathname": "M/ML/MLEHMANN/J-4.tar.gz"}),
        ),
    ),
    "gem": Target(
        check=_at("g/specifications/x-1.gemspec"),
        seeds=(
            (b'  s.name = "x".freeze\n  s.version = "1"\n  s.licenses = ["MIT".freeze]\n'
            b'  s.platform = "x86_64-linux"\n  s.add_dependency(%q<x>.freeze, [">= 1"])\n'),
        ),
    ),
    "module": Target(
        check=_at("m/modulefiles/gcc/12.1", "m/modulefiles/Core/gcc/12.1.lua"),
        seeds=(
            b"#%Module1.0\nmodule-whatis {GNU compilers}\n",
            b'help([[x]])\nwhatis("Description: x")\n',
        ),
    ),
    "go": Target(
        check=_in_section(".go.buildinfo"),
        seeds=(
            b"\xff Go buildinf:\x08\x02" + bytes(16) + b"\x08go1.24.1"
            + struct.pack("2B", len(_GO_TEXT) & 0x7F | 0x80, len(_GO_TEXT) >> 7) + _GO_TEXT,
        ),
    ),
    "rust": Target(
        check=_in_section(".dep-v0"),
        seeds=(
            zlib.compress(
                _json({"packages": [{"name": "x", "version": "1", "dependencies": [0, 1]}]})
            ),
        ),
    ),
    "elf-package": Target(
        check=_in_section(".note.package"),
        seeds=(
            struct.pack("<3I", 4, 60, 0xCAFE1A7E) + b"FDO\0"
            + _json({"type": "deb", "name": "x", "version": "1", "architecture": "amd64"}),
        ),
    ),
    "elf-sections": Target(
        check=_at("usr/bin/x"),
        seeds=(
            elf_with_sections({".dep-v0": zlib.compress(b"{}")}),
            elf_with_sections({".dep-v0": b"x"}, wide=False, order=">"),
        ),
    ),
}  # fmt: skip
