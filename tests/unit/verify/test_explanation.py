"""Accounts of verdicts: nothing is left out, and nothing is said that the verdict does not."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.oci.digest import Digest
from imagekit.policy.ruleset import (
    Deny,
    Expression,
    Freshness,
    OpenedPolicy,
    Platforms,
    PolicyException,
)
from imagekit.signatures.release import WITHDRAWAL
from imagekit.verify.explain import explain
from imagekit.verify.explanation import Explanation
from imagekit.verify.explanation_text import account_document, account_text
from imagekit.verify.rollback import ScratchRollbackStore
from imagekit.verify.steps import steps
from tests.support.fakes import FixedClock, MemorySigner
from tests.support.signed import NOW, World, signed_world


def _account(world: World, policy: OpenedPolicy) -> Explanation:
    return explain(
        world.located,
        policy=policy,
        memory=ScratchRollbackStore(),
        reader=world.registry,
        clock=FixedClock(NOW),
    )


def _states(world: World, policy: OpenedPolicy) -> dict[str, str]:
    made = steps(_account(world, policy).verdict, policy)
    assert len({one.check for one in made}) == len(made)
    return {one.check: one.state for one in made}


def test_the_verdict_is_that_of_verify() -> None:
    """Telling how it came changes nothing of it."""
    world = signed_world()
    policy = world.policy("cyclonedx", "slsaprovenance1")

    assert _account(world, policy).verdict == world.judge(policy)


def test_every_check_of_an_allowed_image() -> None:
    """In the judge's order, with those that passed silently and those that nobody asked for."""
    world = signed_world()

    assert list(_states(world, world.policy("cyclonedx")).items()) == [
        ("policy", "ok"),
        ("deny", "ok"),
        ("image", "ok"),
        ("platforms", "not asked"),
        ("exception", "ok"),
        ("withdrawal", "ok"),
        ("freshness", "not asked"),
        ("signature", "ok"),
        ("sbom", "ok"),
    ]


_LATE = {"withdrawal", "freshness", "signature", "cyclonedx"}


@pytest.mark.parametrize(
    ("change", "failed", "unreached"),
    [
        ({"expires": NOW}, "policy", {"deny", "image", "platforms", "exception", *_LATE}),
        (
            {"deny": Deny(digests=frozenset({World().image.digest}))},
            "deny",
            {"image", "platforms", "exception", *_LATE},
        ),
    ],
)
def test_what_was_not_reached(change: Any, failed: str, unreached: set[str]) -> None:
    """A refusal that comes early leaves the others open, and that is said."""
    world = signed_world()
    platforms = Platforms(require=("linux/a",))
    wanted = world.policy("cyclonedx", freshness=Freshness(monotonic=True), platforms=platforms)
    policy = replace(wanted, **change)

    states = _states(world, policy)

    assert states[failed] == "error"
    assert {check for check, state in states.items() if state == "not reached"} == unreached


def test_a_missing_platform_ends_it() -> None:
    """So that signatures were not looked at, and are not said to be missing."""
    world = signed_world()
    policy = world.policy("cyclonedx", platforms=Platforms(require=("linux/riscv64",)))

    (rule,) = policy.images
    expressions = (Expression(cel="true"),)
    policy = replace(policy, images=(replace(rule, expressions=expressions),))

    states = _states(world, policy)

    assert (states["image"], states["platforms"]) == ("ok", "error")
    assert {states[one] for one in ("signature", "cyclonedx", "expressions")} == {"not reached"}


def test_a_withdrawn_image() -> None:
    """The withdrawal is what ends it, and stands among what was offered."""
    world = signed_world()
    world.attach(WITHDRAWAL, {"reason": "wrong", "time": "2026-11-01T00:00:00Z"})
    policy = world.policy()

    assert _states(world, policy)["withdrawal"] == "error"
    used = [use for one in _account(world, policy).offered for use in one.uses]
    assert [use.code for use in used if use.purpose == "withdrawal"] == ["WITHDRAWN"]


def test_an_exception() -> None:
    """Nothing behind it was looked at, since it allows the image without."""
    world = World()
    exception = PolicyException(
        repository=world.repository,
        digest=world.image.digest,
        reason="r",
        owner="o",
        expires=NOW + timedelta(days=1),
    )
    states = _states(world, replace(world.policy(), exceptions=(exception,)))

    assert states["exception"] == "warning"
    assert states["signature"] == "not reached"


