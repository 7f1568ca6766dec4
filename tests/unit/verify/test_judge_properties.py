"""Policies are monotonic: what is added to one refuses more, and what is proven allows more.

Signatures, attestations and policies are drawn at random and judged whole, with real keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from imagekit.oci.digest import Digest
from imagekit.oci.reference import Reference
from imagekit.policy.condition import Condition, PackageRange, SbomCondition
from imagekit.policy.ruleset import (
    Deny,
    Expression,
    Freshness,
    ImageRule,
    OpenedPolicy,
    Platforms,
    PolicyException,
    RequiredAttestation,
    SignedIdentity,
)
from imagekit.signatures.authority import Authority, Identity, Need, Pattern
from imagekit.signatures.intoto import COSIGN_SIGN, CYCLONEDX, SLSA_PROVENANCE
from imagekit.signatures.release import (
    RELEASE,
    WITHDRAWAL,
    Release,
    Withdrawal,
    release_predicate,
    withdrawal_predicate,
)
from tests.support.fakes import MemorySigner
from tests.support.signed import NOW, PROVENANCE, SBOM, World

_SIGNERS = tuple(MemorySigner() for _ in range(4))
_STRANGER = 3
"""No policy lists the last signer."""
_LEGACY = "legacy"
_OTHER = Digest.of(b"another image")
_NAMES = ("r.site/apps/demo:1", "r.site/apps/demo:2", "r.site/apps/demo", "r.site/apps/evil:1", "")
_ANYBODY = Identity(issuer=Pattern(text=".*", regexp=True), subject=Pattern(text=".*", regexp=True))


@dataclass(frozen=True)
class Item:
    """One thing that somebody attached to the image."""

    kind: str
    signer: int
    name: str = _NAMES[0]
    other: bool = False
    """Whether it is about another image."""
    full: bool = True
    """Whether the predicate holds what its type promises."""

    def put(self, world: World) -> None:
        """Attach it."""
        signer, digest = _SIGNERS[self.signer], _OTHER if self.other else world.image.digest
        if self.kind == _LEGACY:
            world.sign_legacy(signer, identity=self.name or "x", digest=digest)
        else:
            predicate = _PREDICATES[self.kind] if self.full else {}
            world.attach(self.kind, predicate, signer=signer, name=self.name, digest=digest)


_PREDICATES: Mapping[str, Mapping[str, object]] = {
    COSIGN_SIGN: {},
    CYCLONEDX: {**SBOM, "components": [{"name": "openssl", "version": "3.0.14-1"}]},
    SLSA_PROVENANCE: PROVENANCE,
    RELEASE: release_predicate(
        Release(repository="r.site/apps/demo", sequence=3, tags=("1",), time=NOW)
    ),
    WITHDRAWAL: withdrawal_predicate(Withdrawal(reason="broken", time=NOW)),
}
_PROOFS = (COSIGN_SIGN, _LEGACY, CYCLONEDX, SLSA_PROVENANCE, RELEASE)
_SBOM_CONDITIONS = (
    SbomCondition(min_components=1),
    SbomCondition(min_components=2),
    SbomCondition(deny_packages=(PackageRange(purl="pkg:deb/debian/openssl"),)),
    SbomCondition(deny_packages=(PackageRange(purl="pkg:deb/debian/zlib"),)),
    SbomCondition(allow_licences=frozenset({"MIT"})),
)


def _items(*kinds: str, signers: range = range(4)) -> st.SearchStrategy[Item]:
    # Most are what they should be, so that many images are allowed.
    return st.builds(
        Item,
        kind=st.sampled_from(kinds),
        signer=st.sampled_from(signers),
        name=st.sampled_from((*_NAMES[:1] * 6, *_NAMES)),
        other=st.sampled_from((False,) * 6 + (True,)),
        full=st.sampled_from((True,) * 6 + (False,)),
    )


_SETS = st.lists(_items(*_PROOFS), max_size=7).map(
    # The .sig tag has room for one image only.
    lambda items: [
        one
        for number, one in enumerate(items)
        if one.kind != _LEGACY or not any(each.kind == _LEGACY for each in items[:number])
    ]
)
_SOME_SIGNERS = st.lists(st.sampled_from(range(3)), min_size=1, unique=True)


def _authorities(numbers: list[int]) -> tuple[Authority, ...]:
    return tuple(
        Authority(name=f"signer-{number}", key=_SIGNERS[number].public_key) for number in numbers
    )


def _attestation(predicate_type: str, numbers: list[int]) -> RequiredAttestation:
    return RequiredAttestation(
        type=predicate_type, predicate_type=predicate_type, authorities=_authorities(numbers)
    )


_ATTESTATIONS = st.builds(
    _attestation, st.sampled_from((CYCLONEDX, SLSA_PROVENANCE)), _SOME_SIGNERS
)
_RULES = st.builds(
    ImageRule,
    glob=st.just("r.site/apps/**"),
    authorities=_SOME_SIGNERS.map(_authorities),
    threshold=st.sampled_from((1, 1, 2, 3)),
    signed_identity=st.sampled_from(tuple(SignedIdentity)),
    attestations=st.lists(_ATTESTATIONS, max_size=2).map(tuple),
    freshness=st.sampled_from(
        (Freshness(), Freshness(), Freshness(monotonic=True), Freshness(max_age=timedelta(days=1)))
    ),
    warn_until=st.sampled_from((None,) * 4 + (NOW + timedelta(days=1), NOW)),
)
_WORLD = World()
_WAIVER = PolicyException(
    repository=_WORLD.repository,
    digest=_WORLD.image.digest,
    reason="x",
    owner="y",
    expires=NOW + timedelta(days=1),
)
_POLICIES = st.builds(
    lambda rule, exceptions: replace(_WORLD.policy(), images=(rule,), exceptions=exceptions),
    _RULES,
    st.sampled_from(((),) * 5 + ((_WAIVER,),)),
)
_REFERENCES: st.SearchStrategy[Reference] = st.sampled_from(
    (_WORLD.reference, _WORLD.reference, _WORLD.image)
)


def _ruled(policy: OpenedPolicy, **changes: object) -> OpenedPolicy:
    rule = replace(policy.images[0], **changes)
    return replace(policy, images=(rule,))


def _each_authority(**changes: object) -> Callable[[OpenedPolicy], OpenedPolicy]:
    def stricter(policy: OpenedPolicy) -> OpenedPolicy:
        authorities = tuple(replace(one, **changes) for one in policy.images[0].authorities)
        return _ruled(policy, authorities=authorities)

    return stricter


def _fresher(**changes: object) -> Callable[[OpenedPolicy], OpenedPolicy]:
    return lambda policy: _ruled(
        policy,
        freshness=replace(policy.images[0].freshness, **changes),
    )


def _wanting(required: RequiredAttestation) -> Callable[[OpenedPolicy], OpenedPolicy]:
    return lambda policy: _ruled(policy, attestations=(*policy.images[0].attestations, required))


def _conditioned(condition: Condition) -> Callable[[OpenedPolicy], OpenedPolicy]:
    """Give each SBOM that is required a condition, and require one."""

    def stricter(policy: OpenedPolicy) -> OpenedPolicy:
        wanted = (*policy.images[0].attestations, _attestation(CYCLONEDX, [0, 1]))
        return _ruled(
            policy,
            attestations=tuple(
                replace(one, condition=condition) if one.predicate_type == CYCLONEDX else one
                for one in wanted
            ),
        )

    return stricter


def _speaking(text: str) -> Callable[[OpenedPolicy], OpenedPolicy]:
    return lambda policy: _ruled(policy, expressions=(Expression(cel=text),))


def _denying(deny: Deny) -> Callable[[OpenedPolicy], OpenedPolicy]:
    return lambda policy: replace(policy, deny=deny)


_STRICTER: Mapping[str, Callable[[OpenedPolicy], OpenedPolicy]] = {
    "threshold": lambda policy: _ruled(policy, threshold=policy.images[0].threshold + 1),
    "sbom": _wanting(_attestation(CYCLONEDX, [0])),
    "provenance": _wanting(_attestation(SLSA_PROVENANCE, [0, 1, 2])),
    "attestation of another type": _wanting(_attestation("https://x.org/v1", [0])),
    **{f"condition {n}": _conditioned(one) for n, one in enumerate(_SBOM_CONDITIONS)},
    "denied digest": _denying(Deny(digests=frozenset({_WORLD.image.digest}))),
    "denied digest of another image": _denying(Deny(digests=frozenset({_OTHER}))),
    "denied key": _denying(Deny(keys=frozenset({_SIGNERS[0].public_key.fingerprint}))),
    "denied identities": _denying(Deny(identities=(_ANYBODY,))),
    "exclusion": lambda policy: _ruled(policy, exclude=("r.site/apps/demo",)),
    "exclusion of others": lambda policy: _ruled(policy, exclude=("r.site/apps/old/*",)),
    "exact name": lambda policy: _ruled(policy, signed_identity=SignedIdentity.MATCH_EXACT),
    "expiry": lambda policy: replace(policy, expires=NOW),
    "issue": lambda policy: replace(policy, issued=NOW + timedelta(hours=1)),
    "log": _each_authority(tlog=Need.REQUIRED),
    "timestamp": _each_authority(timestamp=Need.REQUIRED),
    "end of validity": _each_authority(not_after=NOW),
    "begin of validity": _each_authority(not_before=NOW + timedelta(seconds=1)),
    "age": _fresher(max_age=timedelta(hours=1)),
    "order": _fresher(monotonic=True),
    "memory": _fresher(remember=Need.REQUIRED),
    "expression that is true": _speaking("tag in ['1', ''] && config.os == 'linux'"),
    "expression of what is attested": _speaking(f"'{CYCLONEDX}' in attestations"),
    "expression that is an error": _speaking("config.nothing == 1"),
    "platform": lambda policy: _ruled(policy, platforms=Platforms(require=("linux/s390x",))),
    "no warning instead": lambda policy: _ruled(policy, warn_until=None),
    "no exceptions": lambda policy: replace(policy, exceptions=()),
}


def _allowed(policy: OpenedPolicy, items: list[Item], reference: Reference) -> bool:
    world = World()
    for one in items:
        one.put(world)
    return world.judge(policy, reference=reference).allowed


@settings(deadline=None, max_examples=400)
@given(
    _POLICIES,
    _SETS,
    st.lists(_items(WITHDRAWAL), max_size=1),
    st.sampled_from(sorted(_STRICTER)),
    _REFERENCES,
)
def test_a_requirement_more_never_allows_more(
    policy: OpenedPolicy, items: list[Item], withdrawals: list[Item], how: str, reference: Reference
) -> None:
    """What a stricter policy allows, the policy without the addition allows too."""
    attached = [*items, *withdrawals]
    if _allowed(_STRICTER[how](policy), attached, reference):
        assert _allowed(policy, attached, reference)


@pytest.mark.parametrize("how", ["denied key", "end of validity", "log", "timestamp"])
def test_a_withdrawal_stays_one(how: str) -> None:
    """Whoever was listed and withdrew the image did so, also where no signature would count."""
    policy = _ruled(_WORLD.policy(), authorities=_authorities([0, 1]))
    first, second = policy.images[0].authorities
    changed = _STRICTER[how](_ruled(policy, authorities=(first,)))
    stricter = replace(
        changed, images=(replace(policy.images[0], authorities=(*_of(changed), second)),)
    )
    signed = [Item(COSIGN_SIGN, 1)]

    assert _allowed(stricter, signed, _WORLD.reference)
    assert not _allowed(stricter, [*signed, Item(WITHDRAWAL, 0)], _WORLD.reference)


def _of(policy: OpenedPolicy) -> tuple[Authority, ...]:
    return policy.images[0].authorities


@settings(deadline=None, max_examples=100)
@given(_POLICIES, _SETS, _REFERENCES)
def test_an_authority_less_never_allows_more(
    policy: OpenedPolicy, items: list[Item], reference: Reference
) -> None:
    """Nobody's signature stood in the way of another's."""
    authorities = policy.images[0].authorities
    assume(len(authorities) > 1)
    if _allowed(_ruled(policy, authorities=authorities[1:]), items, reference):
        assert _allowed(policy, items, reference)


@settings(deadline=None, max_examples=300)
@given(_POLICIES, _SETS, st.data(), _REFERENCES)
def test_evidence_less_never_allows_more(
    policy: OpenedPolicy, items: list[Item], data: st.DataObject, reference: Reference
) -> None:
    """Whoever hides a signature or an attestation gains nothing."""
    assume(items)
    hidden = data.draw(st.sampled_from(range(len(items))))
    if _allowed(policy, items[:hidden] + items[hidden + 1 :], reference):
        assert _allowed(policy, items, reference)


@settings(deadline=None, max_examples=200)
@given(
    _POLICIES,
    _SETS,
    st.lists(_items(*_PREDICATES, signers=range(_STRANGER, 4)), min_size=1, max_size=5),
    _REFERENCES,
)
def test_strangers_change_nothing(
    policy: OpenedPolicy, items: list[Item], strangers: list[Item], reference: Reference
) -> None:
    """What anybody may attach neither helps nor harms, withdrawals included."""
    assert _allowed(policy, items + strangers, reference) == _allowed(policy, items, reference)


@settings(deadline=None, max_examples=300)
@given(_POLICIES, _SETS, _REFERENCES)
def test_what_is_allowed_is_proven(
    policy: OpenedPolicy, items: list[Item], reference: Reference
) -> None:
    """Every allowed image has the signatures and attestations, counted in the plainest way."""
    rule = policy.images[0]
    assume(not policy.exceptions and (rule.warn_until is None or rule.warn_until <= NOW))
    about = [one for one in items if not one.other]
    if not _allowed(policy, items, reference):
        return
    mine = {_SIGNERS[one.signer].public_key for one in about if one.kind in {COSIGN_SIGN, _LEGACY}}
    listed = {authority.key for authority in rule.authorities}
    assert len(mine & listed) >= rule.threshold
    for required in rule.attestations:
        keys = {authority.key for authority in required.authorities}
        assert any(
            one.kind == required.predicate_type
            and one.full
            and _SIGNERS[one.signer].public_key in keys
            for one in about
        )


def test_the_properties_speak_of_allowed_images() -> None:
    """The drawn images are not all refused: else nothing above would say anything."""
    allowed = [
        Item(COSIGN_SIGN, 0),
        Item(CYCLONEDX, 0),
        Item(SLSA_PROVENANCE, 0),
        Item(RELEASE, 0),
    ]
    policy = _ruled(_WORLD.policy(), authorities=_authorities([0]))
    for how in (
        "sbom",
        "provenance",
        "exact name",
        "exclusion of others",
        "age",
        "condition 0",
        "condition 3",
        "condition 4",
        "expression that is true",
        "expression of what is attested",
    ):
        assert _allowed(_STRICTER[how](policy), allowed, _WORLD.reference), how
    assert not _allowed(policy, [*allowed, Item(WITHDRAWAL, 0)], _WORLD.reference)
