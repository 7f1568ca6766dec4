"""The language of policies: what each key means, and what contradicts itself."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from imagekit.documents.shape import STRUCTURAL
from imagekit.errors import PolicyError
from imagekit.oci.digest import Digest
from imagekit.policy.condition import (
    NeedsCondition,
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
from imagekit.policy.load import load_policy, parse_policy
from imagekit.policy.ruleset import (
    Expression,
    Freshness,
    Level,
    Platforms,
    Policy,
    Proof,
    Remap,
    SignedIdentity,
)
from imagekit.policy.schema import policy_schema
from imagekit.signatures.authority import Identity, Need, Pattern
from imagekit.signatures.intoto import NEEDS, REBUILD, SELF_CONTAINED, TEST_RESULT
from imagekit.signatures.publickey import public_key_pem
from tests.support.fakes import MemorySigner

_KEYS = [MemorySigner().public_key for _ in range(2)]
_PEMS = [public_key_pem(key).decode() for key in _KEYS]
_ROOT = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
_DIGEST = f"sha256:{'a' * 64}"
_CI = {"issuer": "https://ci.site", "subject": "https://ci.site/apps/build.yml@refs/tags/v1"}
_KEYED = {"name": "admins", "key": {"data": _PEMS[0]}}
_KEYLESS = {"name": "ci", "keyless": {"identities": [_CI], "trustRoot": "site"}}


def _document(**rule: Any) -> dict[str, Any]:
    return {
        "apiVersion": "imagekit/v1",
        "kind": "ImagePolicy",
        "metadata": {"name": "site", "version": 7, "expires": "2027-06-30T00:00:00Z"},
        "images": [{"match": {"glob": "r.site/apps/**"}, "authorities": [_KEYED], **rule}],
    }


def _rooted(**rule: Any) -> dict[str, Any]:
    return {**_document(**rule), "trustRoots": {"site": {"path": "root.json"}}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the trusted root that policies of these tests name."""
    (tmp_path / "root.json").write_text(json.dumps(_ROOT))
    return tmp_path


def _parse(document: object, folder: Path | None = None) -> Policy:
    text = yaml.dump(json.loads(json.dumps(document)), sort_keys=False)
    return parse_policy(text.encode(), file="policy.yaml", folder=folder)


def _faults(document: object, folder: Path | None = None) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        _parse(document, folder)
    for each in caught.value.diagnostics:
        assert each.line, each
        assert each.source, each
        assert each.hint or each.code.removeprefix("policy/") in STRUCTURAL, each
    return [each.code.removeprefix("policy/") for each in caught.value.diagnostics]


def test_needs_are_an_attestation_by_the_rules_authorities() -> None:
    """The word asks for the statement, and for the comparison."""
    (rule,) = _parse(_document(needs="checked")).images

    (required,) = rule.attestations
    assert (required.type, required.authorities) == (NEEDS, rule.authorities)
    assert isinstance(required.condition, NeedsCondition)


@pytest.mark.parametrize("word", ["stated", "required", True])
def test_needs_are_checked_or_not_named(word: object) -> None:
    """There is one word."""
    assert len(_faults(_document(needs=word))) == 1


def test_what_may_say_no_always_has_its_condition() -> None:
    """A result of tests that failed, or a builder that agrees with itself, would do else."""
    wanted = [{"type": TEST_RESULT}, {"type": REBUILD}, {"type": SELF_CONTAINED}]
    (rule,) = _parse(_document(attestations=wanted)).images

    conditions = [attestation.condition for attestation in rule.attestations]
    assert conditions == [PassedTestsCondition(), RebuildCondition(), SelfContainedCondition()]


