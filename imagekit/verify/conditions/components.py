"""The components that an SBOM names, wherever it names them.

CycloneDX JSON: ``components`` and what is nested in them, ``metadata.component`` with all of its
own, and purls that stand only as ``bom-ref`` or in ``dependencies``. SPDX 2 JSON: ``packages``,
the licences of ``files`` and ``snippets``, and what ``hasExtractedLicensingInfos`` calls them.
The tools that wrote the SBOM, and the pedigree of a component, are not in the image.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from imagekit.documents.fields import Fields
from imagekit.verify.conditions.purls import is_purl
from imagekit.verify.conditions.untrusted_json import (
    by_lower_case,
    exactly,
    fields_of,
    objects,
    texts,
    too_many,
)

MAX_COMPONENTS = 100_000
"""Most components of one SBOM that are read; an image of 5 GB has some ten thousand."""
MAX_LISTED = 1000
"""Most licences, or references, of one component."""
_WHAT = "the SBOM"
_CYCLONEDX = by_lower_case(
    "bomFormat", "components", "metadata", "component", "dependencies", "bom-ref", "ref",
    "dependsOn", "name", "group", "version", "purl", "licenses", "license", "expression",
    "evidence", "id",
)  # fmt: skip
_SPDX = by_lower_case(
    "spdxVersion", "packages", "files", "snippets", "name", "versionInfo", "externalRefs",
    "referenceType", "referenceLocator", "licenseDeclared", "licenseConcluded",
    "licenseInfoFromFiles", "licenseInfoInFiles", "licenseInfoInSnippets",
    "hasExtractedLicensingInfos", "licenseId", "documentDescribes", "relationships", "SPDXID",
    "spdxElementId", "relatedSpdxElement", "relationshipType",
)  # fmt: skip
# SPDX 2.3 clauses 8.6 and 9.6: what was found in the text of a file or a part of one.
_FILE_LICENCES = (
    ("files", "licenseInfoInFiles"),
    ("snippets", "licenseInfoInSnippets"),
)


class SbomComponent(Struct, frozen=True, kw_only=True):
    """What an SBOM says of one component, as far as policies ask."""

    name: str = ""
    """As it stands there; behind its group and a slash where it has one."""
    version: str = ""
    purls: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    """Identifiers, expressions or names, each of which holds."""
    aliases: tuple[str, ...] = ()
    """What a licence of its own is called besides: it can be denied, and allows nothing."""
    part: bool = True
    """Whether it is a part of the image; else the image itself, a file, or a bare reference."""

    @property
    def title(self) -> str:
        """What people call it."""
        name = self.name or (self.purls[0] if self.purls else "a file")
        return f"{name} {self.version}".rstrip()


def components_of(predicate: Mapping[str, object]) -> Iterator[SbomComponent]:
    """Yield all components of an SBOM.

    Raises:
        DocumentError: it is neither CycloneDX nor SPDX 2 in JSON, malformed, or too large.
    """
    document = fields_of(predicate, _WHAT)
    if "bomFormat" in document.values:
        components = _cyclonedx(exactly(document, _CYCLONEDX))
    elif "spdxVersion" in document.values:
        components = _spdx(exactly(document, _SPDX))
    else:
        raise document.fault(
            "is neither CycloneDX nor SPDX 2 in JSON",
            hint="attest the document itself: cosign attest --type cyclonedx or spdxjson",
        )
    for number, component in enumerate(components):
        if number >= MAX_COMPONENTS:
            raise too_many("components of the SBOM", MAX_COMPONENTS)
        yield component


def _cyclonedx(document: Fields) -> Iterator[SbomComponent]:
    if document.get("bomFormat") != "CycloneDX":
        raise document.fault('has another bomFormat than "CycloneDX"')
    described: set[str] = set()
    subject = document.optional_object("metadata").optional_object("component")
    pending = [(entry, True) for entry in objects(document, "components", limit=MAX_COMPONENTS)]
    if subject.values:
        # metadata.component is what the document is about: it may be denied, and is no part of
        # itself.
        pending.append((subject, False))
    # A list and no recursion: CycloneDX has components within components, to any depth.
    while pending:
        fields, part = pending.pop()
        component = _cyclonedx_component(exactly(fields, _CYCLONEDX), part=part)
        described.update((fields.optional_text("bom-ref"), *component.purls))
        yield component
        nested = objects(fields, "components", limit=MAX_COMPONENTS)
        pending += [(Fields(entry.values, "a component", entry.code), True) for entry in nested]
        if len(pending) > MAX_COMPONENTS:
            raise too_many("components of the SBOM", MAX_COMPONENTS)
    yield from _bare_references(document, described)


def _cyclonedx_component(fields: Fields, *, part: bool) -> SbomComponent:
    group, name = fields.optional_text("group"), fields.optional_text("name")
    purl, reference = fields.optional_text("purl"), fields.optional_text("bom-ref")
    if not purl and is_purl(reference):
        purl = reference
    # CycloneDX, "evidence": what was found in the files, which may be more than is declared.
    evidence = fields.optional_object("evidence")
    return SbomComponent(
        name=f"{group}/{name}" if group else name,
        version=fields.optional_text("version"),
        purls=(purl,) if purl else (),
        licences=(*_cyclonedx_licences(fields), *_cyclonedx_licences(evidence)),
        part=part,
    )


def _cyclonedx_licences(fields: Fields) -> Iterator[str]:
    for choice in objects(exactly(fields, _CYCLONEDX), "licenses", limit=MAX_LISTED):
        exactly(choice, _CYCLONEDX)
        licence = exactly(choice.optional_object("license"), _CYCLONEDX)
        # CycloneDX, "licenses": an expression, or a license with an id of SPDX or a name.
        stated = [
            choice.optional_text("expression"),
            licence.optional_text("id"),
            licence.optional_text("name"),
        ]
        if not any(stated):
            raise choice.fault("names no licence")
        yield from filter(None, stated)


def _bare_references(document: Fields, described: set[str]) -> Iterator[SbomComponent]:
    """Yield components that nothing describes, but that others are said to depend on."""
    for dependency in objects(document, "dependencies", limit=MAX_COMPONENTS):
        exactly(dependency, _CYCLONEDX)
        on = texts(dependency, "dependsOn", limit=MAX_COMPONENTS)
        for reference in (dependency.optional_text("ref"), *on):
            if is_purl(reference) and reference not in described:
                described.add(reference)
                yield SbomComponent(purls=(reference,), part=False)


def _spdx(document: Fields) -> Iterator[SbomComponent]:
    version = document.text("spdxVersion")
    # SPDX 3 is another model, in JSON-LD.
    if not version.startswith("SPDX-2."):
        raise document.fault(f"is of version {version[:20]!r}; SPDX 2 in JSON is read")
    roots = _described(document)
    for fields in objects(document, "packages", limit=MAX_COMPONENTS):
        yield _spdx_package(exactly(fields, _SPDX), roots)
    for key, found_in in _FILE_LICENCES:
        for fields in objects(document, key, limit=MAX_COMPONENTS):
            yield SbomComponent(licences=tuple(_spdx_licences(fields, found_in)), part=False)
    # SPDX 2.3 clause 10: licences that are not on SPDX' list, by a name of the document's own.
    for fields in objects(document, "hasExtractedLicensingInfos", limit=MAX_COMPONENTS):
        name = exactly(fields, _SPDX).optional_text("name")
        yield SbomComponent(aliases=(name,), part=False)


def _spdx_package(fields: Fields, roots: frozenset[str]) -> SbomComponent:
    purls = []
    for reference in objects(fields, "externalRefs", limit=MAX_LISTED):
        exactly(reference, _SPDX)
        locator = reference.optional_text("referenceLocator")
        kind = reference.optional_text("referenceType")
        # SPDX 2.3 Annex F: the type is a word, or a URI that ends with it.
        if kind.rpartition("/")[2].casefold() == "purl" or is_purl(locator):
            purls.append(locator)
    return SbomComponent(
        name=fields.optional_text("name"),
        version=fields.optional_text("versionInfo"),
        purls=tuple(purls),
        licences=tuple(_spdx_licences(fields, "licenseInfoFromFiles")),
        part=fields.optional_text("SPDXID") not in roots,
    )


def _spdx_licences(fields: Fields, found_in: str) -> Iterator[str]:
    exactly(fields, _SPDX)
    # SPDX 2.3 clauses 7.15 and 7.13: what the author of the package declares, and what the author
    # of the document concludes. Neither takes the other back.
    for key in ("licenseDeclared", "licenseConcluded"):
        yield fields.optional_text(key)
    yield from texts(fields, found_in, limit=MAX_LISTED)


def _described(document: Fields) -> frozenset[str]:
    """Return the package that stands for the whole image; none where several are described."""
    roots = set(texts(document, "documentDescribes", limit=MAX_COMPONENTS))
    for fields in objects(document, "relationships", limit=20 * MAX_COMPONENTS):
        # SPDX 2.3 clause 11.1; ``documentDescribes`` is its short form in JSON.
        if exactly(fields, _SPDX).get("relationshipType") == "DESCRIBES":
            roots.add(fields.optional_text("relatedSpdxElement"))
    return frozenset(roots) if len(roots) == 1 else frozenset()
