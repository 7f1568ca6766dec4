"""Python packages, from what installers leave behind (PEP 376, 566, 610, 639)."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from email.parser import HeaderParser

from imagekit.build.catalogued import shown
from imagekit.sbom.bounds import Bounds
from imagekit.sbom.cataloguers.catalogue_rule import LIST, METADATA, TEXT, CatalogueRule
from imagekit.sbom.cataloguers.cataloguer import Cataloguer, Context, Package
from imagekit.sbom.contents import Component, Kind, Supplier
from imagekit.sbom.licences import of_python
from imagekit.sbom.overlay import Root
from imagekit.sbom.package_url import package_url
from imagekit.sbom.text import clean, decoded, lines

_SEPARATORS = re.compile(r"[-_.]+")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?")
_EMPTY_LINE = re.compile(r"(?:^|\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_OR, _EXTRA = re.compile(r"\bor\b"), re.compile(r"\bextra\b")
_MAX_VERSION = 200
_MAX_HASH = 64
_METADATA = (".dist-info/METADATA", ".egg-info/PKG-INFO", "/EGG-INFO/PKG-INFO", ".egg-info")
_DIST_INFO = {"METADATA": METADATA, "RECORD": LIST, "direct_url.json": TEXT}
_EGG_INFO = {"PKG-INFO": METADATA, "installed-files.txt": LIST}
_READ = frozenset(
    {
        "name", "version", "summary", "home-page", "license", "license-expression", "classifier",
        "requires-dist", "author", "author-email", "maintainer", "maintainer-email",
    }
)  # fmt: skip


class PythonPackage(Package, frozen=True, kw_only=True):
    """One distribution that is installed in the image; its path is that of its metadata."""

    headers: Mapping[str, tuple[str, ...]]

    @property
    def normal_name(self) -> str:
        """The name as PEP 503 compares it."""
        return normal(self.name)

    @property
    def folder(self) -> str:
        """The dist-info or egg-info folder; the file itself for an old egg-info."""
        return _folder(self.path)


class PythonCataloguer(Cataloguer[PythonPackage]):
    """Reads the metadata of wheels and eggs, of all interpreters and environments."""

    title = "Python packages"
    names = frozenset({"METADATA", "RECORD", "direct_url.json", "PKG-INFO", "installed-files.txt"})
    suffixes = frozenset({".egg-link", ".egg-info"})

    def rule(self, path: str) -> CatalogueRule | None:
        folder, _, name = path.rpartition("/")
        if folder.endswith(".dist-info"):
            return _DIST_INFO.get(name)
        if folder.endswith((".egg-info", "/EGG-INFO")):
            return _EGG_INFO.get(name)
        if name.endswith(".egg-link"):
            return TEXT
        return METADATA if name.endswith(".egg-info") else None

    def states(self, path: str) -> bool:
        return path.endswith(_METADATA)

    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[PythonPackage]:
        text = _header(decoded(raw))
        if not root.bounds.headers.take(1 + text.count("\n")):
            return
        headers = _headers(text)
        name, version = _first(headers, "name"), clean(_first(headers, "version"))
        # A part of a version would be another version.
        if not _NAME.fullmatch(name) or not 0 < len(version) <= _MAX_VERSION:
            root.notes.add(f"{shown(path)} has no valid name and version")
            return
        yield PythonPackage(name=name, version=version, path=path, headers=headers)

    def component(self, package: PythonPackage, context: Context) -> Component:
        archive = context.archive_hashes.get((package.normal_name, package.version), "")
        digest = archive or _direct_hash(package, context.root)
        headers = package.headers
        purl = _purl(package)
        return Component(
            ref=purl,
            kind=Kind.PYTHON,
            name=package.name,
            version=package.version,
            purl=purl,
            description=clean(_first(headers, "summary")),
            licenses=of_python(
                _first(headers, "license-expression"),
                _first(headers, "license"),
                [clean(line) for line in headers.get("classifier", ())],
            ),
            supplier=_supplier(headers),
            homepage=clean(_first(headers, "home-page")),
            hashes=(("sha256", digest),) if digest else (),
            properties=_properties(package, context.root),
        )

    def files(self, package: PythonPackage, root: Root) -> Iterator[str]:
        site, _, _ = package.folder.rpartition("/")
        for line in _record(package, root):
            yield _joined(site, line)

    def provides(self, package: PythonPackage, bounds: Bounds) -> Iterator[str]:
        yield package.normal_name

    def needs(self, package: PythonPackage, bounds: Bounds) -> Iterator[tuple[str, ...]]:
        for requirement in package.headers.get("requires-dist", ()):
            if not bounds.relations.take():
                return
            name = _required(clean(requirement))
            if name:
                yield (name,)

    def led_away(self, root: Root) -> Iterator[str]:
        for path in sorted(path for path in root.links if path.endswith(".dist-info")):
            # To a folder that is not called as metadata is.
            if not root.resolve(path).endswith(".dist-info"):
                yield f"{shown(path)} is a link to metadata that is not catalogued"
        # Links to sources (``develop`` of setuptools) that lead to no metadata.
        sources = sorted(path for path in root.documents if path.endswith(".egg-link"))
        stating = (path for path in root.documents if path.endswith(_METADATA)) if sources else ()
        folders = {_folder(path).rpartition("/")[0] for path in stating}
        for path in sources:
            if _linked(path, root) not in folders:
                yield f"{shown(path)} leads to a Python package that is not catalogued"


def _folder(path: str) -> str:
    return path.removesuffix("/METADATA").removesuffix("/PKG-INFO")


def normal(name: str) -> str:
    """Return a name as PEP 503 compares it."""
    return _SEPARATORS.sub("-", name).lower()


def _linked(path: str, root: Root) -> str:
    target = next(lines(root.documents[path][0]), "").strip()
    return root.resolve(_joined(path.rpartition("/")[0], target))


def _purl(package: PythonPackage) -> str:
    # purl-spec, type pypi: the name is lower case, with dashes for underscores.
    return package_url("pypi", package.normal_name, package.version)


def _required(requirement: str) -> str:
    """Return the name that is required; nothing where only an extra asks for it (PEP 508)."""
    wanted, _, marker = requirement.partition(";")
    alternatives = _OR.split(_QUOTED.sub(" ", marker))
    if all(_EXTRA.search(alternative) for alternative in alternatives):
        return ""
    # PEP 508, Names; behind it stand extras, versions or a URL.
    match = re.match(r"[A-Za-z0-9._-]+", wanted.strip())
    return normal(match.group()) if match else ""


def _properties(package: PythonPackage, root: Root) -> tuple[tuple[str, str], ...]:
    properties = [("imagekit:path", f"/{clean(decoded(_raw(package.folder)))}")]
    record = root.read(f"{package.folder}/RECORD")
    if record is not None:
        properties += [
            ("imagekit:python:record:files", str(record.count(b"\n"))),
            ("imagekit:python:record:sha256", hashlib.sha256(record).hexdigest()),
        ]
    return tuple(properties)


def _raw(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _direct_hash(package: PythonPackage, root: Root) -> str:
    """Return the digest of the archive that pip installed, where it wrote that down (PEP 610)."""
    raw = root.read(f"{package.folder}/direct_url.json")
    try:
        document = json.loads(raw or b"{}")
        # The present specification, "Direct URL Data Structure"; PEP 610 itself had one ``hash``.
        value = document["archive_info"]["hashes"]["sha256"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    good = isinstance(value, str) and len(value) == _MAX_HASH
    return value if good and set(value) <= frozenset("0123456789abcdef") else ""


def _record(package: PythonPackage, root: Root) -> Iterator[str]:
    for line in lines(root.read(f"{package.folder}/RECORD") or b""):
        # PATH,HASH,SIZE (PEP 376, RECORD); a path with a comma or a quote is quoted as in CSV.
        path = line.rsplit(",", 2)[0].strip('"').replace('""', '"')
        if path:
            yield path
    for line in lines(root.read(f"{package.folder}/installed-files.txt") or b""):
        if line.strip():
            yield f"{package.folder.rpartition('/')[2]}/{line.strip()}"


def _joined(folder: str, path: str) -> str:
    """Join as text; ``..`` never leads above the root."""
    parts: list[str] = [] if path.startswith("/") else folder.split("/")
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(part for part in parts if part)


def _header(text: str) -> str:
    """Return the text up to its first empty line; what follows is the description."""
    end = _EMPTY_LINE.search(text)
    return text[: end.end()] if end else text


def _headers(text: str) -> dict[str, tuple[str, ...]]:
    """Read the headers of a METADATA file as installers do: by the email package (PEP 566)."""
    headers: dict[str, list[str]] = {}
    for key, value in HeaderParser().parsestr(text).items():
        if key.lower() in _READ:
            headers.setdefault(key.lower(), []).append(str(value).strip())
    return {key: tuple(values) for key, values in headers.items()}


def _first(headers: Mapping[str, tuple[str, ...]], key: str) -> str:
    values = headers.get(key, ())
    return values[0] if values else ""


def _supplier(headers: Mapping[str, tuple[str, ...]]) -> Supplier | None:
    for role in ("maintainer", "author"):
        name, email = clean(_first(headers, role)), clean(_first(headers, f"{role}-email"))
        if "<" in email:
            inner, _, address = email.partition("<")
            name, email = name or inner.strip().strip('"'), address.partition(">")[0]
        if name and name != "UNKNOWN":
            return Supplier(name=name, email=email if "@" in email else "")
    return None
