"""Conditions of an SBOM: each refusal by a document that is wrong in this one thing."""

import contextlib
import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import DocumentError
from imagekit.policy.condition import PackageRange, SbomCondition
from imagekit.signatures.results import Refusal
from imagekit.verify.conditions import components, packages
from imagekit.verify.conditions.sbom import check_sbom

_OPENSSL = PackageRange(purl="pkg:deb/debian/openssl", versions="vers:deb/<3.0.15-1")
_NO_OPENSSL = SbomCondition(deny_packages=(_OPENSSL,))
_NO_GPL = SbomCondition(deny_licences=frozenset({"GPL-3.0-only"}))
_ONLY_MIT = SbomCondition(allow_licences=frozenset({"MIT"}))
_BAD = "pkg:deb/debian/openssl@3.0.14-1"


def _cyclonedx(*found: Mapping[str, Any], **keys: Any) -> dict[str, Any]:
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [*found], **keys}


def _spdx(*found: Mapping[str, Any], **keys: Any) -> dict[str, Any]:
    return {"spdxVersion": "SPDX-2.3", "packages": [*found], **keys}


def _refs(*purls: str) -> dict[str, Any]:
    return {
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": purl,
            }
            for purl in purls
        ]
    }


def _code(predicate: Mapping[str, Any], condition: SbomCondition) -> str:
    found = check_sbom(predicate, condition)
    return found.code if isinstance(found, Refusal) else ""