def test_keyless_authority(folder: Path) -> None:
    """Issuer and subject, exact or as a pattern, under a trusted root that is read at once."""
    pattern = {"issuerRegExp": r"https://ci\.site", "subjectRegExp": r"https://ci\.site/.*"}
    keyless = {"identities": [_CI, pattern], "trustRoot": "site"}
    document = _rooted(
        authorities=[{"name": "ci", "keyless": keyless, "timestamp": "required"}],
        attestations=[{"type": "cyclonedx"}, {"type": "vuln", "authorities": [_KEYLESS]}],
    )

    (rule,) = _parse(document, folder).images

    (authority,) = rule.authorities
    assert authority.key is None
    assert authority.identities == (
        Identity(issuer=Pattern(text=_CI["issuer"]), subject=Pattern(text=_CI["subject"])),
        Identity(
            issuer=Pattern(text=r"https://ci\.site", regexp=True),
            subject=Pattern(text=r"https://ci\.site/.*", regexp=True),
        ),
    )
    assert (authority.tlog, authority.timestamp) == (Need.REQUIRED, Need.REQUIRED)
    assert authority.trust_root is not None
    raw = (folder / "root.json").read_bytes()
    assert (authority.trust_root.name, authority.trust_root.raw) == ("site", raw)
    assert authority.trust_root.digest == Digest.of(raw)
    cyclonedx, vuln = rule.attestations
    assert cyclonedx.authorities == rule.authorities
    assert vuln.authorities[0].trust_root == authority.trust_root


def test_key_with_time_and_witnesses(folder: Path) -> None:
    """Keys rotate by overlapping windows; log and timestamp are verified by a trusted root."""
    key = {
        "data": _PEMS[0],
        "notBefore": "2026-01-01T00:00:00Z",
        "notAfter": "2027-01-01T00:00:00+01:00",
    }
    authority = {"name": "a", "key": key, "tlog": "required", "timestamp": "off"}

    (rule,) = _parse(_rooted(authorities=[{**authority, "trustRoot": "site"}]), folder).images

    (read,) = rule.authorities
    assert read.key == _KEYS[0]
    assert read.not_before == datetime(2026, 1, 1, tzinfo=UTC)
    assert read.not_after == datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert (read.tlog, read.timestamp) == (Need.REQUIRED, Need.OFF)
    assert read.trust_root is not None


def test_conditions_of_attestations() -> None:
    """Each type has its own conditions, and they reach the verifier as they were written."""
    document = _document(
        attestations=[
            {
                "type": "cyclonedx",
                "components": {"min": 3},
                "licenses": {"deny": ["AGPL-3.0-only"], "allow": ["MIT"]},
                "packages": {
                    "deny": [
                        "pkg:deb/debian/openssl@<3.0.15-1",
                        "pkg:pypi/requests@>=2.0|<2.32.4",
                        "pkg:npm/left-pad",
                        {"purl": "pkg:rpm/rocky/xz", "versions": "vers:rpm/>=5.6.0|<=5.6.1"},
                    ]
                },
            },
            {
                "type": "slsaprovenance1",
                "builderIds": ["https://ci.site/builder"],
                "buildTypes": ["https://ci.site/type"],
                "baseImages": ["r.site/base/**"],
            },
            {"type": "vuln", "maxSeverity": "high", "fixedOnly": True, "maxAge": "7d"},
            {
                "type": "vsa",
                "verifierIds": ["https://gate.site"],
                "policyDigests": [_DIGEST],
                "levels": ["SLSA_BUILD_LEVEL_2"],
                "maxAge": "12h",
            },
            {"type": "test-result", "tests": ["starts", "a b"], "maxAge": "90d"},
            {"type": "rebuild", "builderIds": ["urn:second"], "maxAge": "365d"},
            {"type": "selfcontained", "allowExcepted": ["IK301"], "maxAge": "30d"},
            {"type": "https://x.org/t"},
        ]
    )

    sbom, provenance, vuln, vsa, tests, rebuild, contained, other = (
        each.condition for each in _parse(document).images[0].attestations
    )

    assert sbom == SbomCondition(
        min_components=3,
        deny_licences=frozenset({"AGPL-3.0-only"}),
        allow_licences=frozenset({"MIT"}),
        deny_packages=(
            PackageRange(purl="pkg:deb/debian/openssl", versions="vers:deb/<3.0.15-1"),
            PackageRange(purl="pkg:pypi/requests", versions="vers:pypi/>=2.0|<2.32.4"),
            PackageRange(purl="pkg:npm/left-pad"),
            PackageRange(purl="pkg:rpm/rocky/xz", versions="vers:rpm/>=5.6.0|<=5.6.1"),
        ),
    )
    assert provenance == ProvenanceCondition(
        builder_ids=("https://ci.site/builder",),
        build_types=("https://ci.site/type",),
        base_images=("r.site/base/**",),
    )
    assert vuln == VulnerabilityCondition(
        max_severity=Severity.HIGH, fixed_only=True, max_age=timedelta(days=7)
    )
    assert tests == PassedTestsCondition(tests=("starts", "a b"), max_age=timedelta(days=90))
    assert rebuild == RebuildCondition(builder_ids=("urn:second",), max_age=timedelta(days=365))
    assert contained == SelfContainedCondition(
        allow_excepted=frozenset({"IK301"}), max_age=timedelta(days=30)
    )
    assert vsa == VsaCondition(
        verifier_ids=("https://gate.site",),
        policy_digests=(_DIGEST,),
        levels=("SLSA_BUILD_LEVEL_2",),
        max_age=timedelta(hours=12),
    )
    assert other is None


