"""SBOMs as SPDX 3.0.1 in JSON-LD: the same value gives the same bytes.

Its profiles are Core, Software and SimpleLicensing; what these have no word for stands in the
properties that SPDX shares with CycloneDX (Extension, ``CdxPropertiesExtension``).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from spdx_python_model import v3_0_1 as spdx

from imagekit.sbom.contents import Component, Kind, License, Sbom
from imagekit.sbom.cyclonedx import STATING_NEEDS, image_purl, serial
from imagekit.sbom.cyclonedx_parts import uri
from imagekit.sbom.sbom_options import Party, SbomOptions
from imagekit.sbom.spdx_terms import conjunction, reference, spdx_term

_FILES = frozenset({Kind.PROGRAM, Kind.FETCHED})
_HASHES = {
    "md5": spdx.HashAlgorithm.md5,
    "sha1": spdx.HashAlgorithm.sha1,
    "sha256": spdx.HashAlgorithm.sha256,
    "sha384": spdx.HashAlgorithm.sha384,
    "sha512": spdx.HashAlgorithm.sha512,
}
_PURPOSES = {
    Kind.IMAGE: spdx.software_SoftwarePurpose.container,
    Kind.SYSTEM: spdx.software_SoftwarePurpose.operatingSystem,
    Kind.PROGRAM: spdx.software_SoftwarePurpose.executable,
    Kind.FETCHED: spdx.software_SoftwarePurpose.file,
}
_Relation = spdx.RelationshipType


def spdx3_json(sbom: Sbom, *, tool_version: str, options: SbomOptions | None = None) -> bytes:
    """Write an SBOM as SPDX 3.0.1 JSON.

    Args:
        sbom: what the image is made of.
        tool_version: the version of imagekit.
        options: in whose name it is written.
    """
    options = options or SbomOptions()
    graph = _Graph(sbom, tool_version, options)
    graph.image()
    for number, component in enumerate(sbom.components):
        graph.component(number, component)
    graph.document()
    data = spdx.JSONLDSerializer().serialize_data(
        spdx.SHACLObjectSet(graph.elements), force_at_graph=True
    )
    # What the library keeps is a set.
    data["@graph"].sort(key=lambda element: str(element.get("spdxId", "")))
    return f"{json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False)}\n".encode()


class _Graph:
    """The elements of one document. They refer to each other by their ids."""

    def __init__(self, sbom: Sbom, tool_version: str, options: SbomOptions) -> None:
        self.elements: list[spdx.SHACLObject] = []
        self._sbom = sbom
        self._name = f"https://imagekit.dev/spdx/{serial(sbom, tool_version, options)}#"
        self._ids = {
            component.ref: self._id(f"component-{number}")
            for number, component in enumerate(sbom.components)
        }
        self._every: list[str] = []
        self._agents: dict[Party, str] = {}
        self._licences: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._info = spdx.CreationInfo(
            specVersion="3.0.1", created=datetime.fromtimestamp(sbom.subject.epoch, UTC)
        )
        self.elements.append(self._info)
        made_by = [each for each in (options.author, options.manufacturer) if each is not None]
        makers = [self._agent(each) for each in made_by] or [
            self._add(spdx.SoftwareAgent, "agent-imagekit", name="imagekit")
        ]
        tool = self._add(spdx.Tool, "tool", name=f"imagekit {tool_version}")
        self._info.createdBy = makers
        self._info.createdUsing = [tool]

    def image(self) -> None:
        """Add the image itself, and that it contains everything."""
        subject = self._sbom.subject
        known = _known(
            software_packageVersion=subject.version,
            software_packageUrl=image_purl(subject),
            verifiedUsing=_hashes([("sha256", subject.digest.removeprefix("sha256:"))])
            if subject.digest.startswith("sha256:")
            else None,
            extension=_properties(
                [("imagekit:platform", subject.platform)] if subject.platform else []
            ),
            comment="\n".join((*self._sbom.notes, *map(str, self._sbom.unowned))),
        )
        purpose = spdx.software_SoftwarePurpose.container
        self._add(
            spdx.software_Package,
            "image",
            name=subject.name,
            software_primaryPurpose=purpose,
            **known,
        )
        whole = not self._sbom.notes
        self._relate(self._id("image"), _Relation.contains, self._ids.values(), whole=whole)

    def component(self, number: int, component: Component) -> None:
        """Add a component, what it needs, and its licences."""
        supplier = component.supplier
        common = _known(
            description=component.description,
            suppliedBy=self._agent(Party(name=supplier.name, email=supplier.email))
            if supplier
            else None,
            software_primaryPurpose=_PURPOSES.get(
                component.kind, spdx.software_SoftwarePurpose.library
            ),
            verifiedUsing=_hashes(component.hashes),
            externalIdentifier=_cpe(component.cpe),
            extension=_properties(
                [
                    ("imagekit:origin", str(component.origin or "unknown")),
                    *([("imagekit:layer", component.layer)] if component.layer else []),
                    *component.properties,
                ]
            ),
        )
        packaged = _known(
            software_packageVersion=component.version,
            software_packageUrl=component.purl,
            software_homePage=uri(component.homepage),
            software_downloadLocation=uri(component.download),
        )
        kind = spdx.software_File if component.kind in _FILES else spdx.software_Package
        of_kind = {} if component.kind in _FILES else packaged
        mine = self._add(kind, f"component-{number}", name=component.name, **common, **of_kind)
        needed = [self._ids[ref] for ref in component.depends if ref in self._ids]
        if component.kind in STATING_NEEDS:
            self._relate(mine, _Relation.dependsOn, needed, whole=not self._sbom.notes)
        self._license(mine, component.licenses)

    def document(self) -> None:
        """Add the collections that hold the elements."""
        every = list(self._every)
        bom = self._add(
            spdx.software_Sbom,
            "sbom",
            rootElement=[self._id("image")],
            element=every,
            software_sbomType=[spdx.software_SbomType.analyzed],
        )
        profiles = spdx.ProfileIdentifierType
        self._add(
            spdx.SpdxDocument,
            "document",
            name=self._sbom.subject.name,
            rootElement=[bom],
            element=[*every, bom],
            # Not Extension: in the context of 3.0.1 its word stands for a property.
            profileConformance=[profiles.core, profiles.software, profiles.simpleLicensing],
        )

    def _id(self, key: str) -> str:
        return f"{self._name}{key}"

    def _add(self, kind: Any, key: str, /, **values: Any) -> str:
        mine = self._id(key)
        self.elements.append(kind(spdxId=mine, creationInfo=self._info, **values))
        self._every.append(mine)
        return mine

    def _agent(self, someone: Party) -> str:
        if someone not in self._agents:
            email = spdx.ExternalIdentifier(
                externalIdentifierType=spdx.ExternalIdentifierType.email, identifier=someone.email
            )
            self._agents[someone] = self._add(
                spdx.Agent,
                f"agent-{len(self._agents)}",
                name=someone.name,
                **_known(externalIdentifier=[email] if someone.email else None),
            )
        return self._agents[someone]

    def _relate(self, source: str, kind: str, targets: Iterable[str], *, whole: bool) -> None:
        """Add a relationship, if it has any target."""
        # Core, Relationship: one without a target would have to say so by an element of its own.
        to = sorted(targets)
        if not to:
            return
        completeness = spdx.RelationshipCompleteness
        self._add(
            spdx.Relationship,
            f"{kind.rpartition('/')[2]}-{source.partition('#')[2]}",
            from_=source,
            relationshipType=kind,
            to=to,
            completeness=completeness.complete if whole else completeness.incomplete,
        )

    def _license(self, component: str, stated: tuple[License, ...]) -> None:
        terms = {spdx_term(each) or reference(each.stated): each for each in stated}
        if not terms:
            return
        text = conjunction(terms)
        if text not in self._licences:
            others = {term: each.stated for term, each in terms.items() if not spdx_term(each)}
            self._licences[text] = self._add(
                spdx.simplelicensing_LicenseExpression,
                f"licence-{len(self._licences)}",
                simplelicensing_licenseExpression=text,
                **_known(simplelicensing_customIdToUri=list(self._custom(others))),
            )
        self._relate(component, _Relation.hasDeclaredLicense, [self._licences[text]], whole=True)

    def _custom(self, others: Mapping[str, str]) -> Iterator[spdx.DictionaryEntry]:
        """Yield where the text of each ``LicenseRef-`` stands: all that is known is its name."""
        for term, stated in sorted(others.items()):
            if term not in self._texts:
                self._texts[term] = self._add(
                    spdx.simplelicensing_SimpleLicensingText,
                    f"text-{len(self._texts)}",
                    simplelicensing_licenseText=stated,
                )
            yield spdx.DictionaryEntry(key=term, value=self._texts[term])


def _known(**values: object) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _hashes(hashes: Iterable[tuple[str, str]]) -> list[spdx.Hash]:
    return [
        spdx.Hash(algorithm=_HASHES[name], hashValue=value)
        for name, value in hashes
        if name in _HASHES
    ]


def _cpe(cpe: str) -> list[spdx.ExternalIdentifier]:
    kinds = spdx.ExternalIdentifierType
    kind = kinds.cpe23 if cpe.startswith("cpe:2.3:") else kinds.cpe22
    return [spdx.ExternalIdentifier(externalIdentifierType=kind, identifier=cpe)] if cpe else []


def _properties(values: Iterable[tuple[str, str]]) -> list[spdx.extension_CdxPropertiesExtension]:
    entries = [
        spdx.extension_CdxPropertyEntry(extension_cdxPropName=name, extension_cdxPropValue=value)
        for name, value in values
    ]
    if not entries:
        return []
    return [spdx.extension_CdxPropertiesExtension(extension_cdxProperty=entries)]
