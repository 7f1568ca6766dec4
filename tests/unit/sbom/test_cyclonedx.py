"""SBOMs are valid CycloneDX 1.6 and the same bytes every time."""

import json
import os
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from imagekit.build.image import Origin
from imagekit.sbom.contents import Component, Kind, License, Sbom, Subject, Supplier
from imagekit.sbom.cyclonedx import cyclonedx_json

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


@pytest.mark.parametrize(
    "components", [(), (LIBC, SOLVER), (HOSTILE,)], ids=["empty", "usual", "hostile"]
)
def test_it_is_valid_against_the_schema(components: tuple[Component, ...]) -> None:
    """The strict validator finds nothing, whatever an image states."""
    raw = cyclonedx_json(Sbom(subject=SBOM.subject, components=components), tool_version="1")

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(raw.decode()) is None


def test_it_is_the_same_every_time() -> None:
    """One known SBOM gives exactly these bytes; set IMAGEKIT_REWRITE_GOLDEN=1 to rewrite them."""
    raw = cyclonedx_json(SBOM, tool_version="1")
    if os.environ.get(REWRITE):
        GOLDEN.write_bytes(raw)

    assert GOLDEN.read_bytes() == raw


def test_another_content_has_another_serial_number() -> None:
    """The serial number names the content."""
    one = json.loads(cyclonedx_json(SBOM, tool_version="1"))
    two = json.loads(cyclonedx_json(SBOM, tool_version="2"))

    assert one["serialNumber"] != two["serialNumber"]


def test_the_image_depends_on_everything_and_nothing_on_what_is_not_there() -> None:
    """The graph is closed."""
    document = json.loads(cyclonedx_json(SBOM, tool_version="1"))
    graph = {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}

    assert sorted([LIBC.ref, SOLVER.ref]) == graph[SBOM.subject.ref]
    assert [LIBC.ref] == graph[SOLVER.ref]


def test_licences_are_ids_an_expression_or_names() -> None:
    """Only valid SPDX is called so; alternatives are kept together when joined."""
    document = json.loads(cyclonedx_json(SBOM, tool_version="1"))
    by_name = {one["name"]: one["licenses"] for one in document["components"]}

    assert {"GPL-2", "MIT"} == {
        one["license"].get("id") or one["license"]["name"] for one in by_name["libc6"]
    }
    assert by_name["/opt/solver"][0]["expression"] == "(MIT OR Apache-2.0) AND BSD-3-Clause"
