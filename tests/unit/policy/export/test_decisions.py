"""Whatever the policy, what is exported accepts no more than it, unless a loss says so."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from imagekit.policy.export import Effect, PolicyExport, export_policy
from imagekit.policy.glob import applicable
from imagekit.policy.ruleset import Deny, Policy
from tests.unit.policy.export.kit import KEYS, NOW, A, B, C, codes, policy, rule
from tests.unit.policy.export.readers import podman_accepts

_GLOBS = st.sampled_from(
    (
        *("r.site/**", "r.site/a/**", "r.site/a/*", "r.site/a", "r.site/a/b", "r.site/a/b/**"),
        *("r.site/*/b", "**", "*.site/**", "r.site/a*", "r.site/*b"),
    )
)
NAMES = st.sampled_from(
    (
        *("r.site/a", "r.site/b", "r.site/a/a", "r.site/a/b", "r.site/a/b/a", "r.site/a/b/b"),
        *("r.site/b/b", "s.site/a/b", "r.site:5000/a", "other/a", "r.site/ab"),
    )
)
_AUTHORITIES = st.lists(st.sampled_from((A, B, C)), min_size=1, unique=True).map(tuple)
_RULES = st.builds(
    lambda glob, exclude, authorities, threshold: rule(
        glob=glob,
        exclude=exclude,
        authorities=authorities,
        threshold=min(threshold, len(authorities)),
    ),
    _GLOBS,
    st.lists(_GLOBS, max_size=2, unique=True).map(tuple),
    _AUTHORITIES,
    st.integers(1, 3),
)
_DENY = st.frozensets(st.sampled_from([key.fingerprint for key in KEYS]), max_size=1)
POLICIES = st.builds(
    lambda rules, deny: policy(*rules, deny=Deny(keys=deny)),
    st.lists(_RULES, min_size=1, max_size=4, unique_by=lambda each: each.glob),
    _DENY,
)
SIGNERS = st.frozensets(st.sampled_from([key.fingerprint for key in KEYS]))
_EXPLAIN = {"scope", "exclude", "ambiguous", "glob"}
"""The losses by which another rule or none speaks of a name there."""


def _allows(made: Policy, name: str, signers: frozenset[str]) -> bool:
    """What our own judge says of an image that is signed for its name by these keys."""
    rules = applicable(made, name)
    if len(rules) != 1:
        return False
    good = {
        one.key.fingerprint
        for one in rules[0].authorities
        if one.key is not None and one.key.fingerprint in signers - made.deny.keys
    }
    return len(good) >= rules[0].threshold


def _check(
    made: Policy, found: PolicyExport, *, accepts: bool, name: str, signers: frozenset[str]
) -> None:
    allows = _allows(made, name, signers)
    if accepts and not allows:
        assert codes(found) & _EXPLAIN, "it is weaker, and no loss says so"
    if allows and not accepts:
        assert codes(found, Effect.STRICTER, Effect.DROPPED), "it is stricter, and nothing says so"


@settings(max_examples=60, deadline=None)
@given(POLICIES, NAMES, SIGNERS, st.sampled_from(("containers-policy", "containers-policy:4.3")))
def test_podman(made: Policy, name: str, signers: frozenset[str], target: str) -> None:
    """A policy.json, read as containers-policy.json(5) says."""
    found = export_policy(made, target, now=NOW)
    document = json.loads(found.documents[0].text)

    _check(made, found, accepts=podman_accepts(document, name, signers), name=name, signers=signers)
