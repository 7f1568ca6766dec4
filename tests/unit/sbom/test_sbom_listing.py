"""CycloneDX of any tool is read strictly, and what is read is bounded."""

import json
import time
from typing import Any

import pytest

from imagekit.errors import DocumentError
from imagekit.sbom import sbom_listing
from imagekit.sbom.sbom_listing import ListedComponent, parse_listing

LIBC = {
    "type": "library",
    "bom-ref": "a",
    "name": "libc6",
    "version": "2.36",
    "purl": "pkg:deb/debian/libc6@2.36?arch=amd64&distro=debian-12",
    "licenses": [
        {"license": {"id": "MIT", "acknowledgement": "declared"}},
        {"expression": "MIT", "acknowledgement": "concluded"},
    ],
    "properties": [{"name": "imagekit:origin", "value": "base"}],
}


def parsed(*components: object, **more: object) -> tuple[ListedComponent, ...]:
    """Return what a document with these components lists."""
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components, **more}
    return parse_listing(json.dumps(document).encode()).components


def test_a_component_is_what_its_purl_says() -> None:
    """Type and name of the package URL; the distribution in it is not part of the name."""
    (libc,) = parsed(LIBC, dependencies=[{"ref": "a", "dependsOn": ["b"]}])

    assert libc == ListedComponent(
        type="deb",
        name="libc6",
        version="2.36",
        licences=("MIT",),
        step="base",
        ref="a",
        depends=("b",),
    )


@pytest.mark.parametrize(
    ("component", "identity"),
    [
        ({"type": "library", "group": "org.a", "name": "b"}, ("library", "org.a/b")),
        ({"type": "library", "name": "b", "purl": "pkg:npm/%40a/b@1"}, ("npm", "@a/b")),
        ({"type": "library", "name": "b", "purl": "not a purl"}, ("library", "b")),
        ({"name": "\x1b[31mb\n"}, ("component", "[31mb")),
        ({}, ("component", "(unnamed)")),
    ],
)
def test_other_components_go_by_their_own_names(
    component: object, identity: tuple[str, str]
) -> None:
    """A group stands in front, and nothing steers a terminal."""
    (one,) = parsed(component)

    assert (one.type, one.name) == identity


def test_a_file_without_a_version_goes_by_its_digest() -> None:
    """So that another content is a change."""
    digest = {"alg": "SHA-256", "content": "0123456789abcdef"}
    (one,) = parsed({"type": "file", "name": "/opt/a", "hashes": [digest]})

    assert one.version == "#0123456789ab"


def test_components_within_components_are_listed() -> None:
    """Wherever they are, those of the subject too."""
    nested = {"name": "a", "components": [{"name": "b", "components": [{"name": "c"}]}]}
    found = parsed(nested, metadata={"component": {"name": "x", "components": [{"name": "d"}]}})

    assert [each.name for each in found] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"spdxVersion": "SPDX-2.3"}, "bomFormat"),
        ({"bomFormat": "CycloneDX", "specVersion": "9"}, "specVersion"),
        ({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": {}}, "components"),
        ({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [3]}, r"components\[0\]"),
        (
            {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": 3}]},
            r"components\[0\].name",
        ),
    ],
)
def test_anything_else_is_refused_with_its_place(document: dict[str, Any], said: str) -> None:
    """What is misread would be compared wrongly."""
    with pytest.raises(DocumentError, match=said):
        parse_listing(json.dumps(document).encode())


def test_what_is_nested_too_deep_is_refused() -> None:
    """No recursion error leaves the reader."""
    deep = '{"components":[' * 100_000 + "]}" * 100_000
    raw = f'{{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{deep}]}}'

    with pytest.raises(DocumentError):
        parse_listing(raw.encode())


@pytest.mark.parametrize(
    ("bound", "value"), [("MAX_COMPONENTS", 2), ("MAX_EDGES", 3), ("MAX_DOCUMENT", 50)]
)
def test_more_than_is_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    """Half a comparison would be a wrong one."""
    monkeypatch.setattr(sbom_listing, bound, value)

    with pytest.raises(DocumentError):
        parsed(LIBC, LIBC, LIBC, dependencies=[{"ref": "a", "dependsOn": ["b", "c", "d"]}])


def test_many_licences_of_one_component_are_refused() -> None:
    """They would all stand in one line."""
    with pytest.raises(DocumentError, match="more than 1000 licences"):
        parsed({"name": "a", "licenses": [{"license": {"name": "x"}}] * 1001})


def test_one_ref_many_times_costs_linear_time() -> None:
    """Products are bounded, and not only what is listed."""
    needs = [{"ref": "a", "dependsOn": ["b"]}] * 100_000
    began = time.process_time()
    parsed(LIBC, dependencies=needs)

    assert time.process_time() - began < 5