def test_demands_of_a_rule() -> None:
    """Freshness, platforms, expressions, mode, identity and proof are what the file says."""
    document = _document(
        mode="warn",
        warnUntil="2027-01-31T00:00:00Z",
        freshness={"maxAge": "180d", "monotonic": True, "remember": "required"},
        platforms={"verify": "all", "require": ["linux/amd64", "linux/arm64/v8"]},
        expressions=["config.config.User != ''", {"cel": "true", "message": "never"}],
        signedIdentity={"type": "remapIdentity", "prefix": "m.site/x", "signedPrefix": "r.site"},
        proof="vsa",
        vsa={"verifierIds": ["https://gate.site"]},
    )

    (rule,) = _parse(document).images

    assert rule.warn_until == datetime(2027, 1, 31, tzinfo=UTC)
    assert rule.freshness == Freshness(
        max_age=timedelta(days=180), monotonic=True, remember=Need.REQUIRED
    )
    assert rule.platforms == Platforms(verify=Level.ALL, require=("linux/amd64", "linux/arm64/v8"))
    assert rule.expressions == (
        Expression(cel="config.config.User != ''"),
        Expression(cel="true", message="never"),
    )
    assert rule.signed_identity is SignedIdentity.REMAP_IDENTITY
    assert rule.remap == Remap(prefix="m.site/x", signed_prefix="r.site")
    assert (rule.proof, rule.vsa) == (Proof.VSA, VsaCondition(verifier_ids=("https://gate.site",)))


def test_policy_wide_words() -> None:
    """Time of issue, denied identities and exceptions are what the file says."""
    document = _document()
    document["metadata"]["issued"] = "2026-06-30T00:00:00Z"
    document["deny"] = {"identities": [{"issuerRegExp": ".*", "subject": "mallory@site"}]}
    document["exceptions"] = [
        {
            "image": f"r.site/apps/old@{_DIGEST}",
            "reason": "ticket 7",
            "owner": "ops",
            "expires": "2026-12-31T00:00:00Z",
        }
    ]

    policy = _parse(document)

    assert policy.issued == datetime(2026, 6, 30, tzinfo=UTC)
    (denied,) = policy.deny.identities
    assert denied.issuer == Pattern(text=".*", regexp=True)
    (waiver,) = policy.exceptions
    assert (waiver.repository.name, str(waiver.digest)) == ("r.site/apps/old", _DIGEST)
    assert (waiver.reason, waiver.owner) == ("ticket 7", "ops")


def test_what_is_left_out_asks_for_nothing() -> None:
    """A policy without a line on freshness, platforms or time asks for none of them."""
    (rule,) = _parse(_document()).images

    assert rule.freshness == Freshness()
    assert rule.platforms == Platforms()
    assert rule.warn_until is None
    assert rule.proof is Proof.SIGNATURE
    assert rule.authorities[0].tlog is Need.OPTIONAL


