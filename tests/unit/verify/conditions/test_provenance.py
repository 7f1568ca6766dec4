"""Conditions of a provenance, in the shapes that builders write."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import DocumentError
from imagekit.policy.condition import ProvenanceCondition
from imagekit.verify.conditions.images import image_named
from imagekit.verify.conditions.provenance import check_provenance

_BUILDER = "https://ci.site/builder"
_TYPE = "https://imagekit.dev/build/recipe/v1"
_BASES = ProvenanceCondition(base_images=("r.site/base/*", "docker.io/library/*"))


def _provenance(*uris: str, **changes: Any) -> dict[str, Any]:
    return {
        "buildDefinition": {
            "buildType": _TYPE,
            "resolvedDependencies": [{"uri": uri} for uri in uris],
            **changes,
        },
        "runDetails": {"builder": {"id": _BUILDER}},
    }


def _code(predicate: Mapping[str, Any], condition: ProvenanceCondition) -> str:
    found = check_provenance(predicate, condition)
    return found.code if found else ""


def test_builder() -> None:
    """It is one of those that are listed, exactly."""
    assert _code(_provenance(), ProvenanceCondition(builder_ids=("x", _BUILDER))) == ""
    condition = ProvenanceCondition(builder_ids=(f"{_BUILDER}/",))
    assert _code(_provenance(), condition) == "BUILDER_NOT_ALLOWED"


def test_build_type() -> None:
    """It is one of those that are listed, exactly."""
    assert _code(_provenance(), ProvenanceCondition(build_types=(_TYPE,))) == ""
    condition = ProvenanceCondition(build_types=("https://x.org",))
    assert _code(_provenance(), condition) == "BUILD_TYPE_NOT_ALLOWED"


@pytest.mark.parametrize(
    "uris",
    [
        ["r.site/base/debian@sha256:abc"],
        ["oci://r.site/base/debian:12"],
        ["pkg:docker/r.site/base/debian@12?platform=linux%2Famd64"],
        ["pkg:oci/debian@sha256%3Aabc?repository_url=r.site%2Fbase%2Fdebian"],
        ["pkg:docker/alpine@3.20?digest=sha256:abc"],
        ["git+https://github.com/x/y@refs/heads/main", "docker-image://r.site/base/debian:1"],
        ["pkg:generic/debian/bookworm", "pkg:pypi/x@1", "r.site/base/debian:1"],
    ],
)
def test_allowed_base_images(uris: list[str]) -> None:
    """Each image among the dependencies matches a glob; what is no image is passed over."""
    assert _code(_provenance(*uris), _BASES) == ""


@pytest.mark.parametrize(
    "uris",
    [
        ["r.site/evil/debian:1"],
        ["r.site/base/debian:1", "r.site/evil/debian:1"],
        ["r.site/base/debian:1", "evil/debian"],
        ["r.site/base/debian:1", "PKG:docker/evil/debian@1"],
        ["r.site/base/debian:1", "pkg:DOCKER/evil/debian@1"],
        ["pkg:docker/r.site/base/debian@1?repository_url=evil.site"],
        ["pkg:oci/debian?repository_url=evil.site/base/debian"],
        ["r.site/base/debian:1", "docker://evil.site/base/debian"],
        ["r.site/base/debian:1", "recipe:base/debian@1"],
    ],
)
def test_other_base_images(uris: list[str]) -> None:
    """One that matches no glob is refused, beside however many that do."""
    assert _code(_provenance(*uris), _BASES) == "BASE_NOT_ALLOWED"


@pytest.mark.parametrize(
    "predicate",
    [
        _provenance(),
        _provenance("git+https://github.com/x/y"),
        _provenance(resolvedDependencies=None),
    ],
)
def test_no_base_image_proves_nothing(predicate: Mapping[str, Any]) -> None:
    """An empty list never passes."""
    assert _code(predicate, _BASES) == "BASE_NOT_ALLOWED"


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        {"buildDefinition": {"buildType": _TYPE}},
        {"buildDefinition": {"buildType": _TYPE}, "runDetails": {"builder": _BUILDER}},
        {"buildDefinition": {"buildType": 5}, "runDetails": {"builder": {"id": _BUILDER}}},
        {"buildDefinition": {"buildType": _TYPE}, "runDetails": {"builder": {"ID": _BUILDER}}},
        _provenance(resolvedDependencies={}),
        _provenance(resolvedDependencies=["r.site/base/debian:1"]),
        _provenance(resolvedDependencies=[{"uri": 5}]),
        _provenance(ResolvedDependencies=[]),
        _provenance("oci://R.site/Base"),
        _provenance("pkg:docker/"),
        _provenance(resolvedDependencies=[{}] * 50_001),
    ],
)
def test_malformed_provenances_are_refused(predicate: Mapping[str, Any]) -> None:
    """What cannot be read is no provenance, whatever is asked of it."""
    with pytest.raises(DocumentError) as caught:
        check_provenance(predicate, _BASES)
    assert caught.value.code == "BAD_STATEMENT"


@pytest.mark.parametrize(
    ("uri", "repository"),
    [
        ("r.site:5000/a/b:1@sha256:x", "r.site:5000/a/b"),
        ("pkg:docker/golang@1.21-alpine", "docker.io/library/golang"),
        ("pkg:docker/docker/dockerfile@1", "docker.io/docker/dockerfile"),
        ("pkg:docker/x/y?repository_url=https://index.docker.io", "docker.io/x/y"),
        ("pkg:oci/b@sha256%3Ax?repository_url=https://r.site/a", "r.site/a/b"),
        ("docker://alpine", "docker.io/library/alpine"),
        ("recipe:base/debian@12.1.0", "localhost/base/debian"),
        ("index.docker.io/library/alpine:3", "docker.io/library/alpine"),
    ],
)  # fmt: skip
def test_names_of_images(uri: str, repository: str) -> None:
    """Builders write one image in many ways."""
    found = image_named(uri)

    assert found is not None
    assert found.repository == repository


@pytest.mark.parametrize(
    "uri",
    ["", "https://r.site/a:1", "git+ssh://x/y", "pkg:npm/a@1", "Makefile", "file:///a", "a b"],
)
def test_what_names_no_image(uri: str) -> None:
    """Sources and packages are none."""
    assert image_named(uri) is None


@given(st.text(max_size=40), st.sampled_from(("", "pkg:docker/", "pkg:oci/", "oci://", "recipe:")))
def test_any_uri_is_judged_or_refused(text: str, start: str) -> None:
    """A hostile URI names an image of the grammar, none, or raises a DocumentError."""
    try:
        found = image_named(start + text)
    except DocumentError:
        return
    assert found is None or "/" in found.repository
