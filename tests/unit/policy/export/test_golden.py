"""One policy with nearly everything, in every format, byte by byte."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.oci.digest import Digest
from imagekit.oci.reference import Repository
from imagekit.policy.condition import (
    PackageRange,
    ProvenanceCondition,
    SbomCondition,
    Severity,
    VsaCondition,
    VulnerabilityCondition,
)
from imagekit.policy.ruleset import (
    Deny,
    Expression,
    Freshness,
    Level,
    Platforms,
    Policy,
    PolicyException,
    Proof,
    Remap,
    RequiredAttestation,
    SignedIdentity,
)
from imagekit.signatures.authority import Authority, Need
from imagekit.signatures.intoto import full_type
from tests.unit.policy.export.kit import (
    CI,
    EARLIER,
    KEYS,
    LATER,
    PERSON,
    ROOT,
    SOMEBODY,
    A,
    B,
    C,
    export,
    policy,
    rule,
)

FOLDER = Path(__file__).parent / "golden"
REWRITE = "IMAGEKIT_REWRITE_GOLDEN"
FORMATS = {
    "containers-policy": "podman",
    "containers-policy:4.3": "podman-4.3",
    "docs": "page",
}


def _attestation(kind: str, *authorities: Authority, **changes: object) -> RequiredAttestation:
    made = RequiredAttestation(type=kind, predicate_type=full_type(kind), authorities=authorities)
    return replace(made, **changes)


def everything() -> Policy:
    """Return a policy that demands nearly everything there is."""
    stamped = replace(C, name="C", timestamp=Need.REQUIRED, tlog=Need.REQUIRED, trust_root=ROOT)
    apps = rule(
        glob="r.site/apps/**",
        exclude=("r.site/apps/scratch/**", "r.site/apps/*/old"),
        authorities=(A, replace(B, not_after=LATER), stamped),
        threshold=2,
        signed_identity=SignedIdentity.MATCH_REPO_DIGEST_OR_EXACT,
        attestations=(
            _attestation(
                "cyclonedx",
                A,
                condition=SbomCondition(
                    min_components=1,
                    deny_licences=frozenset({"AGPL-3.0-only", "SSPL-1.0"}),
                    deny_packages=(PackageRange(purl="pkg:deb/x", versions="vers:deb/<3"),),
                ),
            ),
            _attestation(
                "slsaprovenance1",
                CI,
                condition=ProvenanceCondition(
                    builder_ids=("https://ci.example",), base_images=("r.site/base/*",)
                ),
            ),
            _attestation(
                "vuln",
                A,
                PERSON,
                condition=VulnerabilityCondition(
                    max_severity=Severity.HIGH, fixed_only=True, max_age=timedelta(days=7)
                ),
            ),
        ),
        freshness=Freshness(max_age=timedelta(days=180), monotonic=True, remember=Need.REQUIRED),
        platforms=Platforms(verify=Level.ALL, require=("linux/amd64", "linux/arm64")),
        expressions=(Expression(cel="config.config.User != ''", message="not as root"),),
    )
    people = rule(
        glob="r.site/people/*",
        authorities=(PERSON, CI),
        signed_identity=SignedIdentity.MATCH_REPOSITORY,
        warn_until=LATER,
    )
    mirror = rule(
        glob="mirror.site/**",
        authorities=(C,),
        signed_identity=SignedIdentity.REMAP_IDENTITY,
        remap=Remap(prefix="mirror.site", signed_prefix="up.example/a"),
    )
    judged = rule(
        glob="*.judged.site/**",
        proof=Proof.VSA,
        vsa=VsaCondition(verifier_ids=("https://v.site",), max_age=timedelta(hours=1)),
    )
    return policy(
        *(apps, people, mirror, judged),
        issued=EARLIER,
        deny=Deny(
            digests=frozenset({Digest.of(b"denied")}),
            keys=frozenset({KEYS[0].fingerprint.replace("9", "0")}),
            identities=(replace(SOMEBODY, subject=replace(SOMEBODY.subject, text="m@x")),),
        ),
        exceptions=(
            PolicyException(
                repository=Repository.parse("r.site/apps/x"),
                digest=Digest.of(b"waived"),
                reason="a | b",
                owner="ops@site",
                expires=LATER,
            ),
        ),
    )


@pytest.mark.parametrize("target", FORMATS)
def test_golden(target: str) -> None:
    """One known policy gives exactly these bytes; IMAGEKIT_REWRITE_GOLDEN=1 rewrites them."""
    found = export(everything(), target)
    losses = "\n".join(
        f"{each.effect} {each.code} {each.rule or '-'} {each.message}" for each in found.losses
    )
    files = {each.name: each.text for each in found.documents} | {"losses.txt": f"{losses}\n"}
    folder = FOLDER / FORMATS[target]
    if os.environ.get(REWRITE):
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")

    assert {name: (folder / name).read_text(encoding="utf-8") for name in files} == files


@pytest.mark.parametrize("target", FORMATS)
def test_the_order_of_sets_is_no_matter(target: str) -> None:
    """The same policy is the same text, so that a changed file means a changed policy."""
    digests = [Digest.of(bytes([number])) for number in range(8)]
    one, other = (
        replace(everything(), deny=Deny(digests=frozenset(each)))
        for each in (digests, digests[::-1])
    )

    assert export(one, target).documents == export(other, target).documents