def _keyless(**words: Any) -> dict[str, Any]:
    return {"authorities": [{"name": "ci", "keyless": {"trustRoot": "site", **words}}]}


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        (_keyless(identities=[{"subject": "a@b.c"}]), "one-key"),
        (_keyless(identities=[{"issuer": "https://a.b"}]), "one-key"),
        (_keyless(identities=[{**_CI, "issuerRegExp": "x"}]), "one-key"),
        (_keyless(identities=[{"issuerRegExp": ".*", "subject": "a"}]), "any-issuer"),
        (_keyless(identities=[{"issuerRegExp": ".+", "subject": "a"}]), "any-issuer"),
        (_keyless(identities=[{"issuerRegExp": "(a", "subject": "a"}]), "bad-pattern"),
        (_keyless(identities=[{"issuerRegExp": "a(?=b)", "subject": "a"}]), "bad-pattern"),
        (_keyless(identities=[{"issuer": "a", "subjectRegExp": "a" * 600}]), "bad-pattern"),
        (_keyless(identities=[{"issuer": "", "subject": "a"}]), "not-matching"),
        (_keyless(identities=[]), "out-of-range"),
        (_keyless(identities=[_CI, _CI]), "same-identity"),
        (_keyless(), "missing-key"),
        ({"authorities": [{**_KEYLESS, "tlog": "off"}]}, "contradiction"),
        ({"authorities": [{**_KEYLESS, "tlog": "optional"}]}, "contradiction"),
        ({"authorities": [{**_KEYLESS, "trustRoot": "site"}]}, "contradiction"),
        ({"authorities": [{**_KEYLESS, "key": {"data": _PEMS[0]}}]}, "one-key"),
        ({"authorities": [{"name": "a"}]}, "one-key"),
        ({"authorities": [{**_KEYED, "trustRoot": "sight"}]}, "unknown-trust-root"),
        ({"authorities": [{**_KEYED, "tlog": "required"}]}, "no-trust-root"),
        ({"authorities": [{**_KEYED, "timestamp": "required"}]}, "no-trust-root"),
        ({"authorities": [{**_KEYED, "tlog": "on"}]}, "not-matching"),
        (
            {
                "authorities": [
                    {
                        "name": "a",
                        "key": {
                            "data": _PEMS[0],
                            "notBefore": "2027-01-01T00:00:00Z",
                            "notAfter": "2026-01-01T00:00:00Z",
                        },
                    }
                ]
            },
            "window",
        ),
        ({"threshold": 2, "authorities": [_KEYLESS]}, "threshold"),
        ({"mode": "warn"}, "no-end"),
        ({"warnUntil": "2027-01-01T00:00:00Z"}, "contradiction"),
        ({"mode": "audit"}, "not-matching"),
        ({"signedIdentity": "remapIdentity"}, "not-matching"),
        ({"signedIdentity": {"type": "remapIdentity", "prefix": "a.b"}}, "remap"),
        ({"signedIdentity": {"type": "matchExact", "prefix": "a.b"}}, "remap"),
        (
            {
                "signedIdentity": {
                    "type": "remapIdentity",
                    "prefix": "a.b/",
                    "signedPrefix": "c.d",
                }
            },
            "not-matching",
        ),
        ({"proof": "vsa"}, "no-verifier"),
        ({"proof": "vsa", "vsa": {}}, "no-verifier"),
        ({"vsa": {"verifierIds": ["a:b"]}}, "contradiction"),
        ({"freshness": {}}, "contradiction"),
        ({"freshness": {"monotonic": False}}, "contradiction"),
        ({"freshness": {"maxAge": "1d", "remember": "required"}}, "contradiction"),
        ({"freshness": {"maxAge": "1 day"}}, "not-matching"),
        ({"freshness": {"maxAge": "0d"}}, "not-matching"),
        ({"freshness": {"maxAge": 180}}, "wrong-kind"),
        ({"platforms": {"require": []}}, "out-of-range"),
        ({"platforms": {"require": ["amd64"]}}, "not-matching"),
        ({"platforms": {"verify": "index"}}, "not-matching"),
        ({"expressions": []}, "out-of-range"),
        ({"expressions": [1]}, "wrong-kind"),
        ({"attestations": []}, "out-of-range"),
        ({"attestations": [{"type": "cyclonedx", "maxSeverity": "low"}]}, "not-for-type"),
        ({"attestations": [{"type": "vuln", "components": {"min": 1}}]}, "not-for-type"),
        ({"attestations": [{"type": "openvex", "maxAge": "1d"}]}, "not-for-type"),
        ({"attestations": [{"type": "vsa"}]}, "no-verifier"),
        ({"attestations": [{"type": "vuln", "tests": ["a"]}]}, "not-for-type"),
        ({"attestations": [{"type": "test-result", "tests": []}]}, "out-of-range"),
        ({"attestations": [{"type": "rebuild", "allowExcepted": []}]}, "not-for-type"),
        ({"attestations": [{"type": "selfcontained", "allowExcepted": ["x"]}]}, "not-matching"),
        ({"attestations": [{"type": "rebuild", "buildTypes": ["x:y"]}]}, "not-for-type"),
        ({"attestations": [{"type": "test-result", "levels": ["x:y"]}]}, "not-for-type"),
        ({"attestations": [{"type": "vuln", "fixedOnly": True}]}, "contradiction"),
        ({"attestations": [{"type": "vuln", "maxSeverity": "unknown"}]}, "not-matching"),
        ({"attestations": [{"type": "spdx"}, {"type": "spdxjson"}]}, "same-type"),
        ({"match": {"glob": "r.site/**", "exclude": []}}, "out-of-range"),
    ],
)
def test_contradictions(rule: dict[str, Any], fault: str, folder: Path) -> None:
    """What contradicts itself, or asks for nothing, does not load; place and remedy are said."""
    assert _faults(_rooted(**rule), folder) == [fault]


