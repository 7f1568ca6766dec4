"""Every target with its own seeds and with alterations of them, without a fuzzer; and its oracle.

The fuzzer itself runs by ``scripts/fuzz``.
"""

import importlib
import random
import time
from collections.abc import Callable

import pytest

from imagekit.errors import DocumentError
from tests.attacks.fuzz import collection
from tests.attacks.fuzz.mutate import mutate
from tests.attacks.fuzz.target import BrokenRuleError, Target, run, same


def _raise(error: Exception) -> None:
    raise error


def _busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.mark.parametrize(
    "check",
    [
        lambda _: _raise(DocumentError("clear \x1b[2J")),
        lambda _: _raise(DocumentError("\u202e")),
        lambda _: _raise(DocumentError("")),
        lambda _: same(1, 2),
        lambda _: _busy(1.1),
    ],
    ids=["escape", "direction", "no message", "differs", "slow"],
)
def test_what_no_parser_may_do_is_seen(check: Callable[[bytes], None]) -> None:
    """The oracle refuses what it is there to refuse."""
    with pytest.raises(BrokenRuleError):
        run(Target(check=check, seeds=()), b"")


@pytest.mark.parametrize("error", [ValueError, KeyError, RecursionError, MemoryError])
def test_another_exception_is_passed_on(error: type[Exception]) -> None:
    """What is no error of imagekit's ends the run."""
    with pytest.raises(error):
        run(Target(check=lambda _: _raise(error()), seeds=()), b"")


@pytest.mark.parametrize("name", collection.NAMES)
def test_seeds_and_their_alterations(name: str) -> None:
    """Seeds, pieces of them and altered ones are read or refused, and nothing else."""
    target = collection.load(name)
    chance = random.Random(name)
    assert target.seeds
    for seed in (b"", *target.seeds):
        run(target, seed)
        for number in range(25):
            run(target, _altered(seed, chance))
            changed = mutate(seed, seed=number, limit=target.max_length) if target.json else None
            if changed is not None:
                run(target, changed)


@pytest.mark.parametrize("name", [name for name in collection.NAMES if collection.load(name).json])
def test_document_seeds_are_altered_as_documents(name: str) -> None:
    """The alterations of a document are documents that differ from it."""
    target = collection.load(name)
    changed = {mutate(target.seeds[0], seed=n, limit=target.max_length) for n in range(20)}

    assert len(changed - {None, target.seeds[0]}) > 10


def _altered(seed: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(seed) + 1)
    return seed[:at] + chance.randbytes(chance.randrange(4)) + seed[at + chance.randrange(9) :]


def test_every_target_of_a_module_is_in_the_collection() -> None:
    """One that is not named there is never run."""
    for name in collection.NAMES:
        module = importlib.import_module(f"tests.attacks.fuzz.targets.{collection.module_of(name)}")
        assert module.TARGETS.keys() <= set(collection.NAMES)
