"""SBOMs are valid CycloneDX 1.6 and 1.7, the same bytes every time, and made in linear time."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from msgspec.structs import replace

from imagekit.build.image import Origin
from imagekit.sbom.contents import Component, Kind, License, Sbom, Subject, Supplier
from imagekit.sbom.cyclonedx import cyclonedx_json
from imagekit.sbom.sbom_options import CycloneDxVersion, Party, SbomOptions

GOLDEN = Path(__file__).parent / "golden.cdx.json"
REWRITE = "IMAGEKIT_REWRITE_GOLDEN"

LIBC = Component(
    ref="pkg:deb/debian/libc6@2.36?arch=amd64",
    kind=Kind.DEBIAN,
    name="libc6",
    version="2.36",
    purl="pkg:deb/debian/libc6@2.36?arch=amd64",
    licenses=(License(stated="GPL-2"), License(stated="Expat", spdx="MIT")),
    supplier=Supplier(name="GNU Libc Maintainers", email="libc@example.org"),
    homepage="https://example.org/a b[c]",
    properties=(("imagekit:dpkg:source", "glibc@2.36"),),
    origin=Origin.BASE,
    layer="sha256:" + "1" * 64,
)
SOLVER = Component(
    ref="file:/opt/solver",
    kind=Kind.PROGRAM,
    name="/opt/solver",
    hashes=(("sha256", "2" * 64),),
    licenses=(
        License(stated="x", spdx="MIT OR Apache-2.0"),
        License(stated="y", spdx="BSD-3-Clause"),
    ),
    depends=(LIBC.ref, "absent"),
    origin=Origin.RECIPE,
)
SBOM = Sbom(
    subject=Subject(
        name="apps/solver", version="2.0", digest="sha256:" + "d" * 64, platform="linux/amd64"
    ),
    components=(LIBC, SOLVER),
    notes=("the packages of its apk database are not catalogued",),
)
HOSTILE = Component(
    ref="bad",
    kind=Kind.SYSTEM,
    name="\ufffd\u202e",
    version="x" * 5000,
    cpe="cpe:2.3:nothing",
    supplier=Supplier(name="a", email="no address"),
    homepage="https://%zz \u00e9\ufffd",
    licenses=(License(stated="((", spdx="(("), License(stated="MIT OR", spdx="MIT OR")),
)


MAKER = Party(name="HPC Centre", email="sbom@example.org")
WAYS = {
    "1.6": SbomOptions(author=MAKER),
    "1.7": SbomOptions(version="1.7"),
    "bsi": SbomOptions(version="1.7", profile="bsi", manufacturer=MAKER),
}


def document(sbom: Sbom = SBOM, options: SbomOptions | None = None) -> dict[str, Any]:
    """Return a document, as a program reads it."""
    read: dict[str, Any] = json.loads(cyclonedx_json(sbom, tool_version="1", options=options))
    return read


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "components", [(), (LIBC, SOLVER), (HOSTILE,)], ids=["empty", "usual", "hostile"]
)
def test_it_is_valid_against_the_schema(components: tuple[Component, ...], way: str) -> None:
    """The strict validator finds nothing, whatever an image states."""
    sbom = Sbom(subject=SBOM.subject, components=components)
    raw = cyclonedx_json(sbom, tool_version="1", options=WAYS[way])
    schema = SchemaVersion.V1_6 if way == "1.6" else SchemaVersion.V1_7

    assert JsonStrictValidator(schema).validate_str(raw.decode()) is None


def test_it_is_the_same_every_time() -> None:
    """One known SBOM gives exactly these bytes; set IMAGEKIT_REWRITE_GOLDEN=1 to rewrite them."""
    raw = cyclonedx_json(SBOM, tool_version="1")
    if os.environ.get(REWRITE):
        GOLDEN.write_bytes(raw)

    assert GOLDEN.read_bytes() == raw


def test_another_content_has_another_serial_number() -> None:
    """The serial number names the content."""
    one = document()
    two = json.loads(cyclonedx_json(SBOM, tool_version="2"))

    assert one["serialNumber"] != two["serialNumber"]


def test_the_image_depends_on_everything_and_nothing_on_what_is_not_there() -> None:
    """The graph is closed."""
    made = document()
    graph = {one["ref"]: one.get("dependsOn", []) for one in made["dependencies"]}

    assert sorted([LIBC.ref, SOLVER.ref]) == graph[SBOM.subject.ref]
    assert [LIBC.ref] == graph[SOLVER.ref]


def test_licences_are_ids_an_expression_or_names() -> None:
    """Only valid SPDX is called so; alternatives are kept together when joined."""
    made = document()
    by_name = {one["name"]: one["licenses"] for one in made["components"]}

    assert {"GPL-2", "MIT"} == {
        one["license"].get("id") or one["license"]["name"] for one in by_name["libc6"]
    }
    assert by_name["/opt/solver"][0]["expression"] == "(MIT OR Apache-2.0) AND BSD-3-Clause"


@pytest.mark.parametrize(
    ("version", "terms"),
    [
        ("1.6", ["GPL-2", "MIT"]),
        ("1.7", ["GPL-2", "MIT"]),
    ],
)
def test_nothing_is_concluded_where_a_licence_is_not_of_spdx(
    version: CycloneDxVersion, terms: list[str]
) -> None:
    """A name of Debian's is declared as it stands, and no expression is made of it."""
    sbom = Sbom(subject=SBOM.subject, components=(LIBC,))
    (libc,) = document(sbom, SbomOptions(version=version))["components"]

    licences = [one["license"] for one in libc["licenses"]]
    assert terms == sorted(one.get("id") or one["name"] for one in licences)


