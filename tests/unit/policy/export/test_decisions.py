"""Whatever the policy, what is exported accepts no more than it, unless a loss says so."""

import json
import re

import pytest
import re2
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from imagekit.policy.export import Effect, PolicyExport, export_policy
from imagekit.policy.glob import applicable
from imagekit.policy.types import Deny, ImageRule, Policy
from tests.unit.policy.export.kit import KEYS, NOW, A, B, C, codes, policy, rule
from tests.unit.policy.export.readers import controller_accepts, podman_accepts

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


@settings(max_examples=60, deadline=None)
@given(POLICIES, NAMES, SIGNERS)
def test_policy_controller(made: Policy, name: str, signers: frozenset[str]) -> None:
    """ClusterImagePolicy objects, all that match of which must be satisfied."""
    found = export_policy(made, "cluster-image-policy", now=NOW)
    objects = list(yaml.safe_load_all(found.documents[0].text))

    _check(
        made, found, accepts=controller_accepts(objects, name, signers), name=name, signers=signers
    )


@pytest.mark.parametrize(
    ("name", "excluded", "inner"),
    [
        ("r.site/a", "r.site/**", rule(glob="r.site/**", exclude=("r.site/**",))),
        ("r.site/a/a", "r.site/**", rule(glob="r.site/**", exclude=("r.site/a/**",))),
        ("r.site/a", "r.site/a", rule(glob="*/*", authorities=(B,))),
    ],
    ids=["the other excludes itself", "the other excludes it too", "the other has no words there"],
)
def test_an_excluded_image_is_never_accepted(name: str, excluded: str, inner: ImageRule) -> None:
    """The keys of a rule that excludes an image do not suffice where no other rule is exported."""
    made = policy(rule(glob="**", exclude=(excluded,)), inner)
    objects = list(yaml.safe_load_all(_text(made)))

    assert not controller_accepts(objects, name, frozenset({KEYS[0].fingerprint}))


def _text(made: Policy) -> str:
    return export_policy(made, "cluster-image-policy", now=NOW).documents[0].text


@settings(max_examples=60, deadline=None)
@given(POLICIES, NAMES, st.sampled_from((":1", f"@sha256:{'0' * 64}", f":1@sha256:{'0' * 64}")))
def test_kyverno_speaks_of_the_same_images(made: Policy, name: str, tail: str) -> None:
    """Exactly the policy of the only longest match matches, else exactly the one that refuses."""
    found = export_policy(made, "kyverno", now=NOW)
    matching = [
        each["metadata"]["name"]
        for each in yaml.safe_load_all(found.documents[0].text)
        if _true(each["spec"]["matchImageReferences"][0]["expression"], f"{name}{tail}")
    ]

    rules = applicable(made, name)
    number = made.images.index(rules[0]) + 1 if len(rules) == 1 else 0
    assert matching == [f"site-rule{number}" if number else "site-default"]


def _true(expression: str, reference: str) -> bool:
    """Evaluate the little of CEL that names are matched by."""

    def one(found: re.Match[str]) -> str:
        return str(re2.search(found.group(1), reference) is not None)

    text = re.sub(r"ref\.matches\(r'([^']*)'\)", one, expression)
    text = text.replace("!", " not ").replace("&&", "and").replace("||", "or")
    assert set(re.findall("[A-Za-z]+", text)) <= {"True", "False", "not", "and", "or"}
    return bool(eval(text))  # noqa: S307  # nothing but the words above is in it
