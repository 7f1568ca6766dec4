"""SBOMs as CycloneDX 1.6 JSON: the same value gives the same bytes.

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
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID, uuid5

from cyclonedx.exception import CycloneDxException
from cyclonedx.exception.model import InvalidUriException
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model import Property as CdxProperty
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component as CdxComponent
from cyclonedx.model.component import ComponentType
from cyclonedx.model.contact import OrganizationalContact, OrganizationalEntity
from cyclonedx.model.license import DisjunctiveLicense, LicenseAcknowledgement, LicenseExpression
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema.schema import SchemaVersion1Dot6
from cyclonedx.spdx import is_expression, is_supported_id
from packageurl import PackageURL

from imagekit.errors import DocumentError
from imagekit.sbom.contents import Component, Kind, License, Sbom, Subject

_NAMESPACE = UUID("5d2c1f0e-8f53-5e0c-9b0e-6a1d4c7e2b90")
_TYPES = {
    Kind.SYSTEM: ComponentType.OPERATING_SYSTEM,
    Kind.IMAGE: ComponentType.CONTAINER,
    Kind.FETCHED: ComponentType.FILE,
    Kind.PROGRAM: ComponentType.FILE,
}
_MAX_VERSION = 1024
# Narrower than the schema's: whatever passes here is valid there.
_EMAIL = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,255}")
_CPE = re.compile(
    r"cpe:2\.3:[aho](?::[A-Za-z0-9._*-]{1,100}){10}|cpe:/[aho](?::[A-Za-z0-9._~-]{0,100}){1,6}"
)
_HASHES = {"sha256": HashAlgorithm.SHA_256}


def cyclonedx_json(sbom: Sbom, *, tool_version: str) -> bytes:
    """Write an SBOM as CycloneDX 1.6 JSON.

    Args:
        sbom: what the image is made of.
        tool_version: the version of imagekit.

    Raises:
        DocumentError: the library refuses what the image states.
    """
    subject = _subject(sbom.subject)
    # What the image needs of a node is no part of the document.
    said = (tool_version, sbom.subject, sbom.components, sbom.notes, sbom.unowned)
    content = hashlib.sha256(repr(said).encode("utf-8", "backslashreplace"))
    bom = Bom(
        serial_number=uuid5(_NAMESPACE, content.hexdigest()),
        metadata=BomMetaData(
            timestamp=datetime.fromtimestamp(sbom.subject.epoch, UTC),
            component=subject,
            tools=ToolRepository(
                components=[
                    CdxComponent(
                        type=ComponentType.APPLICATION, name="imagekit", version=tool_version
                    )
                ]
            ),
            properties=[
                *(CdxProperty(name="imagekit:note", value=note) for note in sbom.notes),
                *(CdxProperty(name="imagekit:unowned", value=str(row)) for row in sbom.unowned),
            ],
        ),
    )
    try:
        document = json.loads(JsonV1Dot6(bom).output_as_string())
        components = [_rendered(component) for component in sbom.components]
    except CycloneDxException as error:
        raise DocumentError(f"no SBOM can be written of it: {error}") from error
    if components:
        document["components"] = sorted(components, key=_order)
    document["dependencies"] = _dependencies(sbom)
    return f"{json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)}\n".encode()


def _rendered(component: Component) -> dict[str, object]:
    """Return a component as the library writes it.

    Each by itself: a whole Bom compares all of its components with each other, again and again.
    """
    text = _component(component).as_json(view_=SchemaVersion1Dot6)  # type: ignore[attr-defined]  # by a decorator
    rendered: dict[str, object] = json.loads(text)
    return rendered


def _order(rendered: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(str(rendered.get(key, "")) for key in ("type", "name", "version", "bom-ref"))


def _subject(subject: Subject) -> CdxComponent:
    purl = None
    # purl-spec, type oci: the last part of the repository's name, lower case, and the digest.
    if subject.digest:
        name = subject.name.rpartition("/")[2].lower()
        purl = PackageURL(type="oci", name=name, version=subject.digest)
    properties = {"imagekit:platform": subject.platform}
    return CdxComponent(
        type=ComponentType.CONTAINER,
        bom_ref=subject.ref,
        name=subject.name,
        version=subject.version[:_MAX_VERSION] or None,
        purl=purl,
        properties=[CdxProperty(name=k, value=v) for k, v in properties.items() if v],
    )


def _component(component: Component) -> CdxComponent:
    supplier = None
    if component.supplier is not None:
        email = component.supplier.email
        contact = OrganizationalContact(email=email) if _EMAIL.fullmatch(email) else None
        supplier = OrganizationalEntity(
            name=component.supplier.name, contacts=[contact] if contact else None
        )
    return CdxComponent(
        type=_TYPES.get(component.kind, ComponentType.LIBRARY),
        bom_ref=component.ref,
        name=component.name,
        version=component.version[:_MAX_VERSION] or None,
        purl=PackageURL.from_string(component.purl) if component.purl else None,
        cpe=component.cpe if _CPE.fullmatch(component.cpe) else None,
        description=component.description or None,
        supplier=supplier,
        licenses=_licenses(component.licenses),
        hashes=[HashType(alg=_HASHES[name], content=value) for name, value in component.hashes],
        external_references=_links(component),
        properties=[CdxProperty(name=name, value=value) for name, value in _properties(component)],
    )


def _properties(component: Component) -> list[tuple[str, str]]:
    properties = [("imagekit:origin", component.origin.value if component.origin else "unknown")]
    if component.layer:
        properties.append(("imagekit:layer", component.layer))
    return [*properties, *component.properties]


def _links(component: Component) -> list[ExternalReference]:
    links = []
    if component.homepage.startswith(("http://", "https://")):
        links.append((ExternalReferenceType.WEBSITE, component.homepage))
    if component.download:
        links.append((ExternalReferenceType.DISTRIBUTION, component.download))
    uris = ((kind, _uri(url)) for kind, url in links)
    return [ExternalReference(type=kind, url=url) for kind, url in uris if url is not None]


def _uri(text: str) -> XsUri | None:
    """Percent-encode what an IRI reference may not have; None for what is none even then."""
    encoded = "".join(
        c if c.isascii() and c not in ' "<>\\^`{|}[]' else "".join(f"%{b:02X}" for b in c.encode())
        for c in text
    )
    try:
        return XsUri(encoded)
    except InvalidUriException:
        return None


def _licenses(stated: tuple[License, ...]) -> list[DisjunctiveLicense | LicenseExpression]:
    """Return SPDX ids, one expression, or names: the schema allows no mixture with expressions."""
    declared = LicenseAcknowledgement.DECLARED
    known = [licence.spdx if licence.spdx and _is_spdx(licence.spdx) else "" for licence in stated]
    compound = [text for text in known if text and not is_supported_id(text)]
    if compound and all(known):
        texts = sorted({f"({text})" if " OR " in text else text for text in known})
        joined = compound[0] if len(texts) == 1 else " AND ".join(texts)
        return [LicenseExpression(joined, acknowledgement=declared)]
    result: dict[str, DisjunctiveLicense | LicenseExpression] = {}
    for licence, spdx in zip(stated, known, strict=True):
        if spdx and is_supported_id(spdx):
            result[spdx] = DisjunctiveLicense(id=spdx, acknowledgement=declared)
        else:
            result.setdefault(
                licence.stated, DisjunctiveLicense(name=licence.stated, acknowledgement=declared)
            )
    return list(result.values())


@lru_cache(maxsize=4096)
def _is_spdx(text: str) -> bool:
    return is_supported_id(text) or is_expression(text)


def _dependencies(sbom: Sbom) -> list[dict[str, object]]:
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