def test_a_licence_is_declared_and_concluded_in_1_7() -> None:
    """1.7 holds both; 1.6 has one expression, which is declared."""
    sbom = Sbom(subject=SBOM.subject, components=(SOLVER,))
    (new,) = document(sbom, SbomOptions(version="1.7"))["components"]
    (old,) = document(sbom)["components"]

    whole = "(MIT OR Apache-2.0) AND BSD-3-Clause"
    assert [{"acknowledgement": "declared", "expression": whole}] == old["licenses"]
    assert [
        {"acknowledgement": "declared", "expression": "MIT OR Apache-2.0"},
        {"license": {"acknowledgement": "declared", "id": "BSD-3-Clause"}},
        {"acknowledgement": "concluded", "expression": whole},
    ] == new["licenses"]


def test_compositions_say_what_is_complete() -> None:
    """Packages state all that they need; what a file needs is not known; a note ends all that."""
    whole = document(replace(SBOM, notes=()))["compositions"]
    noted = document()["compositions"]

    assert whole == [
        {"aggregate": "complete", "assemblies": [SBOM.subject.ref]},
        {"aggregate": "complete", "dependencies": [LIBC.ref]},
        {"aggregate": "unknown", "dependencies": [SOLVER.ref]},
    ]
    assert [each["aggregate"] for each in noted] == ["incomplete", "incomplete", "unknown"]


def test_evidence_says_where_and_how_a_component_was_seen() -> None:
    """A program by its place; a package by what its manager wrote."""
    by_name = {one["name"]: one["evidence"] for one in document()["components"]}

    assert by_name["/opt/solver"]["occurrences"] == [{"location": "/opt/solver"}]
    assert by_name["libc6"]["identity"][0]["methods"][0]["technique"] == "manifest-analysis"


def test_time_is_linear_in_the_number_of_components() -> None:
    """Four times as many components take no more than six times as long: it was sixteen times."""
    seconds = []
    for many in (250, 1000):
        components = tuple(
            replace(LIBC, ref=f"pkg:deb/{n}", depends=(f"pkg:deb/{n // 2}",)) for n in range(many)
        )
        began = time.process_time()
        assert len(document(replace(SBOM, components=components))["components"]) == many
        seconds.append(time.process_time() - began)

    assert seconds[1] < 6 * seconds[0]
