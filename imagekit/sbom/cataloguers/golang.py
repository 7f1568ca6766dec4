"""Modules that Go programs were built of (Go's debug/buildinfo, runtime/debug.BuildInfo).

The linker leaves a section of 32 bytes and, since Go 1.18, two texts behind it: Go's version, and a
line for each module. Older programs have pointers there: they are a note.
"""

from collections.abc import Iterator

from imagekit.build.catalogued import shown
from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.cataloguers.statements import word
from imagekit.sbom.contents import Component, Kind
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url
from imagekit.sbom.text import decoded

_SECTION = ".go.buildinfo"
_MAGIC = b"\xff Go buildinf:"
_HEADER, _FLAGS, _INLINE = 32, 15, 2
_GUARD = 16
"""Bytes of a mark before and behind the lines of modules."""
_DEVELOPED = "(devel)"
_MAX_VARINT = 9
_MORE = 0x80


class GoModule(Package, frozen=True, kw_only=True):
    """One module of one program."""

    sum: str = ""
    """The hash of go.sum, as Go writes it."""

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes it the same module: in two programs it is listed twice."""
        return (self.name, self.version, self.path)


class GoCataloguer(Cataloguer[GoModule]):
    """Reads what the linker of Go left in programs, stripped ones too."""

    title = "Go modules"
    sections = frozenset({_SECTION})

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[GoModule]:
        texts = _texts(raw)
        if texts is None:
            root.notes.add(f"{shown(path)} is of Go before 1.18 or damaged: no modules are listed")
            return
        version, modules = texts
        release = version.partition(" ")[0].removeprefix("go")
        if word(release):
            yield GoModule(name="stdlib", version=release, path=path)
        yield from _modules(modules, path)

    def component(self, package: GoModule, context: Context) -> Component:
        # purl-spec, type golang: the name is the last part of the module's path, lower case.
        namespace, _, name = package.name.rpartition("/")
        purl = package_url("golang", name, package.version, namespace=namespace)
        return Component(
            ref=purl,
            kind=Kind.GO,
            name=package.name,
            version=package.version,
            purl=purl,
            properties=(
                ("imagekit:path", f"/{package.path}"),
                *((("imagekit:go:sum", package.sum),) if package.sum else ()),
            ),
        )


def _texts(raw: bytes) -> tuple[str, str] | None:
    """Return the version of Go and the lines of modules; None where they are not in the section."""
    if not raw.startswith(_MAGIC) or len(raw) < _HEADER or not raw[_FLAGS] & _INLINE:
        return None
    version, at = _text(raw, _HEADER)
    modules, end = _text(raw, at)
    if not version or end > len(raw):
        return None
    # What stands around the lines is of no use to anyone; programs that are none have no lines.
    return decoded(version), decoded(modules[_GUARD:-_GUARD])


def _text(raw: bytes, at: int) -> tuple[bytes, int]:
    """Return a text, and where it ends: its length in base 128 (encoding/binary, Uvarint) leads."""
    length = shift = 0
    for byte in raw[at : at + _MAX_VARINT]:
        at += 1
        length |= (byte & ~_MORE) << shift
        shift += 7
        if not byte & _MORE:
            return raw[at : at + length], at + length
    return b"", at


def _modules(lines: str, path: str) -> Iterator[GoModule]:
    """Yield the modules: the program's own (``mod``), what it needs, and what replaces that."""
    own, pending = "", None
    for line in lines.split("\n"):
        kind, _, rest = line.partition("\t")
        name, version, hash_ = (*rest.split("\t"), "", "", "")[:3]
        module = GoModule(
            name=word(name).strip("/ "),
            version="" if version == _DEVELOPED else word(version),
            path=path,
            sum=word(hash_),
        )
        if kind == "path":
            # The package; where no line names its module, it is all that is known.
            own = module.name
        elif kind == "=>" and not name.startswith((".", "/")):
            # What is replaced by a folder of whoever built it keeps its name.
            pending = module
        elif kind in {"mod", "dep"}:
            yield from _named(pending)
            pending, own = module, "" if kind == "mod" else own
    yield from _named(pending)
    if own:
        yield GoModule(name=own, version="", path=path)


def _named(module: GoModule | None) -> Iterator[GoModule]:
    if module is not None and module.name:
        yield module