def test_rules_and_why_they_do_not_hold() -> None:
    """The one that holds is told from longer ones that exclude, shorter ones, and strangers."""
    world = signed_world()
    (rule,) = world.policy().images
    globs = [("s.site/**", ()), ("r.site/**", ()), ("r.site/apps/d*", ("r.site/*/demo",))]
    others = [replace(rule, glob=glob, exclude=exclude) for glob, exclude in globs]
    policy = replace(world.policy(), images=(*others, rule))

    looks = _account(world, policy).rules

    assert [(one.glob, one.chosen) for one in looks] == [
        ("r.site/apps/d*", False),
        ("r.site/apps/**", True),
        ("r.site/**", False),
        ("s.site/**", False),
    ]
    words = ("excludes r.site/*/demo", "matches best", "another has more", "does not match")
    assert all(word in one.why for word, one in zip(words, looks, strict=True))


def test_two_rules_that_tie() -> None:
    """None of them holds, and both say why."""
    world = signed_world()
    (rule,) = world.policy().images
    policy = replace(world.policy(), images=(rule, replace(rule, glob="r.site/apps/*")))

    explanation = _account(world, policy)

    assert [one.chosen for one in explanation.rules] == [False, False]
    assert all("as well as" in one.why for one in explanation.rules)
    assert not explanation.asked


def test_each_of_what_was_offered() -> None:
    """What it counts for, or the reason why not; also what nobody asked for."""
    world = World()
    world.sign()
    world.sign(name="r.site/apps/other:1")
    world.sign(digest=Digest.of(b"other"))
    world.sign(signer=MemorySigner())
    world.attach("https://cyclonedx.org/bom", {})
    world.attach("https://other.example/v1", {"a": 1})
    world.attach_raw(b"{}")
    world.sign_legacy()

    offered = _account(world, world.policy("cyclonedx")).offered

    uses = [
        [(use.purpose, use.counts, use.code) for use in one.uses]
        for one in sorted(offered, key=lambda one: one.form)
    ]
    assert sorted(uses) == sorted(
        [
            [("signature", True, "OK")],
            [("signature", True, "OK")],
            [("signature", False, "REFERENCE_MISMATCH")],
            [("signature", False, "DIGEST_MISMATCH")],
            [("", False, "UNTRUSTED_KEY")],
            [("cyclonedx", False, "BAD_STATEMENT")],
            [],
            [("", False, "BAD_BUNDLE")],
        ]
    )
    assert [one.form for one in offered].count(".sig") == 1
    assert all(
        one.signer.startswith("signer-0") for one in offered if one.uses[:1] and one.uses[0].purpose
    )


def test_what_would_have_to_change() -> None:
    """The remedies of what was refused, and none where nothing was."""
    world = World()

    explanation = _account(world, world.policy("cyclonedx"))

    assert [text.partition(":")[0] for text in explanation.change] == ["signature", "sbom"]
    world.sign()
    assert _account(world, world.policy()).change == ()


def test_text_and_document_say_the_same() -> None:
    """Both for an image that is denied with everything attached that can be wrong."""
    world = World()
    world.sign(name="r.site/\33[2Jevil:1")
    world.attach_raw(b"{}")
    policy = world.policy("cyclonedx")
    explanation = _account(world, policy)

    text, document = account_text(explanation, policy), account_document(explanation, policy)

    assert all(character.isprintable() or character == "\n" for character in text)
    for one in explanation.offered:
        for use in one.uses:
            assert use.why in text
    assert document["decision"] == "deny"
    assert [check["check"] for check in _list(document["checks"])] == [
        one.check for one in steps(explanation.verdict, policy)
    ]
    assert "what would have to change\n  1. signature: " in text


def _list(value: object) -> list[dict[str, Any]]:
    assert isinstance(value, list)
    return value


def test_a_registry_that_was_not_asked() -> None:
    """What fails early costs no request, so nothing is said of what there is."""
    world = signed_world()
    policy = replace(world.policy(), expires=NOW)

    assert "it was not asked" in account_text(_account(world, policy), policy)
    good = world.policy()
    assert "it was not asked" not in account_text(_account(world, good), good)
