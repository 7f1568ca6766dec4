"""The packages of an image, as a scan takes them: from a catalogue, or from an SBOM."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from imagekit.sbom.contents import Sbom
from imagekit.verify.conditions.components import MAX_COMPONENTS, MAX_LISTED
from imagekit.verify.conditions.untrusted_json import fields_of, objects

_PART_OF = "imagekit:part-of"


class ImagePackage(Struct, frozen=True, kw_only=True):
    """A package that an image has."""

    purl: str
    part_of: str = ""
    """The distribution's package that brought it."""


def packages_of(sbom: Sbom) -> tuple[ImagePackage, ...]:
    """Return the packages of what was catalogued."""
    return tuple(
        ImagePackage(purl=component.purl, part_of=dict(component.properties).get(_PART_OF, ""))
        for component in sbom.components
        if component.purl
    )


def packages_of_document(predicate: Mapping[str, object]) -> tuple[ImagePackage, ...]:
    """Return the packages of a CycloneDX document that imagekit wrote.

    Raises:
        DocumentError: it is malformed.
    """
    return tuple(_listed(predicate))


def _listed(predicate: Mapping[str, object]) -> Iterator[ImagePackage]:
    document = fields_of(predicate, "the SBOM")
    for component in objects(document, "components", limit=MAX_COMPONENTS):
        purl = component.optional_text("purl")
        if not purl:
            continue
        stated = {
            field.optional_text("name"): field.optional_text("value")
            for field in objects(component, "properties", limit=MAX_LISTED)
        }
        yield ImagePackage(purl=purl, part_of=stated.get(_PART_OF, ""))
