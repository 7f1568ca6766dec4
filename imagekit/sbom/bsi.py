"""What BSI TR-03183-2 v2.1.0 wants of an SBOM beyond what every one of ours says.

Sections 5.2.1 to 5.2.4 name the fields, and 8.2 where CycloneDX has them. What an image does not
tell is not made up: how many components lack which field stands in the document, as notes.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from packageurl import PackageURL

from imagekit.documents.quantity import count
from imagekit.errors import InputError
from imagekit.sbom.contents import Component, Kind, Sbom, Subject
from imagekit.sbom.cyclonedx_parts import Rendered, party, uri
from imagekit.sbom.sbom_options import Party, SbomOptions

_ARCHIVES = (".gz", ".xz", ".bz2", ".zst", ".tar", ".tgz", ".zip", ".whl", ".jar", ".deb", ".rpm")
_FILES = frozenset({Kind.PROGRAM, Kind.FETCHED})
_DISTRIBUTION = "distribution"


def check_options(options: SbomOptions) -> None:
    """Refuse options by which no document fulfils the guideline.

    Raises:
        InputError: nobody is named as its creator, or the version cannot hold what it wants.
    """
    creator = options.manufacturer
    if creator is None or not (creator.email or creator.url):
        raise InputError(
            "TR-03183-2 wants the creator of the SBOM, by email address or URL (5.2.1)",
            hint='--manufacturer "NAME <EMAIL>", or `sbom-manufacturer` in imagekit.toml',
            code="sbom/no-creator",
        )
    if options.version == "1.6":
        raise InputError(
            "CycloneDX 1.6 cannot hold a declared licence expression beside a concluded one, and "
            "TR-03183-2 wants both (5.2.2, 5.2.4)",
            hint="leave --spec out, or write --spec 1.7",
            code="sbom/profile-version",
        )


def complete_component(
    rendered: Rendered, component: Component, *, subject: Subject, options: SbomOptions
) -> None:
    """Add to a component what the guideline wants of it.

    Args:
        rendered: the component as it stands in the document.
        component: the same as a value.
        subject: the image.
        options: in whose name the document is made.
    """
    creator = _creator(component, options)
    if creator is not None:
        rendered["manufacturer"] = creator
        rendered.setdefault("supplier", creator)
    if "version" not in rendered and component.kind is Kind.PROGRAM:
        # 5.2.2: a file without a version has the time at which it was made, which is the image's.
        rendered["version"] = datetime.fromtimestamp(subject.epoch, UTC).isoformat()
    rendered["properties"] += [
        {"name": f"bsi:component:{name}", "value": value}
        for name, value in _file_properties(component).items()
    ]
    _deliver(rendered, component)


def complete(document: Rendered, sbom: Sbom, options: SbomOptions) -> None:
    """Complete the image's own entry, and note what is missing of its components."""
    metadata = document["metadata"]
    subject = metadata["component"]
    creator = party(options.manufacturer) if options.manufacturer else None
    subject |= {"manufacturer": creator, "supplier": creator}
    subject.setdefault("version", datetime.fromtimestamp(sbom.subject.epoch, UTC).isoformat())
    subject.setdefault("properties", []).extend(
        {"name": f"bsi:component:{name}", "value": value}
        for name, value in {
            "filename": sbom.subject.name.rpartition("/")[2],
            "executable": "executable",
            "archive": "archive",
            "structured": "structured",
        }.items()
    )
    notes = [{"name": "imagekit:note", "value": note} for note in missing_fields(document)]
    if notes:
        metadata["properties"] = [*metadata.get("properties", []), *notes]


def missing_fields(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which fields of the guideline how many components lack, in words."""
    components = document.get("components", ())
    lacking = {
        name: sum(not has(component) for component in components) for name, has in _FIELDS.items()
    }
    return tuple(
        f"TR-03183-2: {count(number, 'component')} without {name}, which the image does not tell"
        for name, number in lacking.items()
        if number
    )


def _has_licence(component: Mapping[str, Any]) -> bool:
    return any(each.get("acknowledgement") == "concluded" for each in component.get("licenses", ()))


def _has_sha512(component: Mapping[str, Any]) -> bool:
    return any(
        digest["alg"] == "SHA-512"
        for link in component.get("externalReferences", ())
        if link["type"] == _DISTRIBUTION
        for digest in link.get("hashes", ())
    )


_FIELDS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "creator": lambda component: "manufacturer" in component,
    "version": lambda component: "version" in component,
    "distribution licences": _has_licence,
    "SHA-512 of the deployable component": _has_sha512,
}
"""5.2.2: the fields that an image may not tell. All others are always there."""


def _creator(component: Component, options: SbomOptions) -> Rendered | None:
    """Return who made a component, by email address or URL; None where that is not known."""
    if component.kind is Kind.PROGRAM:
        # It is of the recipe, and so of whoever builds it; in a foreign image nobody knows.
        return party(options.manufacturer) if component.origin and options.manufacturer else None
    supplier, site = component.supplier, uri(component.homepage) or uri(component.download)
    name = supplier.name if supplier else urlsplit(site).hostname
    email = supplier.email if supplier else ""
    made_by = party(Party(name=name or "", email=email, url=site))
    return made_by if "name" in made_by and len(made_by) > 1 else None


def _file_properties(component: Component) -> dict[str, str]:
    """Return what the file is in which a component is delivered (8.2, the BSI's taxonomy)."""
    name = _file_name(component)
    program = component.kind is Kind.PROGRAM
    archive = component.kind not in _FILES or name.lower().endswith(_ARCHIVES)
    return {
        "filename": name,
        "executable": "executable" if program else "non-executable",
        "archive": "archive" if archive else "no archive",
        "structured": "structured" if archive else "unstructured",
    }


def _file_name(component: Component) -> str:
    if component.kind is Kind.DEBIAN and component.purl:
        # Debian Policy and dpkg-name(1): without the epoch.
        qualifiers = PackageURL.from_string(component.purl).qualifiers
        architecture = dict(qualifiers).get("arch", "all")
        version = component.version.partition(":")[2] or component.version
        return f"{component.name}_{version}_{architecture}.deb"
    paths = [value for name, value in component.properties if name == "imagekit:path"]
    path = next(iter(paths), component.download.partition("?")[0] or component.name)
    return path.rstrip("/").rpartition("/")[2] or component.name


def _deliver(rendered: Rendered, component: Component) -> None:
    """Let the reference to the deployable form hold its hashes (5.2.2, 8.2)."""
    hashes = rendered.get("hashes")
    if not hashes:
        return
    links = rendered.setdefault("externalReferences", [])
    for link in links:
        if link["type"] == _DISTRIBUTION:
            link["hashes"] = hashes
            return
    place = component.purl or f"file://{quote(component.name)}"
    links.append({"type": _DISTRIBUTION, "url": place, "hashes": hashes})