@pytest.mark.parametrize(
    ("condition", "fault"),
    [
        ({"components": {"min": 0}}, "out-of-range"),
        ({"components": {}}, "missing-key"),
        ({"licenses": {"deny": []}}, "out-of-range"),
        ({"licenses": {"deny": ["MIT OR GPL"]}}, "not-matching"),
        ({"licenses": {"deny": ["MIT"], "allow": ["MIT"]}}, "contradiction"),
        ({"packages": {"deny": []}}, "out-of-range"),
        ({"packages": {"deny": ["openssl"]}}, "not-matching"),
        ({"packages": {"deny": ["pkg:deb"]}}, "bad-package"),
        ({"packages": {"deny": ["pkg:deb/debian/x@<"]}}, "bad-package"),
        ({"packages": {"deny": ["pkg:pypi/x@<one two"]}}, "not-matching"),
        ({"packages": {"deny": ["pkg:pypi/x@<a.b"]}}, "bad-package"),
        ({"packages": {"deny": ["pkg:deb/debian/x?arch=all"]}}, "bad-package"),
        ({"packages": {"deny": ["pkg:nosuchtype/x@<1"]}}, "bad-package"),
        ({"packages": {"deny": [{"purl": "pkg:deb/debian/x@1"}]}}, "bad-package"),
        (
            {"packages": {"deny": [{"purl": "pkg:deb/debian/x", "versions": "<1"}]}},
            "not-matching",
        ),
        (
            {"packages": {"deny": [{"purl": "pkg:deb/debian/x", "versions": "vers:deb/<"}]}},
            "bad-range",
        ),
        (
            {"packages": {"deny": [{"purl": "pkg:deb/debian/x", "versions": "vers:rpm/<1"}]}},
            "bad-range",
        ),
    ],
)
def test_bad_conditions(condition: dict[str, Any], fault: str) -> None:
    """A condition that could not be judged is found when the policy is read, not at a pull."""
    assert _faults(_document(attestations=[{"type": "cyclonedx", **condition}])) == [fault]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"image": f"r.site/apps/old:1@{_DIGEST}"}, "bad-image"),
        ({"image": "r.site/apps/old:1"}, "bad-image"),
        ({"image": "old"}, "bad-image"),
        ({"image": f"oci:folder:old@{_DIGEST}"}, "bad-image"),
        ({"reason": ""}, "not-matching"),
        ({"owner": None}, "wrong-kind"),
        ({"expires": "never"}, "not-matching"),
    ],
)
def test_bad_exceptions(change: dict[str, Any], fault: str) -> None:
    """An exception names one image by digest, and says why, who and until when."""
    waiver = {
        "image": f"r.site/apps/old@{_DIGEST}",
        "reason": "ticket 7",
        "owner": "ops",
        "expires": "2026-12-31T00:00:00Z",
    }

    assert _faults({**_document(), "exceptions": [{**waiver, **change}]}) == [fault]


