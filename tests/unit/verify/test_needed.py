"""``needs: checked``: each verdict differs from a good one in one thing."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.needs.compare import FindLacks, Lack
from imagekit.needs.needs import Needs
from imagekit.needs.predicate import needs_predicate
from imagekit.oci.digest import Digest
from imagekit.policy.condition import NeedsCondition
from imagekit.policy.ruleset import OpenedPolicy
from imagekit.signatures.intoto import NEEDS
from imagekit.verify.verdict import Verdict
from tests.support.fakes import MemorySigner
from tests.support.needs import ALL
from tests.support.signed import World, finding

LACK = Lack(need="cpu", message="the image needs X, and the node lacks it", hint="another node")


@pytest.fixture
def world() -> World:
    """A registry with one image that is signed."""
    made = World()
    made.sign()
    return made


def checking(world: World) -> OpenedPolicy:
    """Return a policy that says ``needs: checked``."""
    policy = world.policy(NEEDS)
    (rule,) = policy.images
    (required,) = rule.attestations
    changed = replace(rule, attestations=(replace(required, condition=NeedsCondition()),))
    return replace(policy, images=(changed,))


def judged(world: World, find_lacks: FindLacks | None) -> Verdict:
    """Judge the image for a node."""
    return world.judge(checking(world), find_lacks=find_lacks)


class Node:
    """A node that lacks something, or nothing."""

    def __init__(self, *lacks: Lack) -> None:
        """Say what it lacks."""
        self.lacks = lacks
        self.asked: list[Needs] = []

    def __call__(self, needs: Needs) -> Sequence[Lack]:
        """Compare it."""
        self.asked.append(needs)
        return self.lacks


def test_a_node_that_has_all_is_allowed(world: World) -> None:
    """It is asked for what was signed."""
    world.attach(NEEDS, needs_predicate(ALL))
    node = Node()

    verdict = judged(world, node)

    assert verdict.allowed
    assert node.asked == [ALL]
    assert "this node has it" in finding(verdict, "needs").message


def test_a_node_that_lacks_something_is_refused(world: World) -> None:
    """With what is missing, and what to do."""
    world.attach(NEEDS, needs_predicate(ALL))

    verdict = judged(world, Node(LACK))

    found = finding(verdict, "needs")
    assert not verdict.allowed
    assert (found.code, found.hint) == ("NODE_LACKS", "another node")
    assert LACK.message in found.message


def test_many_lacks_are_counted(world: World) -> None:
    """Five are named."""
    world.attach(NEEDS, needs_predicate(ALL))

    assert "and 2 more" in finding(judged(world, Node(*[LACK] * 7)), "needs").message


def test_without_a_node_it_must_be_said(world: World) -> None:
    """A gate runs nothing, and says that nothing was compared."""
    world.attach(NEEDS, needs_predicate(ALL))

    verdict = judged(world, None)

    assert verdict.allowed
    assert "compared where it runs" in finding(verdict, "needs").message


@pytest.mark.parametrize("node", [None, Node()])
def test_an_image_that_says_nothing_is_refused(world: World, node: FindLacks | None) -> None:
    """Nobody knows what it needs."""
    found = finding(judged(world, node), "needs")

    assert found.code == "MISSING_ATTESTATION"
    assert "needs: {}" in found.hint


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "by a stranger": ({"signer": MemorySigner()}, "UNTRUSTED_KEY"),
    "of another image": ({"digest": Digest.of(b"other")}, "DIGEST_MISMATCH"),
}


@pytest.mark.parametrize("row", BROKEN.values(), ids=BROKEN)
def test_what_does_not_count_is_not_compared(world: World, row: tuple[dict[str, Any], str]) -> None:
    """Who may not say what the image needs cannot make it run."""
    changes, code = row
    world.attach(NEEDS, needs_predicate(Needs()), **changes)
    node = Node()

    assert finding(judged(world, node), "needs").code == code
    assert node.asked == []


MALFORMED: dict[str, Mapping[str, object]] = {
    "nothing": {},
    "a need that is not known": {
        **needs_predicate(Needs()),
        "needs": {"fpga": "yes"},
    },
    "needs that are a list": {**needs_predicate(ALL), "needs": []},
}


@pytest.mark.parametrize("node", [None, Node()])
@pytest.mark.parametrize("predicate", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_understood_is_refused(
    world: World, predicate: Mapping[str, object], node: FindLacks | None
) -> None:
    """At a gate as well, so that it is noticed early."""
    world.attach(NEEDS, predicate)

    assert finding(judged(world, node), "needs").code == "BAD_STATEMENT"


def test_one_statement_that_holds_is_enough(world: World) -> None:
    """As with every attestation: a publisher corrects a mistake by a second one."""
    world.attach(NEEDS, needs_predicate(ALL))
    world.attach(NEEDS, needs_predicate(Needs()))

    verdict = judged(world, lambda needs: (LACK,) if needs == ALL else ())

    assert verdict.allowed
