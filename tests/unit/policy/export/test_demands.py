"""Whatever a policy demands is in what is exported, or among the losses; and nothing breaks."""

import base64
from collections.abc import Iterator
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from imagekit.oci.digest import Digest
from imagekit.policy.condition import SbomCondition, VsaCondition
from imagekit.policy.export import CODES, Effect, PolicyExport, export_policy
from imagekit.policy.overlap import covers
from imagekit.policy.ruleset import (
    Deny,
    Expression,
    Freshness,
    ImageRule,
    Level,
    Platforms,
    Policy,
    Proof,
    Remap,
    RequiredAttestation,
    SignedIdentity,
)
from imagekit.signatures.authority import Need
from imagekit.signatures.intoto import full_type
from imagekit.signatures.publickey import public_key_pem
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
    policy,
    rule,
)

_GLOBS = st.sampled_from(
    ("r.site/**", "r.site/a/**", "r.site/a/*", "r.site/a", "r.site/*/b", "**", "*.s/**", "[::1]/x")
)
_TIMES = st.sampled_from((None, None, EARLIER, NOW, LATER))
_AUTHORITIES = st.lists(
    st.one_of(
        st.sampled_from((PERSON, CI)),
        st.builds(
            replace,
            st.sampled_from((A, B, C)),
            not_before=_TIMES,
            not_after=_TIMES,
            tlog=st.sampled_from(tuple(Need)),
            timestamp=st.sampled_from((Need.OPTIONAL, Need.OPTIONAL, Need.REQUIRED)),
            trust_root=st.just(ROOT),
        ),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one.name,
).map(tuple)
_ATTESTATIONS = st.lists(
    st.builds(
        lambda kind, authorities, condition: RequiredAttestation(
            type=kind,
            predicate_type=full_type(kind),
            authorities=authorities,
            condition=condition,
        ),
        st.sampled_from(("cyclonedx", "slsaprovenance1", "https://x.example/v1")),
        _AUTHORITIES,
        st.sampled_from((None, SbomCondition(min_components=2))),
    ),
    max_size=2,
    unique_by=lambda each: each.type,
).map(tuple)
_RULES = st.builds(
    rule,
    glob=_GLOBS,
    exclude=st.lists(_GLOBS, max_size=2, unique=True).map(tuple),
    authorities=_AUTHORITIES,
    threshold=st.integers(1, 3),
    signed_identity=st.sampled_from(tuple(SignedIdentity)),
    remap=st.just(Remap(prefix="r.site", signed_prefix="o.site")),
    proof=st.sampled_from((Proof.SIGNATURE, Proof.SIGNATURE, Proof.VSA)),
    vsa=st.just(VsaCondition(verifier_ids=("https://v",))),
    attestations=_ATTESTATIONS,
    freshness=st.builds(
        Freshness,
        max_age=st.sampled_from((None, timedelta(days=1))),
        monotonic=st.booleans(),
    ),
    platforms=st.builds(
        Platforms,
        verify=st.sampled_from(tuple(Level)),
        require=st.sampled_from(((), ("linux/amd64",))),
    ),
    expressions=st.sampled_from(((), (Expression(cel="true"),))),
    warn_until=_TIMES,
)
_POLICIES = st.builds(
    lambda rules, deny, issued: policy(*rules, deny=deny, issued=issued),
    st.lists(_RULES, min_size=1, max_size=3, unique_by=lambda each: each.glob),
    st.sampled_from(
        (
            Deny(),
            Deny(digests=frozenset({Digest.of(b"x")}), identities=(SOMEBODY,)),
            Deny(keys=frozenset({B.key.fingerprint})),  # type: ignore[union-attr]  # it has one
        )
    ),
    st.sampled_from((None, EARLIER)),
)
_TARGETS = st.sampled_from(("containers-policy", "containers-policy:4.2", "docs"))


@settings(max_examples=40, deadline=None)
@given(_POLICIES, _TARGETS)
def test_every_demand_is_told(made: Policy, target: str) -> None:
    """There is no third way, and no error."""
    found = export_policy(made, target, now=NOW)

    text = "".join(each.text for each in found.documents)
    assert {each.code for each in found.blocking} <= CODES
    for each in made.images:
        if not any(covers(glob, each.glob) for glob in each.exclude):
            missing = [word for word, told in _told(made, each, found, text) if not told]
            assert not missing, (target, missing)


def test_signers_that_cannot_be_reached_are_told() -> None:
    """A rule that asks for more signers than it has refuses there too, and the export says so."""
    found = export_policy(policy(rule(threshold=2)), "containers-policy", now=NOW)

    assert "threshold" in {loss.code for loss in found.losses}


def _told(
    made: Policy, each: ImageRule, found: PolicyExport, text: str
) -> Iterator[tuple[str, bool]]:
    """Yield each demand, and whether it is in the text or among the losses of its rule."""
    losses = {loss.code for loss in found.losses if loss.rule in {"", each.glob}}
    page = found.target == "a page for people"
    if any(loss.effect is Effect.DROPPED and loss.rule == each.glob for loss in found.losses):
        return
    lost = {
        "max-age": each.freshness.max_age is not None,
        "monotonic": each.freshness.monotonic,
        "platforms": bool(each.platforms.require),
        "expressions": bool(each.expressions),
    }
    yield from ((code, page or code in losses) for code, asked in lost.items() if asked)
    yield "expiry", "expiry" in losses or str(made.expires.date()) in text
    for digest in made.deny.digests:
        yield "deny-digests", "deny-digests" in losses or str(digest) in text
    for required in each.attestations:
        # Where nobody is left who may attest, all is refused, and the text says why.
        written = required.predicate_type in text or f"attest {required.type}" in text
        yield required.type, "attestations" in losses or written or f"type {required.type}" in text
        if required.condition is not None:
            yield "conditions", page or "attestations" in losses
    # A rule that nobody can satisfy is rejected, and that is said.
    for one in each.authorities:
        if one.key is not None:
            body = public_key_pem(one.key).decode()
            forms = (body.split("\n")[1], base64.b64encode(body.encode()).decode())
            written = any(form in text for form in (*forms, one.key.fingerprint))
            left_out = bool({"vsa", "authorities", "key-window", "threshold", "deny-keys"} & losses)
            yield one.name, written or left_out
