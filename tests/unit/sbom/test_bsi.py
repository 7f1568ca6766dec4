"""NTIA's minimum elements and BSI TR-03183-2 v2.1.0, element by element."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.build.image import Origin
from imagekit.errors import InputError
from imagekit.sbom.bsi import check_options
from imagekit.sbom.contents import Component, Kind, License, Sbom, Subject, Supplier
from imagekit.sbom.cyclonedx import cyclonedx_json
from imagekit.sbom.sbom_options import Party, SbomOptions

MAKER = Party(name="HPC Centre", url="https://hpc.example.org/")
OPTIONS = SbomOptions(
    version="1.7",
    profile="bsi",
    author=Party(name="Ada", email="ada@example.org"),
    manufacturer=MAKER,
)
HASHES = (("sha256", "1" * 64), ("sha512", "2" * 128))
MIT = (License(stated="Expat", spdx="MIT"), License(stated="own words"))
LIBC = Component(
    ref="pkg:deb/debian/libc6@1:2.36?arch=amd64",
    kind=Kind.DEBIAN,
    name="libc6",
    version="1:2.36",
    purl="pkg:deb/debian/libc6@1:2.36?arch=amd64",
    licenses=MIT,
    supplier=Supplier(name="GNU Libc Maintainers", email="libc@example.org"),
    hashes=HASHES,
    origin=Origin.BASE,
)
SOURCE = Component(
    ref="fetched:x",
    kind=Kind.FETCHED,
    name="x.tar.gz",
    version="1",
    download="https://example.org/x.tar.gz",
    licenses=MIT,
    hashes=HASHES,
    origin=Origin.RECIPE,
)
PROGRAM = Component(
    ref="file:/opt/a b",
    kind=Kind.PROGRAM,
    name="/opt/a b",
    licenses=MIT,
    hashes=HASHES,
    origin=Origin.RECIPE,
    depends=(LIBC.ref,),
)
WHOLE = Sbom(
    subject=Subject(name="apps/solver", version="2.0", digest="sha256:" + "d" * 64),
    components=(LIBC, SOURCE, PROGRAM),
)
Rendered = dict[str, Any]


def document(sbom: Sbom = WHOLE) -> Rendered:
    """Return the document by the profile."""
    made: Rendered = json.loads(cyclonedx_json(sbom, tool_version="1", options=OPTIONS))
    return made


def notes(made: Rendered) -> list[str]:
    """Return what the document says that it lacks."""
    return [
        each["value"]
        for each in made["metadata"].get("properties", [])
        if each["name"] == "imagekit:note"
    ]


def _properties(component: Rendered) -> dict[str, str]:
    return {each["name"]: each["value"] for each in component["properties"]}


def _expression(component: Rendered, acknowledgement: str) -> bool:
    return any(
        each.get("acknowledgement", each.get("license", {}).get("acknowledgement"))
        == acknowledgement
        for each in component["licenses"]
    )


def _reachable(party: Rendered) -> bool:
    return bool(party["name"]) and bool(
        party.get("url") or [each for each in party.get("contact", ()) if each["email"]]
    )


def _sha512(component: Rendered) -> bool:
    return any(
        digest["alg"] == "SHA-512" and len(digest["content"]) == 128
        for link in component["externalReferences"]
        if link["type"] == "distribution"
        for digest in link["hashes"]
    )


OF_DOCUMENT: dict[str, Callable[[Rendered], bool]] = {
    "NTIA author": lambda made: made["metadata"]["authors"][0]["name"] == "Ada",
    "NTIA timestamp": lambda made: made["metadata"]["timestamp"].endswith("+00:00"),
    "BSI 5.2.1 creator": lambda made: _reachable(made["metadata"]["manufacturer"]),
    "BSI 5.2.1 timestamp": lambda made: bool(made["metadata"]["timestamp"]),
    "BSI 5.2.3 SBOM-URI": lambda made: made["serialNumber"].startswith("urn:uuid:"),
    "BSI 3.1 no vulnerabilities": lambda made: "vulnerabilities" not in made,
}
OF_COMPONENT: dict[str, Callable[[Rendered], bool]] = {
    "NTIA supplier": lambda each: bool(each["supplier"]["name"]),
    "NTIA name": lambda each: bool(each["name"]),
    "NTIA version": lambda each: bool(each["version"]),
    "NTIA unique identifier": lambda each: bool(each.get("purl") or each["hashes"]),
    "BSI 5.2.2 creator": lambda each: _reachable(each["manufacturer"]),
    "BSI 5.2.2 filename": lambda each: "/" not in _properties(each)["bsi:component:filename"],
    "BSI 5.2.2 distribution licences": lambda each: _expression(each, "concluded"),
    "BSI 5.2.2 SHA-512": _sha512,
    "BSI 5.2.2 executable": lambda each: (
        _properties(each)["bsi:component:executable"] in {"executable", "non-executable"}
    ),
    "BSI 5.2.2 archive": lambda each: (
        _properties(each)["bsi:component:archive"] in {"archive", "no archive"}
    ),
    "BSI 5.2.2 structured": lambda each: (
        _properties(each)["bsi:component:structured"] in {"structured", "unstructured"}
    ),
    "BSI 5.2.4 original licences": lambda each: _expression(each, "declared"),
}


@pytest.mark.parametrize("element", OF_DOCUMENT)
def test_the_document_has(element: str) -> None:
    """What is said once."""
    assert OF_DOCUMENT[element](document())


@pytest.mark.parametrize("element", OF_COMPONENT)
def test_every_component_has(element: str) -> None:
    """A package, a fetched file and a program of the recipe, whose image tells all of it."""
    made = document()

    assert len(made["components"]) == 3
    for component in made["components"]:
        assert OF_COMPONENT[element](component), component["name"]
    assert notes(made) == []


def test_dependencies_are_named_with_their_completeness() -> None:
    """BSI 5.2.2 and NTIA: every component stands in the graph, and in one composition."""
    made = document()
    refs = {each["bom-ref"] for each in made["components"]}

    assert refs <= {each["ref"] for each in made["dependencies"]}
    stated = [ref for each in made["compositions"] for ref in each.get("dependencies", ())]
    assert sorted(refs) == sorted(stated)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"supplier": None}, "creator"),
        ({"version": ""}, "version"),
        ({"licenses": ()}, "distribution licences"),
        ({"hashes": HASHES[:1]}, "SHA-512 of the deployable component"),
    ],
)
def test_what_the_image_does_not_tell_is_noted(change: dict[str, Any], said: str) -> None:
    """Nothing is made up: how many components lack a field stands in the document."""
    made = document(replace(WHOLE, components=(replace(LIBC, **change), PROGRAM)))

    assert notes(made) == [f"TR-03183-2: 1 component without {said}, which the image does not tell"]


def test_a_file_is_called_as_it_is_delivered() -> None:
    """A package of Debian is a .deb without the epoch; others go by the end of their place."""
    names = {each["name"]: _properties(each) for each in document()["components"]}

    assert names["libc6"]["bsi:component:filename"] == "libc6_2.36_amd64.deb"
    assert names["x.tar.gz"]["bsi:component:archive"] == "archive"
    assert names["/opt/a b"]["bsi:component:filename"] == "a b"
    assert names["/opt/a b"]["bsi:component:executable"] == "executable"


def test_a_foreign_program_has_no_known_creator() -> None:
    """Whoever writes the document did not make what another one built."""
    program = replace(PROGRAM, origin=None)
    (made,) = document(replace(WHOLE, components=(program,)))["components"]

    assert "manufacturer" not in made


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (replace(OPTIONS, manufacturer=None), "sbom/no-creator"),
        (replace(OPTIONS, manufacturer=Party(name="HPC Centre")), "sbom/no-creator"),
        (replace(OPTIONS, version="1.6"), "sbom/profile-version"),
    ],
    ids=["nobody", "unreachable", "1.6"],
)
def test_options_that_cannot_fulfil_it_are_refused(options: SbomOptions, code: str) -> None:
    """A document that claims the profile and lacks its creator helps nobody."""
    with pytest.raises(InputError) as raised:
        check_options(options)

    assert raised.value.code == code
