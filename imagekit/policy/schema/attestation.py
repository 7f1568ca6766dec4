"""Required attestations, and what their predicates must say."""

from collections.abc import Mapping
from types import MappingProxyType

from imagekit.documents.report import Report, shown
from imagekit.documents.scalars import (
    LINES,
    Boolean,
    ByKind,
    Choice,
    Integer,
    ListOf,
    Located,
    Text,
    plain,
)
from imagekit.documents.shape import Field, Record, Values, item
from imagekit.errors import PolicyError
from imagekit.policy.condition import (
    Condition,
    PassedTestsCondition,
    ProvenanceCondition,
    RebuildCondition,
    SbomCondition,
    SelfContainedCondition,
    Severity,
    VsaCondition,
    VulnerabilityCondition,
)
from imagekit.policy.schema.authority import AUTHORITY
from imagekit.policy.schema.draft import AttestationDraft
from imagekit.policy.schema.packages import PACKAGES
from imagekit.policy.schema.single_values import (
    DURATION,
    GLOB,
    MAX_AUTHORITIES,
    MAX_LISTED,
    NAME,
    URI,
)
from imagekit.signatures.intoto import SHORT_TYPES, full_type

_SBOM = ("components", "licenses", "packages")
_PROVENANCE = ("builderIds", "buildTypes", "baseImages")
_VULNERABILITIES = ("maxSeverity", "fixedOnly", "maxAge")
_SUMMARY = ("verifierIds", "policyDigests", "levels", "maxAge")
_TESTS = ("tests", "maxAge")
_REBUILD = ("builderIds", "maxAge")
_SELF_CONTAINED = ("allowExcepted", "maxAge")
WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        full_type("cyclonedx"): _SBOM,
        full_type("spdx"): _SBOM,
        full_type("slsaprovenance1"): _PROVENANCE,
        full_type("vuln"): _VULNERABILITIES,
        "https://in-toto.io/attestation/vulns/v0.1": _VULNERABILITIES,
        "https://in-toto.io/attestation/vulns/v0.2": _VULNERABILITIES,
        full_type("vsa"): _SUMMARY,
        full_type("test-result"): _TESTS,
        full_type("rebuild"): _REBUILD,
        full_type("selfcontained"): _SELF_CONTAINED,
    }
)
"""Which conditions there are for which predicate type."""
_CONDITIONS = tuple(
    dict.fromkeys((*_SBOM, *_PROVENANCE, *_VULNERABILITIES, *_SUMMARY, *_TESTS, *_SELF_CONTAINED))
)
_SEVERITIES = tuple(
    severity.name.lower() for severity in Severity if severity is not Severity.UNKNOWN
)


def _type(text: str) -> str:
    if text in SHORT_TYPES or ":" in text:
        return text
    raise PolicyError(
        f"`{shown(text)}` is not a known type of attestation",
        hint=f"write the URI of its predicate type, or one of: {', '.join(SHORT_TYPES)}",
    )


_LICENCES: ListOf[str] = ListOf(
    Text(
        "an SPDX licence identifier",
        pattern=r"[A-Za-z0-9][A-Za-z0-9.:+-]*",
        max_length=128,
        examples=("AGPL-3.0-only",),
    ),
    min_items=1,
    max_items=MAX_LISTED,
)


def _not_both(values: Values, report: Report) -> None:
    licences = set(values.get("deny") or ()) & set(values.get("allow") or ())
    for licence in sorted(licences):
        message = f"{licence} is both denied and allowed"
        report.error(values.value("deny"), "contradiction", message, hint="take it out of one")


_COMPONENTS: Record[int] = Record(
    "a demand on the components",
    {
        "min": item(
            Integer("how many", minimum=1, maximum=1_000_000),
            "how many there are at least: an empty SBOM says nothing",
            required=True,
        )
    },
    make=lambda values: int(values["min"]),
)
_LICENSES: Record[tuple[frozenset[str], frozenset[str]]] = Record(
    "a demand on the licences",
    {
        "deny": item(_LICENCES, "no component has one of these", default=()),
        "allow": item(
            _LICENCES, "every licence that a component names is one of these", default=()
        ),
    },
    make=lambda values: (frozenset(values["deny"]), frozenset(values["allow"])),
    rules=(_not_both,),
)
_PACKAGES: Record[tuple[object, ...]] = Record(
    "a demand on the packages",
    {"deny": item(PACKAGES, "packages that must not be there", required=True)},
    make=lambda values: tuple(values["deny"]),
)
_TEST_NAME = plain("a test's name", pattern=LINES, max_length=1000)
_URIS = ListOf(URI, min_items=1, max_items=MAX_LISTED)
SUMMARY_FIELDS: Mapping[str, Field[object]] = MappingProxyType(
    {
        "verifierIds": item(_URIS, "whose verification summaries count, by verifier.id"),
        "policyDigests": item(
            ListOf(
                Text("a digest", pattern=r"sha256:[0-9a-f]{64}"),
                min_items=1,
                max_items=MAX_LISTED,
            ),
            "policies that the summary may have been made by; any where this is left out",
            default=(),
        ),
        "levels": item(
            _URIS,
            "each must be among the summary's verifiedLevels",
            default=(),
        ),
        "maxAge": item(
            DURATION, "how old the scan, summary, run of tests, rebuild or check may be"
        ),
    }
)
_FIELDS: Mapping[str, Field[object]] = MappingProxyType(
    {
        "components": item(_COMPONENTS, "SBOM: how many components it names at least"),
        "licenses": item(_LICENSES, "SBOM: licences by SPDX identifier"),
        "packages": item(_PACKAGES, "SBOM: packages by purl and versions"),
        "builderIds": item(_URIS, "provenance and rebuild: who may have built it", default=()),
        "buildTypes": item(_URIS, "provenance: how it may have been built", default=()),
        "baseImages": item(
            ListOf(GLOB, min_items=1, max_items=MAX_LISTED),
            "provenance: repositories that base images may come from",
            default=(),
        ),
        "maxSeverity": item(
            Choice("a severity", _SEVERITIES),
            "vulnerability report: the worst that it may hold",
        ),
        "fixedOnly": item(
            Boolean("whether"),
            "vulnerability report: only those count that have a fix",
            default=False,
        ),
        "tests": item(
            ListOf(_TEST_NAME, min_items=1, max_items=MAX_LISTED),
            "test result: tests that must have passed, by their names",
            default=(),
        ),
        "allowExcepted": item(
            ListOf(
                plain("the number of a finding", pattern=r"IK[0-9]{3}", max_length=5),
                max_items=MAX_LISTED,
            ),
            "check: findings that a recipe may except; any where this is left out",
        ),
        **SUMMARY_FIELDS,
    }
)


