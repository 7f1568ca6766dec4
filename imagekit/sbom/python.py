"""Python packages, from what installers leave behind (PEP 376, 566, 610, 639)."""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from email.parser import HeaderParser

from msgspec import Struct
from packageurl import PackageURL

from imagekit.build.catalogued import Notes, shown
from imagekit.sbom.contents import Component, Kind, Supplier
from imagekit.sbom.licences import of_python
from imagekit.sbom.overlay import Resolver, Root
from imagekit.sbom.text import clean, decoded, lines

_SEPARATORS = re.compile(r"[-_.]+")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?")
_EMPTY_LINE = re.compile(r"(?:^|\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_OR, _EXTRA = re.compile(r"\bor\b"), re.compile(r"\bextra\b")
_MAX_VERSION = 200
_MAX_HASH = 64
_METADATA = (".dist-info/METADATA", ".egg-info/PKG-INFO", "/EGG-INFO/PKG-INFO", ".egg-info")
_READ = frozenset(
    {
        "name", "version", "summary", "home-page", "license", "license-expression", "classifier",
        "requires-dist", "author", "author-email", "maintainer", "maintainer-email",
    }
)  # fmt: skip


class PythonPackage(Struct, frozen=True):
    """One distribution that is installed in the image."""

    name: str
    version: str
    path: str
    """Where its metadata lies."""
    headers: Mapping[str, tuple[str, ...]]

    @property
    def normal_name(self) -> str:
        """The name as PEP 503 compares it."""
        return normal(self.name)

    @property
    def folder(self) -> str:
        """The dist-info or egg-info folder; the file itself for an old egg-info."""
        return self.path.removesuffix("/METADATA").removesuffix("/PKG-INFO")


def normal(name: str) -> str:
    """Return a name as PEP 503 compares it."""
    return _SEPARATORS.sub("-", name).lower()


def packages(root: Root) -> tuple[tuple[PythonPackage, ...], tuple[str, ...]]:
    """Return the distributions that are there, and notes on those that are not catalogued."""
    distributions: list[PythonPackage] = []
    notes = Notes()
    for path in sorted(path for path in root.documents if path.endswith(_METADATA)):
        text = _header(decoded(root.documents[path][0]))
        if not root.bounds.headers.take(1 + text.count("\n")):
            continue
        headers = _headers(text)
        name, version = _first(headers, "name"), clean(_first(headers, "version"))
        # A part of a version would be another version.
        if not _NAME.fullmatch(name) or not 0 < len(version) <= _MAX_VERSION:
            notes.add(f"{shown(path)} has no valid name and version")
        elif root.bounds.pythons.take():
            distributions.append(PythonPackage(name, version, path, headers))
    for path in _led_away(root):
        notes.add(f"{shown(path)} is a link to metadata that is not catalogued")
    for path in _dangling(root, distributions):
        notes.add(f"{shown(path)} leads to a Python package that is not catalogued")
    return tuple(distributions), notes.all()


def _led_away(root: Root) -> list[str]:
    """Return the links in the place of metadata whose targets are not called as metadata is."""
    links = sorted(path for path in root.links if path.endswith((*_METADATA, ".dist-info")))
    return [
        path
        for path in links
        if not root.resolve(path).endswith((*_METADATA, ".dist-info", ".egg/EGG-INFO"))
    ]


def _dangling(root: Root, distributions: Iterable[PythonPackage]) -> list[str]:
    """Return the links to sources (``develop`` of setuptools) that lead to no metadata."""
    links = sorted(path for path in root.documents if path.endswith(".egg-link"))
    folders = {package.folder.rpartition("/")[0] for package in distributions} if links else set()
    return [path for path in links if _linked(path, root) not in folders]


def _linked(path: str, root: Root) -> str:
    target = next(lines(root.documents[path][0]), "").strip()
    return root.resolve(_joined(path.rpartition("/")[0], target))


def components(
    distributions: tuple[PythonPackage, ...],
    root: Root,
    *,
    debian_owner: Mapping[str, str],
    archive_hashes: Mapping[tuple[str, str], str],
) -> tuple[Component, ...]:
    """Return the distributions as components.

    Args:
        distributions: what is there of them.
        root: the image.
        debian_owner: the ref of the Debian package that owns a file, by path.
        archive_hashes: SHA-256 of what pip was made to install, by normal name and version.
    """
    refs = _refs(distributions)
    by_name = {package.normal_name: refs[package.path] for package in reversed(distributions)}
    return tuple(
        _component(
            package,
            root,
            ref=refs[package.path],
            needed=root.bounds.depending(refs[package.path], _needed(package, by_name, root)),
            owner=debian_owner.get(package.path, ""),
            archive=archive_hashes.get((package.normal_name, package.version), ""),
        )
        for package in distributions
    )


def owned(
    distributions: tuple[PythonPackage, ...],
    root: Root,
    resolver: Resolver,
    *,
    wanted: Collection[str],
) -> frozenset[str]:
    """Return the files that the distributions list as theirs, of those that are wanted."""
    files: set[str] = set()
    for package in distributions if wanted else ():
        site, _, _ = package.folder.rpartition("/")
        for line in _record(package, root):
            if not root.bounds.lines.take():
                break
            real = resolver.place(_joined(site, line))
            if real in wanted:
                files.add(real)
    return frozenset(files)


def _component(
    package: PythonPackage, root: Root, *, ref: str, needed: set[str], owner: str,
    archive: str,
) -> Component:  # fmt: skip
    layer = root.layers[root.documents[package.path][1]]
    digest = archive or _direct_hash(package, root)
    headers = package.headers
    return Component(
        ref=ref,
        kind=Kind.PYTHON,
        name=package.name,
        version=package.version,
        purl=_purl(package),
        description=clean(_first(headers, "summary")),
        licenses=root.bounds.licensed(
            of_python(
                _first(headers, "license-expression"),
                _first(headers, "license"),
                [clean(line) for line in headers.get("classifier", ())],
            )
        ),
        supplier=_supplier(headers),
        homepage=clean(_first(headers, "home-page")),
        hashes=(("sha256", digest),) if digest else (),
        properties=_properties(package, root, owner),
        depends=tuple(sorted(needed)),
        origin=layer.origin,
        layer=layer.layer,
    )


def _purl(package: PythonPackage) -> str:
    # purl-spec, type pypi: the name is lower case, with dashes for underscores.
    return PackageURL(type="pypi", name=package.normal_name, version=package.version).to_string()


def _refs(distributions: tuple[PythonPackage, ...]) -> dict[str, str]:
    """Return a ref for each path; the same distribution may be there twice."""
    refs: dict[str, str] = {}
    taken: set[str] = set()
    for package in distributions:
        purl = _purl(package)
        ref = purl if purl not in taken else f"{purl}#{clean(package.folder)}"
        taken.add(ref)
        refs[package.path] = ref
    return refs


def _needed(package: PythonPackage, by_name: Mapping[str, str], root: Root) -> Iterator[str]:
    for requirement in package.headers.get("requires-dist", ()):
        if not root.bounds.relations.take():
            return
        name = _required(clean(requirement))
        if name in by_name:
            yield by_name[name]


def _required(requirement: str) -> str:
    """Return the name that is required; nothing where only an extra asks for it (PEP 508)."""
    wanted, _, marker = requirement.partition(";")
    alternatives = _OR.split(_QUOTED.sub(" ", marker))
    if all(_EXTRA.search(alternative) for alternative in alternatives):
        return ""
    # PEP 508, Names; behind it stand extras, versions or a URL.
    match = re.match(r"[A-Za-z0-9._-]+", wanted.strip())
    return normal(match.group()) if match else ""


def _properties(package: PythonPackage, root: Root, owner: str) -> tuple[tuple[str, str], ...]:
    properties = [("imagekit:path", f"/{clean(decoded(_raw(package.folder)))}")]
    if owner:
        properties.append(("imagekit:part-of", owner))
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
