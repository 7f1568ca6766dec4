"""Predicates of attestations under conditions, and what CEL is given."""

from collections.abc import Callable, Mapping
from datetime import timedelta

from imagekit.documents import strictjson
from imagekit.errors import DocumentError, PolicyError
from imagekit.needs.compare import Node, lacks
from imagekit.needs.predicate import needs_predicate, parse_needs
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.policy.cel import compiled, evaluate
from imagekit.policy.condition import (
    Condition,
    PackageRange,
    PassedTestsCondition,
    ProvenanceCondition,
    RebuildCondition,
    SbomCondition,
    SelfContainedCondition,
    Severity,
    VsaCondition,
    VulnerabilityCondition,
)
from imagekit.policy.now import Now
from imagekit.policy.ruleset import ImageRule
from imagekit.signatures.vsa import parse_summary, summary_predicate
from imagekit.verify.conditions import ConditionContext, condition_fault
from imagekit.verify.conditions.images import image_named
from imagekit.verify.conditions.licences import covered, named_in
from tests.attacks.fuzz.target import Target, documents, same, texts
from tests.support.needs import ALL
from tests.support.signed import NOW

_PURL = "pkg:deb/debian/openssl@3.0.14-1?arch=amd64&upstream=openssl%403.0"
_CYCLONEDX = {
    "bomFormat": "CycloneDX",
    "metadata": {"component": {"name": "image", "purl": "pkg:oci/image@sha256%3Aab"}},
    "components": [
        {"name": "openssl", "version": "3.0.14-1", "purl": _PURL, "components": [{"name": "a"}]},
        {"group": "g", "name": "b", "licenses": [{"expression": "(MIT OR X) AND Y WITH Z"}]},
        {"name": "c", "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "GPL-2.0+"}}]},
    ],
    "dependencies": [{"ref": "pkg:npm/a@1", "dependsOn": ["pkg:npm/b@1"]}],
}
_SPDX = {
    "spdxVersion": "SPDX-2.3",
    "documentDescribes": ["SPDXRef-a"],
    "packages": [
        {
            "SPDXID": "SPDXRef-a",
            "name": "openssl",
            "versionInfo": "3",
            "licenseDeclared": "MIT",
            "licenseConcluded": "NOASSERTION",
            "licenseInfoFromFiles": ["Zlib"],
            "externalRefs": [{"referenceType": "purl", "referenceLocator": _PURL}],
        }
    ],
    "files": [{"licenseConcluded": "MIT", "licenseInfoInFiles": ["MIT"]}],
    "hasExtractedLicensingInfos": [{"licenseId": "LicenseRef-1", "name": "x"}],
}
_TESTS = {
    "result": "PASSED",
    "configuration": [{"name": "hello/recipe.yaml", "digest": {"sha256": "ab"}}],
    "passedTests": ["starts", "stops"],
    "warnedTests": [],
    "failedTests": [],
    "finishedOn": "2026-11-23T00:00:00Z",
}
_REBUILD = {
    "builder": {"id": "urn:second"},
    "originalBuilders": ["urn:first"],
    "result": "identical",
    "finishedOn": "2026-11-23T00:00:00Z",
}
_SELF_CONTAINED = {
    "result": "PASSED",
    "checks": ["IK101"],
    "findings": [],
    "excepted": [{"code": "IK301", "path": "/opt/x", "message": "m", "reason": "it is needed"}],
    "exceptedCount": 1,
    "finishedOn": "2026-11-23T00:00:00Z",
}
_PROVENANCE = {
    "buildDefinition": {
        "buildType": "https://x.org",
        "resolvedDependencies": [
            {"uri": "r.site/base/a:1@sha256:ab"},
            {"uri": "pkg:docker/alpine@3?platform=linux%2Famd64"},
            {"uri": "pkg:oci/a@sha256%3Aab?repository_url=r.site/base/a"},
            {"uri": "recipe:base/debian@1"},
            {"uri": "git+https://x.org"},
        ],
    },
    "runDetails": {"builder": {"id": "https://ci.site"}},
}
_TIMES = {"metadata": {"scanFinishedOn": "2026-11-22T20:59:38.123456789+09:00"}}
_TRIVY = {"Results": [{"Vulnerabilities": [{"Severity": "LOW", "FixedVersion": "1"}]}]}
_GRYPE = {"matches": [{"vulnerability": {"severity": "High", "fix": {"state": "fixed"}}}]}
_INTOTO = [{"id": "CVE-1", "severity": [{"method": "nvd", "score": "7.5"}]}]
_VSA = {
    "verifier": {"id": "https://gate.site", "version": {"imagekit": "1"}},
    "timeVerified": "2026-11-23T00:00:00Z",
    "resourceUri": "r.site/apps/demo:1",
    "policy": {"uri": "policy:site@1", "digest": {"sha256": "a" * 64}},
    "inputAttestations": [{"digest": {"sha256": "b" * 64}}],
    "verificationResult": "PASSED",
    "verifiedLevels": ["SLSA_BUILD_LEVEL_1"],
}
_QUESTION = ConditionContext(
    image=PinnedReference(Repository.parse("r.site/apps/demo"), Digest.of(b"image"), tag="1"),
    rule=ImageRule(glob="**", authorities=()),
    now=Now(NOW),
)
_SBOM = SbomCondition(
    min_components=2,
    deny_licences=frozenset({"GPL-3.0-only"}),
    allow_licences=frozenset({"MIT", "Zlib"}),
    deny_packages=(
        PackageRange(purl="pkg:deb/debian/openssl", versions="vers:deb/<3"),
        PackageRange(purl="pkg:pypi/a", versions="vers:pypi/>=1|<2"),
    ),
)


def _condition(condition: Condition) -> Callable[[bytes], None]:
    def check(raw: bytes) -> None:
        predicate = strictjson.loads_object(raw, what="the predicate")
        condition_fault(condition, predicate, _QUESTION)

    return check


def _needs(raw: bytes) -> None:
    """Hold that what was read can be written again, and compared without an error."""
    needs = parse_needs(strictjson.loads_object(raw, what="the predicate"))
    same(parse_needs(needs_predicate(needs)), needs)
    lacks(needs, Node(machine="x86_64", kernel="6.1"))


def _summary(raw: bytes) -> None:
    summary = parse_summary(strictjson.loads_object(raw, what="the predicate"))
    same(parse_summary(summary_predicate(summary)), summary)


def _licence(raw: bytes) -> None:
    text = raw.decode("utf-8", "replace")
    allowed = frozenset({"mit", "zlib"})
    if covered(text, allowed) and not named_in(text, allowed):
        raise AssertionError(f"allowed, and names nothing that is: {text!r}")


def _uri(raw: bytes) -> None:
    found = image_named(raw.decode("utf-8", "replace"))
    if found is not None:
        same(Repository.parse(found.repository).name, found.repository)


def _expression(raw: bytes) -> None:
    """Compile the first line, and evaluate it on the JSON behind it."""
    text, _, rest = raw.partition(b"\n")
    config = strictjson.loads_object(rest, what="the configuration")
    variables: Mapping[str, object] = {"config": config, "tag": "1", "now": NOW}
    try:
        expression = compiled(text.decode("utf-8", "replace"))
    except PolicyError:
        return
    try:
        evaluate(expression, variables)
    except DocumentError as fault:
        same(fault.code, "EXPRESSION_ERROR")


TARGETS = {
    "sbom": Target(check=_condition(_SBOM), seeds=documents(_CYCLONEDX, _SPDX), json=True),
    "provenance": Target(
        check=_condition(
            ProvenanceCondition(
                builder_ids=("https://ci.site",),
                build_types=("https://x.org",),
                base_images=("r.site/base/*", "docker.io/library/*", "localhost/**"),
            )
        ),
        seeds=documents(_PROVENANCE),
        json=True,
    ),
    "vulnerabilities": Target(
        check=_condition(
            VulnerabilityCondition(
                max_severity=Severity.MEDIUM, fixed_only=True, max_age=timedelta(days=7)
            )
        ),
        seeds=documents(
            *({"scanner": {"result": one}, **_TIMES} for one in (_TRIVY, _GRYPE, _INTOTO))
        ),
        json=True,
    ),
    "vsa": Target(
        check=_condition(
            VsaCondition(
                verifier_ids=("https://gate.site",),
                levels=("SLSA_BUILD_LEVEL_1",),
                max_age=timedelta(days=1),
            )
        ),
        seeds=documents(_VSA),
        json=True,
    ),
    "rebuild": Target(
        check=_condition(RebuildCondition(builder_ids=("urn:second",), max_age=timedelta(days=1))),
        seeds=documents(_REBUILD),
        json=True,
    ),
    "selfcontained": Target(
        check=_condition(
            SelfContainedCondition(allow_excepted=frozenset({"IK301"}), max_age=timedelta(days=1))
        ),
        seeds=documents(_SELF_CONTAINED),
        json=True,
    ),
    "tests": Target(
        check=_condition(PassedTestsCondition(tests=("starts",), max_age=timedelta(days=1))),
        seeds=documents(_TESTS),
        json=True,
    ),
    "needs": Target(check=_needs, seeds=documents(needs_predicate(ALL)), json=True),
    "summary": Target(check=_summary, seeds=documents(_VSA), json=True),
    "licence": Target(check=_licence, seeds=texts("MIT OR (Zlib AND X WITH Y)", "GPL-2.0+", "(((")),
    "image-uri": Target(
        check=_uri,
        seeds=texts(
            "r.site/a:1@sha256:ab",
            "pkg:docker/alpine@3",
            "pkg:oci/a?repository_url=r.site/a",
            "docker://alpine",
            "recipe:a@1",
        ),
    ),
    "expression": Target(
        check=_expression,
        seeds=texts(
            'config.config.User != ""\n{"config": {"User": "1000"}}',
            'config.l.all(x, x > 1) && tag == "1"\n{"l": [1, 2, 3]}',
            'now > timestamp("2026-01-01T00:00:00Z") || config.s.matches("a+")\n{"s": "a"}',
        ),
    ),
}
