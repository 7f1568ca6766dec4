"""Packages that ELF files say they belong to (UAPI Group, "Package Metadata for Executable Files").

The note is of use where no database of packages is left. What a database has is listed by it, and
not once more for each of its programs.
"""

import struct
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.cataloguers.statements import json_text, note_invalid, read_json, word
from imagekit.sbom.contents import Component, Kind
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url

_SECTION = ".note.package"
_TYPE = 0xCAFE1A7E
_OWNER = b"FDO\0"
_HEADER = 12


class _Note(Struct, frozen=True, rename={"cpe": "osCpe"}):
    type: Any = None
    name: Any = None
    version: Any = None
    architecture: Any = None
    cpe: Any = None


class ElfPackage(Package, frozen=True, kw_only=True):
    """One package; its variant is its architecture."""

    type: str
    cpe: str

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes it the same package in two programs."""
        return (self.name, self.version, self.variant)


class ElfPackageCataloguer(Cataloguer[ElfPackage]):
    """Reads the notes that distributions and sites leave in what they compile."""

    title = "packages of ELF notes"
    sections = frozenset({_SECTION})
    is_secondary = True

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[ElfPackage]:
        text = _description(raw)
        note = read_json(text, _Note, path=path, root=root) if text else None
        if note is None:
            return
        name, version = word(note.name), word(note.version)
        if not name or not version:
            note_invalid(path, root)
            return
        yield ElfPackage(
            name=name,
            version=version,
            variant=word(note.architecture),
            path=path,
            type=word(note.type),
            cpe=json_text(note.cpe),
        )

    def component(self, package: ElfPackage, context: Context) -> Component:
        is_known = package.type in {"deb", "rpm", "apk", "alpm"}
        purl = package_url(
            package.type if is_known else "generic",
            package.name,
            package.version,
            namespace=context.system.id if is_known else "",
            arch=package.variant,
            distro=context.system.distro,
        )
        return Component(
            ref=f"elf:{purl}",
            kind=Kind.ELF,
            name=package.name,
            version=package.version,
            purl=purl,
            properties=(
                ("imagekit:path", f"/{package.path}"),
                *((("imagekit:elf:os-cpe", package.cpe),) if package.cpe else ()),
            ),
        )

    def files(self, package: ElfPackage, root: Root) -> Iterator[str]:
        yield package.path


def _description(raw: bytes) -> bytes:
    """Return the JSON of a note; nothing where the section holds none."""
    for order in ("<", ">"):
        if len(raw) < _HEADER:
            return b""
        name, size, kind = struct.unpack_from(f"{order}3I", raw)
        if kind == _TYPE and raw[_HEADER : _HEADER + name] == _OWNER:
            start = _HEADER + len(_OWNER)
            return raw[start : start + size].rstrip(b"\0")
    return b""
