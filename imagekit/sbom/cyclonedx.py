"""SBOMs as CycloneDX 1.6 or 1.7 JSON: the same value gives the same bytes, in linear time.

cyclonedx-python-lib writes the components, each by itself, and the document around them. Added to
its JSON are compositions and mixtures of licences, which it has no word for, and evidence.

Nothing is random and no clock is read: the serial number is derived from the content, and the
time is that of the image. What CycloneDX has no word for stands in properties, ``imagekit:...``:

- ``origin``: ``base``, ``packages`` or ``recipe``; ``unknown`` where it is not known
- ``layer``: the diffID of the first layer that has the component in this version
- ``dpkg:md5sums:sha256``: dpkg's database holds a digest of each file and none of the package;
  this is the digest of that list
- ``python:record:sha256``: the same for the RECORD of a Python distribution
- ``part-of``: the Debian package that a Python distribution was installed by
- ``unowned``: how many files of a folder no package owns, and what made their layer
- ``note``: what was seen in the image and could not be catalogued
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Protocol, cast
from uuid import UUID, uuid5

from cyclonedx.exception import CycloneDxException
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model import Property as CdxProperty
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component as CdxComponent
from cyclonedx.model.component import ComponentType
from cyclonedx.model.contact import OrganizationalContact, OrganizationalEntity
from cyclonedx.model.license import DisjunctiveLicense, LicenseAcknowledgement, LicenseExpression
from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6, JsonV1Dot7
from cyclonedx.schema.schema import SchemaVersion1Dot6, SchemaVersion1Dot7
from packageurl import PackageURL

from imagekit.errors import DocumentError
from imagekit.sbom.contents import Component, Kind, License, Sbom, Subject
from imagekit.sbom.cyclonedx_parts import Rendered, filled, uri
from imagekit.sbom.package_url import package_url
from imagekit.sbom.sbom_options import Party, SbomOptions, is_email
from imagekit.sbom.spdx_terms import conjunction, is_identifier, spdx_term, with_references

_NAMESPACE = UUID("5d2c1f0e-8f53-5e0c-9b0e-6a1d4c7e2b90")
_TYPES = {
    Kind.SYSTEM: ComponentType.OPERATING_SYSTEM,
    Kind.IMAGE: ComponentType.CONTAINER,
    Kind.FETCHED: ComponentType.FILE,
    Kind.PROGRAM: ComponentType.FILE,
}
_OUTPUTS = {"1.6": JsonV1Dot6, "1.7": JsonV1Dot7}
_VIEWS = {"1.6": SchemaVersion1Dot6, "1.7": SchemaVersion1Dot7}
_TECHNIQUES = {
    Kind.FETCHED: "instrumentation",
    Kind.PROGRAM: "filename",
    Kind.GO: "binary-analysis",
    Kind.RUST: "binary-analysis",
    Kind.ELF: "binary-analysis",
}
"""How a component was found, other than by what a package manager wrote (CycloneDX, "evidence")."""
STATING_NEEDS = frozenset({
    Kind.DEBIAN, Kind.RPM, Kind.APK, Kind.CONDA, Kind.PYTHON, Kind.NPM, Kind.R, Kind.GEM,
    Kind.SPACK, Kind.RUST,
})  # fmt: skip
"""Whose packages say what they need."""
_MAX_VERSION = 1024
_CPE = re.compile(
    r"cpe:2\.3:[aho](?::[A-Za-z0-9._*-]{1,100}){10}|cpe:/[aho](?::[A-Za-z0-9._~-]{0,100}){1,6}"
)
_HASHES = {
    "md5": HashAlgorithm.MD5,
    "sha1": HashAlgorithm.SHA_1,
    "sha256": HashAlgorithm.SHA_256,
    "sha384": HashAlgorithm.SHA_384,
    "sha512": HashAlgorithm.SHA_512,
}
_PATH = "imagekit:path"


def cyclonedx_json(sbom: Sbom, *, tool_version: str, options: SbomOptions | None = None) -> bytes:
    """Write an SBOM as CycloneDX JSON.

    Args:
        sbom: what the image is made of.
        tool_version: the version of imagekit.
        options: how it is written; version 1.6, in nobody's name, where they are left out.
    """
    document = cyclonedx_document(sbom, tool_version=tool_version, options=options)
    return f"{json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)}\n".encode()


def cyclonedx_document(
    sbom: Sbom, *, tool_version: str, options: SbomOptions | None = None
) -> Rendered:
    """Return an SBOM as the values of a CycloneDX document: see ``cyclonedx_json``.

    Raises:
        DocumentError: the library refuses what the image states.
    """
    options = options or SbomOptions()
    bom = Bom(
        serial_number=serial(sbom, tool_version, options),
        metadata=_metadata(sbom, tool_version, options),
    )
    try:
        document: Rendered = json.loads(_OUTPUTS[options.version](bom).output_as_string())
        components = [_rendered(component, sbom, options) for component in sbom.components]
    except CycloneDxException as error:
        raise DocumentError(f"no SBOM can be written of it: {error}") from error
    if components:
        document["components"] = sorted(components, key=_order)
    document["dependencies"] = _dependencies(sbom)
    document["compositions"] = list(_compositions(sbom))
    if options.profile == "bsi":
        from imagekit.sbom.bsi import complete

        complete(document, sbom, options)
    return document


def serial(sbom: Sbom, tool_version: str, options: SbomOptions) -> UUID:
    """Return what names a document: another content has another one."""
    # What the image needs of a node is no part of the document.
    said = (tool_version, options, sbom.subject, sbom.components, sbom.notes, sbom.unowned)
    content = hashlib.sha256(repr(said).encode("utf-8", "backslashreplace"))
    return uuid5(_NAMESPACE, content.hexdigest())


def image_purl(subject: Subject) -> str:
    """Return the package URL of an image; empty for a folder."""
    # purl-spec, type oci: the last part of the repository's name, lower case, and the digest.
    if not subject.digest:
        return ""
    name = subject.name.rpartition("/")[2].lower()
    return package_url("oci", name, subject.digest)


def _metadata(sbom: Sbom, tool_version: str, options: SbomOptions) -> BomMetaData:
    author, maker = options.author, options.manufacturer
    tool = CdxComponent(type=ComponentType.APPLICATION, name="imagekit", version=tool_version)
    return BomMetaData(
        timestamp=datetime.fromtimestamp(sbom.subject.epoch, UTC),
        lifecycles=[PredefinedLifecycle(phase=LifecyclePhase.POST_BUILD)],
        component=_subject(sbom.subject),
        tools=ToolRepository(components=[tool]),
        authors=[OrganizationalContact(name=author.name, email=author.email or None)]
        if author
        else None,
        manufacturer=_entity(maker) if maker else None,
        properties=[
            *(CdxProperty(name="imagekit:note", value=note) for note in sbom.notes),
            *(CdxProperty(name="imagekit:unowned", value=str(row)) for row in sbom.unowned),
        ],
    )


def _entity(someone: Party) -> OrganizationalEntity:
    contact = OrganizationalContact(email=someone.email) if is_email(someone.email) else None
    return OrganizationalEntity(
        name=someone.name,
        urls=[XsUri(someone.url)] if someone.url else None,
        contacts=[contact] if contact else None,
    )


def _subject(subject: Subject) -> CdxComponent:
    purl = image_purl(subject)
    platform = CdxProperty(name="imagekit:platform", value=subject.platform)
    return CdxComponent(
        type=ComponentType.CONTAINER,
        bom_ref=subject.ref,
        name=subject.name,
        version=subject.version[:_MAX_VERSION] or None,
        purl=PackageURL.from_string(purl) if purl else None,
        properties=[platform] if subject.platform else None,
    )


class _Rendering(Protocol):
    """What a decorator of the library adds to its classes, unseen by type checkers."""

    def as_json(self, view_: object) -> str:
        """Return it as JSON of one version of CycloneDX."""
        ...


def _rendered(component: Component, sbom: Sbom, options: SbomOptions) -> Rendered:
    """Return a component as the library writes it, and what it has no word for.

    Each by itself: a whole Bom compares all of its components with each other, again and again.
    """
    view = _VIEWS[options.version]
    text = cast("_Rendering", _component(component)).as_json(view_=view)
    rendered: Rendered = json.loads(text)
    rendered["evidence"] = _evidence(component)
    if options.version != "1.6" and component.licenses:
        rendered["licenses"] = _mixed_licences(component.licenses, options)
    if options.profile == "bsi":
        from imagekit.sbom.bsi import complete_component

        complete_component(rendered, component, subject=sbom.subject, options=options)
    return rendered


def _component(component: Component) -> CdxComponent:
    supplier = component.supplier
    return CdxComponent(
        type=_TYPES.get(component.kind, ComponentType.LIBRARY),
        bom_ref=component.ref,
        name=component.name,
        version=component.version[:_MAX_VERSION] or None,
        purl=PackageURL.from_string(component.purl) if component.purl else None,
        cpe=component.cpe if _CPE.fullmatch(component.cpe) else None,
        description=component.description or None,
        supplier=_entity(Party(name=supplier.name, email=supplier.email)) if supplier else None,
        licenses=_licences(component.licenses),
        hashes=[
            HashType(alg=_HASHES[name], content=value)
            for name, value in component.hashes
            if name in _HASHES
        ],
        external_references=list(_links(component)),
        properties=[CdxProperty(name=name, value=value) for name, value in _properties(component)],
    )


def _properties(component: Component) -> list[tuple[str, str]]:
    properties = [("imagekit:origin", component.origin.value if component.origin else "unknown")]
    if component.layer:
        properties.append(("imagekit:layer", component.layer))
    return [*properties, *component.properties]


def _order(rendered: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(str(rendered.get(key, "")) for key in ("type", "name", "version", "bom-ref"))


def _links(component: Component) -> Iterator[ExternalReference]:
    for kind, address in (
        (ExternalReferenceType.WEBSITE, component.homepage),
        (ExternalReferenceType.DISTRIBUTION, component.download),
    ):
        if url := uri(address):
            yield ExternalReference(type=kind, url=XsUri(url))


def _evidence(component: Component) -> Rendered:
    """Return where a component was seen, and by what it was recognised."""
    paths = [value for name, value in component.properties if name == _PATH]
    if component.kind is Kind.PROGRAM:
        paths.append(component.name)
    method = {
        "technique": _TECHNIQUES.get(component.kind, "manifest-analysis"),
        "confidence": 1,
    }
    return filled(
        identity=[
            {
                "field": "purl" if component.purl else "name",
                "confidence": 1,
                "methods": [method],
            }
        ],
        occurrences=[{"location": path} for path in paths],
    )


def _licences(stated: tuple[License, ...]) -> list[DisjunctiveLicense | LicenseExpression]:
    """Return SPDX ids, one expression, or names: 1.6 allows no mixture with expressions."""
    declared = LicenseAcknowledgement.DECLARED
    terms = [spdx_term(licence) for licence in stated]
    if all(terms) and not all(map(is_identifier, terms)):
        return [LicenseExpression(conjunction(terms), acknowledgement=declared)]
    result: dict[str, DisjunctiveLicense | LicenseExpression] = {}
    for licence, term in zip(stated, terms, strict=True):
        if term and is_identifier(term):
            result[term] = DisjunctiveLicense(id=term, acknowledgement=declared)
        else:
            name = DisjunctiveLicense(name=licence.stated, acknowledgement=declared)
            result.setdefault(licence.stated, name)
    return list(result.values())


def _mixed_licences(stated: tuple[License, ...], options: SbomOptions) -> list[Rendered]:
    """Return what is declared, and what is concluded of it, as 1.7 allows them together."""
    terms = [spdx_term(licence) for licence in stated]
    declared: dict[str, Rendered] = {}
    for licence, term in zip(stated, terms, strict=True):
        if term and is_identifier(term):
            declared[term] = {"license": {"id": term, "acknowledgement": "declared"}}
        elif term:
            declared[term] = _expression(term, "declared")
        else:
            name = {"name": licence.stated, "acknowledgement": "declared"}
            declared.setdefault(licence.stated, {"license": name})
    if options.profile == "bsi":
        return [*declared.values(), _expression(with_references(stated), "concluded")]
    concluded = [_expression(conjunction(terms), "concluded")] if all(terms) else []
    return [*declared.values(), *concluded]


def _expression(text: str, acknowledgement: str) -> Rendered:
    return {"expression": text, "acknowledgement": acknowledgement}


def _dependencies(sbom: Sbom) -> list[Rendered]:
    """Return the graph; the image itself depends on everything that it contains."""
    # A ``ref`` must be the ``bom-ref`` of an element of the document.
    there = {component.ref for component in sbom.components}
    graph = {
        component.ref: sorted(there.intersection(component.depends))
        for component in sbom.components
    }
    graph[sbom.subject.ref] = sorted(there)
    return [
        {"ref": ref, "dependsOn": graph[ref]} if graph[ref] else {"ref": ref}
        for ref in sorted(graph)
    ]


def _compositions(sbom: Sbom) -> Iterator[Rendered]:
    """Yield what the document claims to know whole (CycloneDX, "compositions").

    What is noted was not catalogued: then nothing is called complete.
    """
    whole = "incomplete" if sbom.notes else "complete"
    yield {"aggregate": whole, "assemblies": [sbom.subject.ref]}
    known = sorted(each.ref for each in sbom.components if each.kind in STATING_NEEDS)
    others = sorted(each.ref for each in sbom.components if each.kind not in STATING_NEEDS)
    if known:
        yield {"aggregate": whole, "dependencies": known}
    if others:
        yield {"aggregate": "unknown", "dependencies": others}
