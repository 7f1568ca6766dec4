"""``imagekit node check``: what is believed, and what is said."""

import pytest

from imagekit.hosts.check_node import check_node
from imagekit.needs.compare import Lack
from imagekit.needs.needs import Needs
from imagekit.needs.predicate import needs_predicate
from imagekit.signatures.intoto import NEEDS
from tests.support.fakes import MemorySigner
from tests.support.needs import ALL
from tests.support.signed import World

LACK = Lack(need="cuda", message="the image needs X, and the node has none", hint="elsewhere")


@pytest.fixture
def world() -> World:
    """A registry with one image that is signed, and a policy that says nothing about needs."""
    made = World()
    made.sign()
    return made


def test_a_node_that_has_everything(world: World) -> None:
    """The policy need not ask for it: the command does."""
    world.attach(NEEDS, needs_predicate(ALL))

    checked = check_node(
        world.located, policy=world.policy(), find_lacks=lambda _: (), reader=world.registry
    )

    assert checked.verdict.allowed
    assert (checked.needs, checked.lacks) == (ALL, ())


def test_a_node_that_lacks_something(world: World) -> None:
    """All of it comes back."""
    world.attach(NEEDS, needs_predicate(ALL))

    checked = check_node(
        world.located, policy=world.policy(), find_lacks=lambda _: (LACK,), reader=world.registry
    )

    assert not checked.verdict.allowed
    assert checked.lacks == (LACK,)


def test_what_a_stranger_says_is_not_believed(world: World) -> None:
    """The node is not even looked at."""
    world.attach(NEEDS, needs_predicate(Needs()), signer=MemorySigner())

    checked = check_node(
        world.located,
        policy=world.policy(),
        find_lacks=lambda _: pytest.fail("looked at the node"),
        reader=world.registry,
    )

    assert not checked.verdict.allowed
    assert checked.needs is None


def test_an_image_that_says_nothing_is_not_good(world: World) -> None:
    """Nobody knows what it needs."""
    checked = check_node(
        world.located, policy=world.policy(), find_lacks=lambda _: (), reader=world.registry
    )

    assert [finding.code for finding in checked.verdict.findings if finding.code != "OK"] == [
        "MISSING_ATTESTATION"
    ]


def test_an_unsigned_image_is_not_good() -> None:
    """That the node has what it needs does not make it trusted."""
    world = World()
    world.attach(NEEDS, needs_predicate(ALL))

    checked = check_node(
        world.located, policy=world.policy(), find_lacks=lambda _: (), reader=world.registry
    )

    assert not checked.verdict.allowed
