"""Python packages, from what installers leave behind (PEP 376, 566, 610, 639)."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packageurl import PackageURL

from imagekit.errors import DocumentError
from imagekit.model.sbom import Component, Kind, Supplier
from imagekit.sbom.licences import of_python
from imagekit.sbom.overlay import Resolver, Root
from imagekit.sbom.text import clean, decoded

_SEPARATORS = re.compile(r"[-_.]+")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?")
_MAX_REQUIREMENTS = 2000
MAX_PACKAGES = 20_000
_MAX_HASH = 64


@dataclass(frozen=True, slots=True)
class PythonPackage:
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
    """Return the distributions that are there, and notes on those without name or version.

    Raises:
        DocumentError: there are more than in any honest image.
    """
    found: list[PythonPackage] = []
    notes: list[str] = []
    for path in sorted(root.documents):
        if not path.endswith((".dist-info/METADATA", ".egg-info/PKG-INFO", ".egg-info")):
            continue
        headers = _headers(decoded(root.documents[path][0]))
        name, version = _first(headers, "name"), clean(_first(headers, "version"), 200)
        if _NAME.fullmatch(name) and version:
            found.append(PythonPackage(name, version, path, headers))
        else:
            notes.append(f"/{clean(path, 200)} has no valid name and version")
    if len(found) > MAX_PACKAGES:
        raise DocumentError(
            f"the image claims more than {MAX_PACKAGES} Python packages",
            hint="no honest image has that; find out who built it",
            code="BAD_LAYER",
        )
    return tuple(found), tuple(notes)


def components(
    found: tuple[PythonPackage, ...],
    root: Root,
    *,
    debian_owner: Mapping[str, str],
    archive_hashes: Mapping[tuple[str, str], str],
) -> tuple[Component, ...]:
    """Return the distributions as components.

    Args:
        found: the distributions.
        root: the image.
        debian_owner: the ref of the Debian package that owns a file, by path.
        archive_hashes: SHA-256 of what pip was made to install, by normal name and version.
    """
    refs = _refs(found)
    by_name = {package.normal_name: refs[package.path] for package in reversed(found)}
    return tuple(
        _component(
            package,
            root,
            ref=refs[package.path],
            needed=_needed(package, by_name),
            owner=debian_owner.get(package.path, ""),
            archive=archive_hashes.get((package.normal_name, package.version), ""),
        )
        for package in found
    )


def owned(found: tuple[PythonPackage, ...], root: Root, resolver: Resolver) -> frozenset[str]:
    """Return the files that the distributions list as theirs, where they really lie."""
    files: set[str] = set()
    for package in found:
        site, _, _ = package.folder.rpartition("/")
        files.update(resolver.place(_joined(site, line)) for line in _record(package, root))
    return frozenset(files)


def _component(
    package: PythonPackage, root: Root, *, ref: str, needed: tuple[str, ...], owner: str,
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
        licenses=of_python(
            _first(headers, "license-expression"),
            _first(headers, "license"),
            [clean(line) for line in headers.get("classifier", ())],
        ),
        supplier=_supplier(headers),
        homepage=clean(_first(headers, "home-page")),
        hashes=(("sha256", digest),) if digest else (),
        properties=_properties(package, root, owner),
        depends=tuple(sorted({*needed} - {ref})),
        origin=layer.origin,
        layer=layer.layer,
    )


def _purl(package: PythonPackage) -> str:
    return PackageURL(type="pypi", name=package.normal_name, version=package.version).to_string()


def _refs(found: tuple[PythonPackage, ...]) -> dict[str, str]:
    """Return a ref for each path; the same distribution may be there twice."""
    refs: dict[str, str] = {}
    taken: set[str] = set()
    for package in found:
        purl = _purl(package)
        ref = purl if purl not in taken else f"{purl}#{clean(package.folder)}"
        taken.add(ref)
        refs[package.path] = ref
    return refs


def _needed(package: PythonPackage, by_name: Mapping[str, str]) -> tuple[str, ...]:
    requirements = package.headers.get("requires-dist", ())[:_MAX_REQUIREMENTS]
    names = (_required(clean(requirement)) for requirement in requirements)
    return tuple(by_name[name] for name in names if name in by_name)


def _required(requirement: str) -> str:
    """Return the name that is required; nothing where only an extra asks for it."""
    wanted, _, marker = requirement.partition(";")
    if "extra" in marker:
        return ""
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
        value = document["archive_info"]["hashes"]["sha256"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    good = isinstance(value, str) and len(value) == _MAX_HASH
    return value if good and set(value) <= frozenset("0123456789abcdef") else ""


def _record(package: PythonPackage, root: Root) -> Iterator[str]:
    record = root.read(f"{package.folder}/RECORD")
    if record is not None:
        for line in record.decode("utf-8", "surrogateescape").split("\n"):
            # PATH,HASH,SIZE; a path with a comma or a quote is quoted as in CSV.
            path = line.rsplit(",", 2)[0].strip('"').replace('""', '"')
            if path:
                yield path
    installed = root.read(f"{package.folder}/installed-files.txt")
    if installed is not None:
        for line in installed.decode("utf-8", "surrogateescape").split("\n"):
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


def _headers(text: str) -> dict[str, tuple[str, ...]]:
    """Read the headers of a METADATA file; the body behind the first empty line is prose."""
    found: dict[str, list[str]] = {}
    last: list[str] | None = None
    for line in text.split("\n"):
        if not line.strip():
            break
        if line[0] in " \t":
            if last:
                last[-1] += "\n" + line
            continue
        key, colon, value = line.partition(":")
        last = found.setdefault(key.lower(), []) if colon else None
        if last is not None:
            last.append(value.strip())
    return {key: tuple(values) for key, values in found.items()}


def _first(headers: Mapping[str, tuple[str, ...]], key: str) -> str:
    values = headers.get(key, ())
    return values[0] if values else ""


def _supplier(headers: Mapping[str, tuple[str, ...]]) -> Supplier | None:
    for role in ("maintainer", "author"):
        name, email = clean(_first(headers, role)), clean(_first(headers, f"{role}-email"))
        if "<" in email:
            inner, _, rest = email.partition("<")
            name, email = name or inner.strip().strip('"'), rest.partition(">")[0]
        if name and name != "UNKNOWN":
            return Supplier(name=name, email=email if "@" in email else "")
    return None
