"""Each demand that a target cannot make is a loss of its own, and nothing else is."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from imagekit.errors import PolicyError, UsageError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Repository
from imagekit.policy.condition import SbomCondition, VsaCondition
from imagekit.policy.export import CODES, Effect, export_policy
from imagekit.policy.ruleset import (
    Deny,
    Expression,
    Freshness,
    Level,
    Platforms,
    Policy,
    PolicyException,
    Proof,
    RequiredAttestation,
    SignedIdentity,
)
from imagekit.signatures.authority import Identity, Need, Pattern
from tests.unit.policy.export.kit import (
    CI,
    EARLIER,
    LATER,
    NOW,
    PERSON,
    ROOT,
    SOMEBODY,
    A,
    B,
    C,
    codes,
    export,
    policy,
    rule,
    trust_root,
)

POLICY, DOCS = "containers-policy", "docs"
ALWAYS = {POLICY: {"expiry"}, DOCS: set[str]()}
"""What a policy that demands nothing but a signature loses: only people know a time."""
SBOM = RequiredAttestation(
    type="cyclonedx", predicate_type="https://cyclonedx.org/bom", authorities=(A,)
)
WITH_CONDITION = replace(SBOM, condition=SbomCondition(min_components=1))
ANYBODY = Identity(
    issuer=Pattern(text="https://ci.example"), subject=Pattern(text=".*", regexp=True)
)
OTHERS = replace(PERSON, name="others", identities=(ANYBODY,))
STAMPED = replace(A, timestamp=Need.REQUIRED, trust_root=ROOT)
LOGGED = replace(A, tlog=Need.REQUIRED, trust_root=ROOT)
TIES = (rule(glob="r.site/a/*"), rule(glob="r.site/a/**"))

DEMANDS: dict[str, tuple[Policy, dict[str, set[str]]]] = {
    "nothing more": (policy(), {}),
    "issued": (policy(issued=EARLIER), {POLICY: {"issued"}}),
    "name": (
        policy(rule(signed_identity=SignedIdentity.MATCH_REPO_DIGEST_OR_EXACT)),
        {},
    ),
    "denied digest": (
        policy(deny=Deny(digests=frozenset({Digest.of(b"x")}))),
        {POLICY: {"deny-digests"}},
    ),
    "denied key": (
        policy(rule(authorities=(A, B)), deny=Deny(keys=frozenset({A.key.fingerprint}))),  # type: ignore[union-attr]  # it has one
        {},
    ),
    "denied identity": (
        policy(
            rule(authorities=(A, CI)),
            deny=Deny(identities=(SOMEBODY,)),
        ),
        {POLICY: {"deny-identities"}},
    ),
    "age": (
        policy(rule(freshness=Freshness(max_age=timedelta(days=1)))),
        {POLICY: {"max-age"}},
    ),
    "order": (
        policy(rule(freshness=Freshness(monotonic=True))),
        {POLICY: {"monotonic"}},
    ),
    "platforms": (
        policy(rule(platforms=Platforms(require=("linux/arm64",)))),
        {POLICY: {"platforms"}},
    ),
    "all levels": (
        policy(rule(platforms=Platforms(verify=Level.ALL))),
        {POLICY: {"platforms-verify"}},
    ),
    "manifests": (
        policy(rule(platforms=Platforms(verify=Level.MANIFESTS))),
        {},
    ),
    "expression": (
        policy(rule(expressions=(Expression(cel="true"),))),
        {POLICY: {"expressions"}},
    ),
    "attestation": (policy(rule(attestations=(SBOM,))), {POLICY: {"attestations"}}),
    "condition": (
        policy(rule(attestations=(WITH_CONDITION,))),
        {POLICY: {"attestations"}},
    ),
    "summary": (
        policy(rule(proof=Proof.VSA, vsa=VsaCondition(verifier_ids=("https://v",)))),
        {},
    ),
    "timestamp": (
        policy(rule(authorities=(STAMPED,))),
        {POLICY: {"timestamp"}},
    ),
    "log": (policy(rule(authorities=(LOGGED,))), {}),
    "end of a key": (
        policy(rule(authorities=(replace(A, not_after=LATER),))),
        {POLICY: {"key-window"}},
    ),
    "begin of a key whose times are known": (
        policy(rule(authorities=(replace(A, not_before=EARLIER, trust_root=ROOT),))),
        {POLICY: {"key-window"}},
    ),
    "begin of a key": (policy(rule(authorities=(replace(A, not_before=EARLIER),))), {}),
    "warning": (policy(rule(warn_until=LATER)), {}),
    "warning that has ended": (policy(rule(warn_until=EARLIER)), {}),
    "person": (policy(rule(authorities=(PERSON,))), {POLICY: {"sct"}}),
    "two patterns": (
        policy(rule(authorities=(OTHERS, CI), threshold=2)),
        {},
    ),
    "subtree": (policy(rule(glob="r.site/apps/**")), {POLICY: {"scope"}}),
    "repository": (policy(rule(glob="r.site/apps/x")), {POLICY: {"scope"}}),
    "level": (policy(rule(glob="r.site/apps/*")), {POLICY: {"scope"}}),
    "subdomains": (policy(rule(glob="*.site/**")), {POLICY: {"scope"}}),
    "repository and what is below": (
        policy(rule(glob="r.site/apps"), rule(glob="r.site/apps/**")),
        {},
    ),
    "star inside": (policy(rule(glob="r.site/*/x")), {POLICY: {"glob"}}),
    "stars that touch": (policy(rule(glob="r.site/a*b*")), {POLICY: {"glob"}}),
    "address": (policy(rule(glob="[::1]:5000/**")), {}),
    "tie": (policy(*TIES), {POLICY: {"ambiguous", "scope"}}),
    "exclusion": (policy(rule(exclude=("r.site/old/**",))), {}),
    "exclusion inside": (policy(rule(exclude=("r.site/*/old",))), {POLICY: {"exclude"}}),
    "exclusion that nobody can say": (
        policy(rule(exclude=("r.site/a*b*",))),
        {POLICY: {"exclude"}},
    ),
    "threshold": (policy(rule(authorities=(A, B, C), threshold=2)), {}),
    "everybody": (policy(rule(glob="**")), {}),
}


@pytest.mark.parametrize("target", ALWAYS)
@pytest.mark.parametrize("demand", DEMANDS)
def test_demand_is_said_or_lost(demand: str, target: str) -> None:
    """Exactly the codes that the demand costs want permission, beside what is always lost."""
    made, lost = DEMANDS[demand]
    found = codes(export(made, target))

    assert found == ALWAYS[target] | lost.get(target, set())
    assert found <= CODES


def test_every_code_is_tested() -> None:
    """A loss that no demand above causes has no test."""
    seen = {code for _, lost in DEMANDS.values() for each in lost.values() for code in each}

    assert seen | {"expiry"} == CODES


WAIVER = PolicyException(
    repository=Repository.parse("r.site/x"),
    digest=Digest.of(b"x"),
    reason="x",
    owner="y",
    expires=LATER,
)
STRICTER: dict[str, tuple[Policy, str, str]] = {
    "exception": (policy(exceptions=(WAIVER,)), POLICY, "exceptions"),
    "summaries": (policy(rule(proof=Proof.VSA)), POLICY, "vsa"),
    "attested only": (
        policy(rule(proof=Proof.ATTESTATIONS, attestations=(SBOM,))),
        POLICY,
        "attested-only",
    ),
    "warning": (policy(rule(warn_until=LATER)), POLICY, "warn-until"),
    "any name": (policy(), POLICY, "signed-identity"),
    "ended key": (policy(rule(authorities=(A, replace(B, not_after=NOW)))), POLICY, "key-window"),
    "key of the future": (
        policy(rule(authorities=(A, replace(B, not_before=LATER)))),
        POLICY,
        "key-window",
    ),
    "one of two keys, old": (policy(rule(authorities=(A, B))), f"{POLICY}:5.2", "threshold"),
    "key or person": (policy(rule(authorities=(A, PERSON))), POLICY, "threshold"),
    "workflow": (policy(rule(authorities=(A, CI))), POLICY, "authorities"),
    "person, old": (policy(rule(authorities=(A, PERSON))), f"{POLICY}:4.3", "authorities"),
    "log, old": (policy(rule(authorities=(B, LOGGED))), f"{POLICY}:4.3", "authorities"),
    "log with another key": (
        policy(rule(authorities=(B, replace(LOGGED, trust_root=trust_root(tlogs=[]))))),
        POLICY,
        "authorities",
    ),
    "too few left": (policy(rule(authorities=(CI,))), POLICY, "threshold"),
    "one scope": (
        policy(rule(glob="r.site/a"), rule(glob="r.site/a/**", authorities=(B,))),
        POLICY,
        "overlap",
    ),
    "exclusion with its repository": (
        policy(rule(exclude=("r.site/old/**",))),
        POLICY,
        "scope",
    ),
    "exclusion that falls to another": (
        policy(rule(glob="**"), rule(exclude=("r.site/old/**",))),
        POLICY,
        "exclude",
    ),
}


@pytest.mark.parametrize("name", STRICTER)
def test_what_is_stricter_is_a_note(name: str) -> None:
    """Nobody is asked for permission to refuse more, but it is said."""
    made, target, code = STRICTER[name]

    assert code in codes(export(made, target), Effect.STRICTER)


def test_a_threshold_of_many_becomes_all() -> None:
    """Ten of twenty keys would be 167,960 lists."""
    many = tuple(replace(A, name=f"a{number}") for number in range(20))

    assert "threshold" in codes(
        export(policy(rule(authorities=many, threshold=10))), Effect.STRICTER
    )


@pytest.mark.parametrize("target", ALWAYS)
@pytest.mark.parametrize(
    ("changes", "code"),
    [({"expires": NOW}, "export/expired"), ({"issued": LATER}, "export/not-issued")],
)
def test_a_policy_that_is_not_in_force(target: str, changes: dict[str, object], code: str) -> None:
    """It allows nothing, and no target would be told so; a page tells people."""
    made = policy(**changes)
    if target == DOCS:
        assert "expired" in export(made, DOCS).documents[0].text or code == "export/not-issued"
        return
    with pytest.raises(PolicyError) as caught:
        export(made, target)

    assert caught.value.code == code


@pytest.mark.parametrize(
    "target",
    [
        "",
        "podman",
        "containers-policy:",
        "containers-policy:5",
        "containers-policy:5.x",
        "containers-policy:4.1",
        "containers-policy:5.4.2.1",
        "containers-policy:99999.1",
        "kyverno",
        "cluster-image-policy",
        "docs:1",
    ],
)
def test_no_such_format(target: str) -> None:
    """A word that is not a format, or a version that there is none of."""
    with pytest.raises(UsageError):
        export_policy(policy(), target, now=NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"tlogs": "x"},
        {"tlogs": [{"publicKey": {"rawBytes": "?"}}]},
        {"certificateAuthorities": [{}]},
        {"certificateAuthorities": [{"certChain": {"certificates": ["x"]}}]},
        {"tlogs": [{}] * 65},
    ],
)
def test_a_broken_trusted_root(changes: dict[str, object]) -> None:
    """It is said that it is broken, and nothing half is written."""
    person = replace(PERSON, trust_root=trust_root(**changes))
    with pytest.raises(PolicyError) as caught:
        export(policy(rule(authorities=(person,))))

    assert caught.value.code == "export/bad-trust-root"
