"""SBOMs are valid SPDX 3.0.1, by its JSON Schema and by its SHACL shapes (spdx-3.0.1/README.md)."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pyshacl
import pytest
import rdflib
from msgspec.structs import replace

from imagekit.build.image import Origin
from imagekit.sbom.contents import Component, Kind, License, Sbom, Subject, Supplier
from imagekit.sbom.sbom_options import Party, SbomOptions
from imagekit.sbom.spdx3 import spdx3_json
from imagekit.sbom.spdx_terms import reference

PUBLISHED = Path(__file__).parent / "spdx-3.0.1"
LIBC = Component(
    ref="libc",
    kind=Kind.DEBIAN,
    name="libc6",
    version="2.36",
    purl="pkg:deb/debian/libc6@2.36?arch=amd64",
    cpe="cpe:2.3:a:gnu:glibc:2.36:*:*:*:*:*:*:*",
    licenses=(License(stated="own words"), License(stated="Expat", spdx="MIT")),
    supplier=Supplier(name="GNU Libc Maintainers", email="libc@example.org"),
    homepage="https://example.org/a b[c]",
    properties=(("imagekit:dpkg:source", "glibc@2.36"),),
    origin=Origin.BASE,
)
SOLVER = Component(
    ref="solver",
    kind=Kind.PROGRAM,
    name="\ufffd\u202e",
    hashes=(("sha256", "2" * 64),),
    depends=("libc", "absent"),
)
YAML = Component(ref="yaml", kind=Kind.PYTHON, name="pyyaml", depends=("libc", "absent"))
SBOM = Sbom(
    subject=Subject(name="apps/solver", version="2.0", digest="sha256:" + "d" * 64),
    components=(LIBC, SOLVER, YAML),
    notes=("a note",),
)
OPTIONS = SbomOptions(author=Party(name="Ada", email="ada@example.org"))


def published(name: str) -> str:
    """Return a document of the specification."""
    return gzip.decompress((PUBLISHED / f"{name}.gz").read_bytes()).decode()


def graph(sbom: Sbom = SBOM, options: SbomOptions | None = OPTIONS) -> dict[str, Any]:
    """Return a document, as a program reads it."""
    made: dict[str, Any] = json.loads(spdx3_json(sbom, tool_version="1", options=options))
    return made


def elements(kind: str) -> list[dict[str, Any]]:
    """Return the elements of one type."""
    return [each for each in graph()["@graph"] if each["type"] == kind]


def test_it_is_valid_against_the_schema() -> None:
    """Every element is one that the JSON Schema describes."""
    jsonschema.Draft202012Validator(json.loads(published("schema.json"))).validate(graph())


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")  # by rdflib's own parser
def test_it_conforms_to_the_model() -> None:
    """The SHACL shapes hold for what the JSON-LD means, and refuse what has no document."""
    model = rdflib.Graph().parse(data=published("spdx-model.ttl"), format="turtle")
    made = graph()
    made["@context"] = json.loads(published("spdx-context.jsonld"))["@context"]

    def conforms() -> tuple[bool, str]:
        data = rdflib.Graph().parse(data=json.dumps(made), format="json-ld")
        good, _, report = pyshacl.validate(data, shacl_graph=model, ont_graph=model)
        return good, report

    assert conforms()[0], conforms()[1]
    for element in made["@graph"]:
        element.pop("completeness", None)
        element.pop("specVersion", None)
    assert not conforms()[0]


def test_it_is_the_same_every_time() -> None:
    """Nothing is random: what the library keeps in sets is put into order."""
    assert spdx3_json(SBOM, tool_version="1") == spdx3_json(SBOM, tool_version="1")
    assert spdx3_json(SBOM, tool_version="1") != spdx3_json(SBOM, tool_version="2")


def test_who_made_it_is_named() -> None:
    """The author; without one, the program that wrote it."""
    (info,) = elements("CreationInfo")
    names = {each["spdxId"]: each["name"] for each in graph()["@graph"] if "name" in each}
    nobody = graph(options=None)["@graph"]

    assert [names[each] for each in info["createdBy"]] == ["Ada"]
    assert any(each["type"] == "SoftwareAgent" for each in nobody)


def test_the_graph_is_closed_and_says_what_is_whole() -> None:
    """The image contains everything; a note says that something is missing."""
    ids = {each["spdxId"] for each in graph()["@graph"] if "spdxId" in each}
    relations = elements("Relationship")
    kinds = {each["relationshipType"]: each for each in relations}

    assert all({each["from"], *each["to"]} <= ids for each in relations)
    assert len(kinds["contains"]["to"]) == 3
    assert {each["completeness"] for each in relations} == {"incomplete", "complete"}
    assert len(kinds["dependsOn"]["to"]) == 1


def test_a_licence_that_spdx_does_not_list_has_its_words() -> None:
    """``LicenseRef-`` leads to what the image says."""
    (expression,) = elements("simplelicensing_LicenseExpression")
    (entry,) = expression["simplelicensing_customIdToUri"]
    (text,) = elements("simplelicensing_SimpleLicensingText")

    assert expression["simplelicensing_licenseExpression"] == f"{reference('own words')} AND MIT"
    assert entry["value"] == text["spdxId"]
    assert text["simplelicensing_licenseText"] == "own words"


@pytest.mark.parametrize("name", ["", "a b", "\u00e9", "((", "x" * 300, "public-domain"])
def test_a_reference_is_one_whatever_it_is_called(name: str) -> None:
    """SPDX 3.0.1, Annex B: an idstring is of letters, digits, dots and hyphens."""
    assert re.fullmatch(r"LicenseRef-[A-Za-z0-9.-]+", reference(name))
    assert reference(name) != reference(f"{name}!")


def test_the_document_grows_linearly() -> None:
    """Each component adds as many elements as any other."""
    sizes = [
        len(
            graph(replace(SBOM, components=tuple(replace(YAML, ref=f"y{n}") for n in range(many))))[
                "@graph"
            ]
        )
        for many in (1, 201, 401)
    ]

    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] == 200