def _for_its_type(values: Values, report: Report) -> None:
    """A condition that belongs to another type would never be judged."""
    kind = values.get("type")
    if kind is None:
        return
    known = WORDS.get(full_type(kind), ())
    for word in _CONDITIONS:
        if word in values and word not in known:
            message = f"`{word}` says nothing about an attestation of type {shown(kind)}"
            words = ", ".join(known) or "none; an expression can look into any predicate"
            report.error(values.key(word), "not-for-type", message, hint=f"it takes: {words}")
    if known is _SUMMARY and "verifierIds" not in values:
        message = "a verification summary without verifierIds may be by any verifier"
        hint = "add verifierIds: [URI of the verifier]"
        report.error(values.span, "no-verifier", message, hint=hint)


def _severity(values: Values, report: Report) -> None:
    if "fixedOnly" in values and "maxSeverity" not in values:
        message = "fixedOnly says which vulnerabilities count, and nothing says how bad they may be"
        report.error(values.key("fixedOnly"), "contradiction", message, hint="add maxSeverity")


def _condition(values: Values) -> Condition | None:
    known = WORDS.get(full_type(values["type"]), ())
    if known in {_TESTS, _REBUILD, _SELF_CONTAINED}:
        return _own_condition(known, values)
    if not any(word in values for word in known):
        return None
    if known is _SBOM:
        return _sbom(values)
    if known is _PROVENANCE:
        return ProvenanceCondition(
            builder_ids=values["builderIds"],
            build_types=values["buildTypes"],
            base_images=values["baseImages"],
        )
    if known is _VULNERABILITIES:
        worst = values["maxSeverity"]
        return VulnerabilityCondition(
            max_severity=None if worst is None else Severity[worst.upper()],
            fixed_only=values["fixedOnly"],
            max_age=values["maxAge"],
        )
    return summary(values)


def _own_condition(known: tuple[str, ...], values: Values) -> Condition:
    """Return the condition of a type that has one also where the policy says nothing else.

    A result of tests that failed is no proof, nor is a builder that agrees with itself, nor a check
    that found something.
    """
    if known == _TESTS:
        return PassedTestsCondition(tests=values["tests"], max_age=values["maxAge"])
    if known == _SELF_CONTAINED:
        allowed = values["allowExcepted"]
        return SelfContainedCondition(
            allow_excepted=None if allowed is None else frozenset(allowed),
            max_age=values["maxAge"],
        )
    return RebuildCondition(builder_ids=values["builderIds"], max_age=values["maxAge"])


def _sbom(values: Values) -> SbomCondition:
    deny, allow = values["licenses"] or (frozenset(), frozenset())
    return SbomCondition(
        min_components=values["components"] or 0,
        deny_licences=deny,
        allow_licences=allow,
        deny_packages=values["packages"] or (),
    )


def summary(values: Values) -> VsaCondition:
    """Return what a verification summary must say."""
    return VsaCondition(
        verifier_ids=values["verifierIds"],
        policy_digests=values["policyDigests"],
        levels=values["levels"],
        max_age=values["maxAge"],
    )


ATTESTATION: Record[AttestationDraft] = Record(
    "a required attestation",
    {
        "type": item(
            Text(
                "the predicate type: a short word or a URI",
                parse=_type,
                code="unknown-type",
                examples=("cyclonedx", "slsaprovenance1"),
            ),
            "which attestation",
            required=True,
        ),
        "authorities": item(
            ListOf(
                Located(
                    ByKind(
                        "the name of an authority of this rule, or another authority",
                        scalar=NAME,
                        mapping=AUTHORITY,
                    )
                ),
                min_items=1,
                max_items=MAX_AUTHORITIES,
            ),
            "who must have signed it; all authorities of the rule count where this is left out",
        ),
        **_FIELDS,
    },
    make=lambda values: AttestationDraft(values["type"], values["authorities"], _condition(values)),
    rules=(_for_its_type, _severity),
    aliases={
        "predicateType": "type",
        "licences": "licenses",
        "builderId": "builderIds",
        "buildType": "buildTypes",
        "verifierId": "verifierIds",
        "policyDigest": "policyDigests",
        "passedTests": "tests",
    },
)
