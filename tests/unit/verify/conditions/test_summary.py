"""Conditions of a verification summary: whose, of what, by which policy, how old."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import DocumentError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.policy.condition import VsaCondition
from imagekit.policy.now import Now
from imagekit.policy.ruleset import ImageRule, Remap, SignedIdentity
from imagekit.signatures.vsa import ResourceDescriptor, Summary, parse_summary, summary_predicate
from imagekit.verify.conditions.summary import check_summary

_NOW = datetime(2026, 11, 23, tzinfo=UTC)
_POLICY = Digest.of(b"policy")
_VERIFIER = "https://gate.site"
_IMAGE = PinnedReference(Repository.parse("r.site/apps/demo"), Digest.of(b"image"), tag="1")
_CONDITION = VsaCondition(verifier_ids=("https://other.site", _VERIFIER))
_RULE = ImageRule(glob="r.site/**", authorities=())


def _summary(**changes: Any) -> dict[str, Any]:
    return {
        "verifier": {"id": _VERIFIER, "version": {"imagekit": "1"}},
        "timeVerified": "2026-11-22T12:00:00Z",
        "resourceUri": "r.site/apps/demo:1",
        "policy": {"uri": "policy.yaml", "digest": {"sha256": _POLICY.hex}},
        "inputAttestations": [{"digest": {"sha256": "a" * 64}}],
        "verificationResult": "PASSED",
        "verifiedLevels": ["SLSA_BUILD_LEVEL_2"],
        "slsaVersion": "1.1",
        **changes,
    }


def _code(
    predicate: dict[str, Any],
    condition: VsaCondition = _CONDITION,
    *,
    image: PinnedReference = _IMAGE,
    rule: ImageRule = _RULE,
) -> str:
    found = check_summary(predicate, condition, image=image, rule=rule, now=Now(_NOW))
    return found.code if found else ""


def test_a_good_summary_is_relied_on() -> None:
    """With everything that a policy can ask for."""
    condition = VsaCondition(
        verifier_ids=(_VERIFIER,),
        policy_digests=(str(_POLICY),),
        levels=("SLSA_BUILD_LEVEL_2",),
        max_age=timedelta(hours=12),
    )

    assert _code(_summary(), condition) == ""


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"verifier": {"id": "https://gate.site.evil"}}, "VERIFIER_NOT_ALLOWED"),
        ({"resourceUri": "r.site/apps/other:1"}, "REFERENCE_MISMATCH"),
        ({"resourceUri": "r.site/apps/demo:2"}, "REFERENCE_MISMATCH"),
        ({"resourceUri": "r.site/apps/demo"}, "REFERENCE_MISMATCH"),
        ({"resourceUri": "https://r.site/apps/demo:1"}, "REFERENCE_MISMATCH"),
        ({"resourceUri": "oci://R.site/Apps"}, "REFERENCE_MISMATCH"),
        ({"verificationResult": "FAILED"}, "VERIFICATION_FAILED"),
        ({"policy": {"digest": {"sha256": "b" * 64}}}, "WRONG_POLICY"),
        ({"policy": {"uri": "policy.yaml"}}, "WRONG_POLICY"),
        ({"verifiedLevels": []}, "LEVEL_MISSING"),
        ({"timeVerified": "2026-11-22T11:59:59Z"}, "STALE_ATTESTATION"),
        ({"timeVerified": None}, "STALE_ATTESTATION"),
        ({"timeVerified": "2026-11-23T01:00:00Z"}, "CLOCK"),
    ],
)
def test_refusals(changes: dict[str, Any], code: str) -> None:
    """Each by a summary that is wrong in this one thing."""
    condition = VsaCondition(
        verifier_ids=(_VERIFIER,),
        policy_digests=(str(_POLICY),),
        levels=("SLSA_BUILD_LEVEL_2",),
        max_age=timedelta(hours=12),
    )

    assert _code(_summary(**changes), condition) == code


@pytest.mark.parametrize(
    "resource",
    [
        "oci://r.site/apps/demo:1",
        "docker://r.site/apps/demo:1",
        "pkg:docker/r.site/apps/demo@1",
        "pkg:oci/demo@1?repository_url=r.site/apps/demo",
    ],
)
def test_other_ways_to_write_the_resource(resource: str) -> None:
    """SLSA asks for a URI, and verifiers write images in several."""
    assert _code(_summary(resourceUri=resource)) == ""


def test_the_name_is_bound_as_that_of_a_signature() -> None:
    """By digest the repository counts; a mirror's prefix is translated."""
    by_digest = PinnedReference(_IMAGE.repository, _IMAGE.digest)
    mirrored = PinnedReference(Repository.parse("mirror.site/apps/demo"), _IMAGE.digest, tag="1")
    remap = ImageRule(
        glob="**",
        authorities=(),
        signed_identity=SignedIdentity.REMAP_IDENTITY,
        remap=Remap(prefix="mirror.site", signed_prefix="r.site"),
    )

    assert _code(_summary(), image=by_digest) == ""
    assert _code(_summary(), image=mirrored) == "REFERENCE_MISMATCH"
    assert _code(_summary(), image=mirrored, rule=remap) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"verifier": None},
        {"verifier": {"id": ""}},
        {"verifier": {"id": 5}},
        {"verifier": {"id": _VERIFIER, "version": {"a": 5}}},
        {"resourceUri": None},
        {"resourceUri": "x" * 5000},
        {"verificationResult": "passed"},
        {"verificationResult": None},
        {"policy": None},
        {"policy": {"digest": {"sha256": "short"}}},
        {"verifiedLevels": None},
        {"verifiedLevels": "SLSA_BUILD_LEVEL_2"},
        {"verifiedLevels": [5]},
        {"verifiedLevels": ["x"] * 101},
        {"inputAttestations": {}},
        {"inputAttestations": [5]},
        {"timeVerified": "2026-11-22T12:00:00"},
        {"timeVerified": "now"},
        {"timeVerified": 5},
    ],
)
def test_malformed_summaries_are_refused(changes: dict[str, Any]) -> None:
    """What is no summary is not relied on."""
    with pytest.raises(DocumentError) as caught:
        _code(_summary(**changes))
    assert caught.value.code == "BAD_VSA"


_TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
_DESCRIPTORS = st.builds(
    ResourceDescriptor, uri=_TEXTS | st.just(""), digest=st.binary().map(Digest.of) | st.none()
)
_SUMMARIES = st.builds(
    Summary,
    verifier=_TEXTS,
    resource=_TEXTS,
    policy=_DESCRIPTORS,
    result=st.sampled_from(("PASSED", "FAILED")),
    levels=st.lists(_TEXTS, max_size=3).map(tuple),
    time=st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1)).map(  # noqa: DTZ001
        lambda time: time.replace(microsecond=0, tzinfo=UTC)
    )
    | st.none(),
    versions=st.dictionaries(_TEXTS, _TEXTS, max_size=3).map(
        lambda found: tuple(sorted(found.items()))
    ),
    inputs=st.lists(_DESCRIPTORS, max_size=3).map(tuple),
)


@given(_SUMMARIES)
def test_what_was_written_reads_as_it_was(summary: Summary) -> None:
    """The format loses nothing."""
    assert parse_summary(summary_predicate(summary)) == summary


_STRICTER: list[Callable[[VsaCondition], VsaCondition]] = [
    lambda one: VsaCondition(verifier_ids=one.verifier_ids[:1], levels=one.levels),
    lambda one: VsaCondition(verifier_ids=one.verifier_ids, levels=(*one.levels, "x")),
    lambda one: VsaCondition(
        verifier_ids=one.verifier_ids, levels=one.levels, max_age=timedelta(1)
    ),
    lambda one: VsaCondition(
        verifier_ids=one.verifier_ids, levels=one.levels, policy_digests=(str(_POLICY),)
    ),
]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "verifiedLevels": st.lists(st.sampled_from(("x", "y"))),
            "timeVerified": st.sampled_from(("2026-11-22T12:00:00Z", "2025-11-22T12:00:00Z", None)),
            "policy": st.sampled_from(({"uri": "x"}, {"digest": {"sha256": _POLICY.hex}})),
            "verifier": st.sampled_from(({"id": _VERIFIER}, {"id": "https://other.site"})),
        },
    ),
    st.sampled_from(((), ("y",))),
    st.sampled_from(_STRICTER),
)
def test_a_demand_more_never_relies_on_more(
    changes: dict[str, Any],
    levels: tuple[str, ...],
    stricter: Callable[[VsaCondition], VsaCondition],
) -> None:
    """What a stricter condition accepts, the looser one does, too."""
    condition = VsaCondition(verifier_ids=_CONDITION.verifier_ids, levels=levels)
    if not _code(_summary(**changes), stricter(condition)):
        assert not _code(_summary(**changes), condition)