def _licensed(*licences: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": "a", "licenses": [*licences]}


class TestComponents:
    """How many there are at least."""

    def test_enough(self) -> None:
        """Nested ones count, too."""
        document = _cyclonedx({"name": "a", "components": [{"name": "b"}]}, {"name": "c"})

        assert _code(document, SbomCondition(min_components=3)) == ""
        assert _code(document, SbomCondition(min_components=4)) == "SBOM_TOO_SMALL"

    @pytest.mark.parametrize("found", [[], [{}], [{"name": ""}], [{"name": "a"}, {"name": "a"}]])
    def test_what_does_not_count(self, found: list[dict[str, Any]]) -> None:
        """Neither nothing nor the same again is two components."""
        assert _code(_cyclonedx(*found), SbomCondition(min_components=2)) == "SBOM_TOO_SMALL"

    def test_the_image_itself_is_no_component_of_itself(self) -> None:
        """In either format."""
        one = SbomCondition(min_components=1)
        cyclonedx = _cyclonedx(metadata={"component": {"name": "image"}})
        spdx = _spdx({"name": "image", "SPDXID": "SPDXRef-i"}, documentDescribes=["SPDXRef-i"])
        related = {
            "spdxElementId": "SPDXRef-DOCUMENT",
            "relationshipType": "DESCRIBES",
            "relatedSpdxElement": "SPDXRef-i",
        }

        assert _code(cyclonedx, one) == "SBOM_TOO_SMALL"
        assert _code(spdx, one) == "SBOM_TOO_SMALL"
        spdx = _spdx({"name": "image", "SPDXID": "SPDXRef-i"}, relationships=[related])
        assert _code(spdx, one) == "SBOM_TOO_SMALL"
        assert _code(_spdx({"name": "a"}, {"name": "b"}), SbomCondition(min_components=2)) == ""


class TestLicences:
    """Licences that are denied, and those that are allowed."""

    @pytest.mark.parametrize(
        "licence",
        [
            {"license": {"id": "GPL-3.0-only"}},
            {"license": {"name": "GPL-3.0"}},
            {"expression": "MIT OR GPL-3.0-only"},
        ],
    )
    def test_denied(self, licence: Mapping[str, Any]) -> None:
        """By identifier, by name and within an expression."""
        assert _code(_cyclonedx(_licensed(licence)), _NO_GPL) == "LICENSE_DENIED"

    @pytest.mark.parametrize(
        "document",
        [
            _cyclonedx({"name": "a", "components": [_licensed({"expression": "GPL-3.0-only"})]}),
            _cyclonedx(metadata={"component": _licensed({"expression": "GPL-3.0-only"})}),
            _cyclonedx(
                {"name": "a", "evidence": {"licenses": [{"license": {"id": "GPL-3.0-only"}}]}}
            ),
            _spdx({"name": "a", "licenseDeclared": "GPL-3.0-only"}),
            _spdx({"name": "a", "licenseDeclared": "MIT", "licenseConcluded": "GPL-3.0-only"}),
            _spdx({"name": "a", "licenseInfoFromFiles": ["MIT", "GPL-3.0-only"]}),
            _spdx(files=[{"fileName": "x", "licenseConcluded": "GPL-3.0-only"}]),
            _spdx(files=[{"fileName": "x", "licenseInfoInFiles": ["GPL-3.0-only"]}]),
            _spdx(snippets=[{"licenseInfoInSnippets": ["GPL-3.0-only"]}]),
            _spdx(
                {"name": "a", "licenseDeclared": "LicenseRef-1"},
                hasExtractedLicensingInfos=[{"licenseId": "LicenseRef-1", "name": "GPL-3.0-only"}],
            ),
        ],
    )
    def test_denied_wherever_it_stands(self, document: Mapping[str, Any]) -> None:
        """Nested, of the image itself, observed, of files, or behind another name."""
        assert _code(document, _NO_GPL) == "LICENSE_DENIED"

    def test_allowed_licences(self) -> None:
        """Each licence that is stated is allowed, and what states none says nothing."""
        assert _code(_cyclonedx(_licensed({"license": {"id": "MIT"}})), _ONLY_MIT) == ""
        assert _code(_cyclonedx(_licensed({"expression": "MIT OR X"})), _ONLY_MIT) == ""
        assert _code(_cyclonedx({"name": "a"}), _ONLY_MIT) == ""
        assert _code(_spdx({"name": "a", "licenseDeclared": "NOASSERTION"}), _ONLY_MIT) == ""

    @pytest.mark.parametrize(
        "licences",
        [
            [{"license": {"id": "MIT"}}, {"license": {"id": "Zlib"}}],
            [{"expression": "MIT AND Zlib"}],
            [{"license": {"name": "the usual terms"}}],
        ],
    )
    def test_not_allowed(self, licences: list[Mapping[str, Any]]) -> None:
        """One that is not listed, or that nobody can tell, is not allowed."""
        assert _code(_cyclonedx(_licensed(*licences)), _ONLY_MIT) == "LICENSE_NOT_ALLOWED"


_HIDDEN = [
    _cyclonedx({"name": "openssl", "purl": _BAD}),
    _cyclonedx({"name": "x", "purl": "PKG:DEB/Debian/OpenSSL@3.0.14-1"}),
    _cyclonedx({"name": "x", "purl": "pkg:deb/debi%61n/open%73sl@3.0.14%2D1?arch=amd64#sub"}),
    _cyclonedx({"name": "x", "purl": "pkg://deb/debian//openssl@3.0.14-1"}),
    _cyclonedx({"name": "x", "purl": f" {_BAD} "}),
    _cyclonedx({"name": "a", "components": [{"name": "b", "components": [{"purl": _BAD}]}]}),
    _cyclonedx(metadata={"component": {"name": "image", "purl": _BAD}}),
    _cyclonedx(metadata={"component": {"name": "image", "components": [{"purl": _BAD}]}}),
    _cyclonedx({"name": "x", "bom-ref": _BAD}),
    _cyclonedx(dependencies=[{"ref": "a", "dependsOn": [_BAD]}]),
    _cyclonedx(dependencies=[{"ref": _BAD}]),
    _cyclonedx({"name": "libssl3", "purl": "pkg:deb/debian/libssl3@3.0.14-1?upstream=openssl"}),
    _cyclonedx({"purl": "pkg:deb/debian/libssl3@9?upstream=openssl%403.0.14-1"}),
    # Without a purl, the name decides.
    _cyclonedx({"name": "OpenSSL", "version": "3.0.14-1"}),
    _cyclonedx({"name": "openssl"}),
    _cyclonedx({"group": "debian", "name": "openssl", "version": "3.0.14-1"}),
    _cyclonedx({"name": "debian:openssl", "version": "3.0.14-1"}),
    # What cannot be compared.
    _cyclonedx({"name": "openssl", "purl": "pkg:deb/debian/openssl"}),
    _cyclonedx({"name": "openssl", "purl": "pkg:deb/debian/openssl@not%20a%20version"}),
    _cyclonedx({"name": "openssl", "purl": f"pkg:deb/debian/openssl@{'9' * 200}"}),
    # Two versions, of which one is denied.
    _cyclonedx({"purl": "pkg:deb/debian/openssl@3.0.15-1", "version": "3.0.14-1"}),
    _spdx({"name": "x", **_refs("pkg:deb/debian/zlib@1", _BAD)}),
    _spdx({"name": "openssl", "versionInfo": "3.0.14-1"}),
    _spdx(
        {
            "name": "x",
            "externalRefs": [
                {
                    "referenceType": "http://spdx.org/rdf/references/purl",
                    "referenceLocator": _BAD,
                }
            ],
        }
    ),
]


class TestPackages:
    """A denied package is found wherever an SBOM can hide it."""

    @pytest.mark.parametrize("document", _HIDDEN, ids=range(len(_HIDDEN)))
    def test_denied(self, document: Mapping[str, Any]) -> None:
        """However it is written."""
        assert _code(document, _NO_OPENSSL) == "PACKAGE_DENIED"

    @pytest.mark.parametrize(
        "component",
        [
            {"name": "openssl", "purl": "pkg:deb/debian/openssl@3.0.15-1"},
            {"name": "openssl", "version": "3.0.15-1"},
            {"name": "openssl", "purl": "pkg:generic/openssl@1"},
            {"name": "openssl", "purl": "pkg:deb/ubuntu/openssl@1"},
            {"name": "openssl-doc", "version": "1"},
            {"name": "x", "purl": "pkg:deb/debian/libssl3@1?upstream=openssl%403.0.15-1"},
            {"pedigree": {"ancestors": [{"name": "openssl", "purl": _BAD}]}, "name": "x"},
        ],
    )
    def test_not_denied(self, component: Mapping[str, Any]) -> None:
        """Another version, another kind, another distribution, another package."""
        assert _code(_cyclonedx(component), _NO_OPENSSL) == ""

    def test_every_version(self) -> None:
        """A package without a range is denied in each, also in none."""
        condition = SbomCondition(deny_packages=(PackageRange(purl="pkg:npm/left-pad"),))

        assert _code(_cyclonedx({"purl": "pkg:npm/left-pad@1"}), condition) == "PACKAGE_DENIED"
        assert _code(_cyclonedx({"purl": "pkg:npm/Left-Pad"}), condition) == "PACKAGE_DENIED"
        assert _code(_cyclonedx({"purl": "pkg:npm/right-pad@1"}), condition) == ""

    @pytest.mark.parametrize(
        "name", ["Foo_Bar", "foo.bar", "FOO-BAR", "foo__bar", "foo-.bar", "foo._-bar"]
    )
    def test_names_of_pypi(self, name: str) -> None:
        """What PyPI takes for one name is one, with a purl and without."""
        denied = PackageRange(purl="pkg:pypi/foo-bar", versions="vers:pypi/<2")
        condition = SbomCondition(deny_packages=(denied,))

        assert _code(_cyclonedx({"purl": f"pkg:pypi/{name}@1.0"}), condition) == "PACKAGE_DENIED"
        assert _code(_cyclonedx({"name": name, "version": "1.0"}), condition) == "PACKAGE_DENIED"
        assert _code(_cyclonedx({"purl": f"pkg:pypi/{name}@2.0"}), condition) == ""

    def test_epoch_beside_the_version(self) -> None:
        """It is the highest part of the version, wherever it is written."""
        denied = PackageRange(purl="pkg:rpm/rocky/openssl", versions="vers:rpm/>=1:1.0|<1:1.2")
        condition = SbomCondition(deny_packages=(denied,))
        one = {"purl": "pkg:rpm/rocky/openssl@1.1.1k-5?epoch=1", "version": "1.1.1k-5"}

        assert _code(_cyclonedx(one), condition) == "PACKAGE_DENIED"

    def test_source_package_of_rpm(self) -> None:
        """It is named by its file."""
        denied = PackageRange(purl="pkg:rpm/rocky/openssl", versions="vers:rpm/<1.1.2")
        condition = SbomCondition(deny_packages=(denied,))
        purl = "pkg:rpm/rocky/openssl-libs@1.1.1k-5?upstream=openssl-1.1.1k-5.src.rpm"

        assert _code(_cyclonedx({"purl": purl}), condition) == "PACKAGE_DENIED"

    def test_too_much_to_compare(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is refused, and not left out."""
        monkeypatch.setattr(packages, "MAX_COMPARED", 2)
        found = [{"purl": f"pkg:deb/debian/openssl@{number}"} for number in (4, 5, 6)]

        with pytest.raises(DocumentError) as caught:
            check_sbom(_cyclonedx(*found), _NO_OPENSSL)
        assert caught.value.code == "TOO_MANY"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"bomFormat": "SPDX"},
        {"bomFormat": "CycloneDX", "Components": []},
        _cyclonedx({"name": "a", "PURL": _BAD}),
        _cyclonedx({"name": "a", "licenses": [{"License": {"id": "x"}}]}),
        _cyclonedx({"name": 5}),
        _cyclonedx({"name": "a", "version": ["1"]}),
        _cyclonedx({"purl": "openssl"}),
        _cyclonedx({"purl": "pkg:"}),
        _cyclonedx({"purl": f"pkg:deb/debian/openssl?a={'a' * 5000}"}),
        _cyclonedx({"purl": "pkg:deb/debian/openssl?x"}),
        _cyclonedx({"licenses": [{}]}),
        _cyclonedx({"licenses": [{"license": "MIT"}]}),
        _cyclonedx({"licenses": "MIT"}),
        _cyclonedx("openssl"),  # type: ignore[arg-type]  # hostile
        {"bomFormat": "CycloneDX", "components": {}},
        {"bomFormat": "CycloneDX", "metadata": []},
        {"bomFormat": "CycloneDX", "metadata": {"component": []}},
        {"bomFormat": "CycloneDX", "dependencies": [{"dependsOn": [1]}]},
        {"spdxVersion": "SPDX-3.0", "packages": []},
        {"spdxVersion": 2},
        {"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": []},
        _spdx({"name": "a", "licenseDeclared": 5}),
        _spdx({"name": "a", "externalRefs": [{"referenceType": "purl"}]}),
        _spdx(files=[{"licenseInfoInFiles": "MIT"}]),
        _spdx(Packages=[]),
    ],
)
def test_malformed_documents_are_refused(document: Mapping[str, Any]) -> None:
    """What is not an SBOM, or is read differently by others, never counts as an empty one."""
    condition = SbomCondition(
        deny_packages=(_OPENSSL,), deny_licences=frozenset({"GPL-3.0-only"}), min_components=0
    )

    with pytest.raises(DocumentError) as caught:
        check_sbom(document, condition)
    assert caught.value.code == "BAD_STATEMENT"


def test_a_fault_behind_a_refusal_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document is read to its end, whatever was found before."""
    monkeypatch.setattr(components, "MAX_COMPONENTS", 3)
    found = [{"name": "openssl", "version": "1"}, *({"name": str(n)} for n in range(2))]

    with pytest.raises(DocumentError) as caught:
        check_sbom(_cyclonedx({"name": "a", "components": found}), _NO_OPENSSL)
    assert caught.value.code == "TOO_MANY"


def test_a_large_hostile_document_costs_seconds_at_most() -> None:
    """Neither depth nor count nor long texts make the work grow faster than the document."""
    deep: dict[str, Any] = {"name": "x"}
    for _ in range(20_000):
        deep = {"name": "x", "components": [deep]}
    wide = [
        {"purl": f"pkg:deb/debian/openssl@3.{'1' * 100}{n}", "licenses": [{"expression": "(" * 99}]}
        for n in range(5000)
    ]
    condition = SbomCondition(
        deny_packages=tuple(
            PackageRange(purl="pkg:deb/debian/openssl", versions=f"vers:deb/<0.{n}")
            for n in range(3)
        ),
        deny_licences=frozenset({"GPL-3.0-only"}),
        allow_licences=frozenset({"MIT"}),
    )
    began = time.process_time()

    check_sbom(_cyclonedx(deep, *wide), condition)

    assert time.process_time() - began < 10


_COMPONENTS = st.fixed_dictionaries(
    {"name": st.sampled_from(("openssl", "zlib", "a"))},
    optional={
        "version": st.sampled_from(("3.0.14-1", "3.0.15-1", "1", "")),
        "purl": st.sampled_from((_BAD, "pkg:deb/debian/openssl@3.0.15-1", "pkg:npm/a@1")),
        "licenses": st.lists(
            st.sampled_from(("MIT", "GPL-3.0-only", "MIT OR GPL-3.0-only", "?")).map(
                lambda text: {"expression": text}
            ),
            max_size=2,
        ),
    },
)
_LICENCES = st.frozensets(st.sampled_from(("MIT", "GPL-3.0-only", "Zlib")))
_CONDITIONS = st.builds(
    SbomCondition,
    min_components=st.integers(0, 3),
    deny_licences=_LICENCES,
    allow_licences=_LICENCES,
    deny_packages=st.lists(
        st.sampled_from((_OPENSSL, PackageRange(purl="pkg:npm/a"))), max_size=2
    ).map(tuple),
)


@given(st.lists(_COMPONENTS, max_size=4), _CONDITIONS)
def test_a_condition_is_met_only_where_each_part_of_it_is(
    found: list[dict[str, Any]], condition: SbomCondition
) -> None:
    """Nothing that is added to a condition makes another part of it be passed over."""
    parts = [
        SbomCondition(min_components=condition.min_components),
        SbomCondition(deny_licences=condition.deny_licences),
        SbomCondition(allow_licences=condition.allow_licences),
        *(SbomCondition(deny_packages=(one,)) for one in condition.deny_packages),
    ]
    whole = check_sbom(_cyclonedx(*found), condition)

    assert (whole is None) == all(check_sbom(_cyclonedx(*found), one) is None for one in parts)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ("name", "purl", "components", "licenses", "license", "id", "metadata", "packages")
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.sampled_from(("bomFormat", "spdxVersion")), st.dictionaries(st.text(max_size=10), _JSON))
def test_any_document_is_judged_or_refused(key: str, document: dict[str, Any]) -> None:
    """Nothing but a DocumentError comes out of a hostile predicate."""
    document[key] = {"bomFormat": "CycloneDX", "spdxVersion": "SPDX-2.3"}[key]
    condition = SbomCondition(
        min_components=1, deny_packages=(_OPENSSL,), allow_licences=frozenset({"MIT"})
    )
    with contextlib.suppress(DocumentError):
        check_sbom(document, condition)