@pytest.mark.parametrize("missing", ["image", "reason", "owner", "expires"])
def test_exceptions_are_whole(missing: str) -> None:
    """None of an exception's words can be left out."""
    waiver = {
        "image": f"r.site/apps/old@{_DIGEST}",
        "reason": "ticket 7",
        "owner": "ops",
        "expires": "2026-12-31T00:00:00Z",
    }
    del waiver[missing]

    assert _faults({**_document(), "exceptions": [waiver]}) == ["missing-key"]


def test_two_exceptions_for_one_image() -> None:
    """Of two exceptions for one image nobody could say which holds."""
    waiver = {
        "image": f"r.site/apps/old@{_DIGEST}",
        "reason": "ticket 7",
        "owner": "ops",
        "expires": "2026-12-31T00:00:00Z",
    }

    assert _faults({**_document(), "exceptions": [waiver, dict(waiver)]}) == ["same-image"]


@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        ({"issued": "2027-06-30T00:00:00Z"}, "window"),
        ({"issued": "2026-06-30"}, "not-matching"),
        ({"expires": "0001-01-01T00:00:00+14:00"}, "not-matching"),
    ],
)
def test_bad_lifetime(metadata: dict[str, Any], fault: str) -> None:
    """A policy is issued before it expires, at times that every clock can tell."""
    document = _document()
    document["metadata"].update(metadata)

    assert _faults(document) == [fault]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "not JSON"),
        (b"[]", "object"),
        (b"{}", "mediaType"),
        (b'{"mediaType": 1}', "mediaType"),
        (b'{"mediaType": "a", "mediatype": "b"}', "differently"),
        (b" " * ((4 << 20) + 1), "more than"),
    ],
)
def test_bad_trust_root(folder: Path, content: bytes, word: str) -> None:
    """A trusted root that is none is found when the policy is read; others are not blamed."""
    (folder / "root.json").write_bytes(content)

    with pytest.raises(PolicyError) as caught:
        _parse(_rooted(authorities=[_KEYLESS]), folder)

    (fault,) = caught.value.diagnostics
    assert fault.code == "policy/bad-trust-root"
    assert word in fault.message


def test_trust_root_that_is_not_there(tmp_path: Path) -> None:
    """Where the file was looked for is said."""
    with pytest.raises(PolicyError) as caught:
        _parse(_rooted(authorities=[_KEYLESS]), tmp_path)

    assert str(tmp_path / "root.json") in caught.value.diagnostics[0].hint


def test_name_of_a_trust_root_with_a_slip(folder: Path) -> None:
    """A name that is nearly right is suggested, at the place where it stands."""
    authority = {"name": "ci", "keyless": {"identities": [_CI], "trustRoot": "sit"}}

    with pytest.raises(PolicyError) as caught:
        _parse(_rooted(authorities=[authority]), folder)

    (fault,) = caught.value.diagnostics
    assert fault.hint == "did you mean `site`?"
    assert fault.source[fault.column - 1 :].startswith("sit")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Only regular files are read: a pipe that nobody writes to would block the verifier."""
    os.mkfifo(tmp_path / "root.json")

    assert _faults(_rooted(authorities=[_KEYLESS]), tmp_path) == ["bad-trust-root"]


def test_whole_policy_by_the_schema(folder: Path) -> None:
    """The JSON Schema takes what the parser takes."""
    document = _rooted(
        authorities=[_KEYLESS, _KEYED], threshold=2, freshness={"maxAge": "1d"}, mode="enforce"
    )
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(document))

    jsonschema.Draft202012Validator(policy_schema()).validate(document)
    assert load_policy(file).images[0].threshold == 2
