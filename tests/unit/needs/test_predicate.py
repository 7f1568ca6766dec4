"""The signed statement: what comes back, and what is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from imagekit.documents import strictjson
from imagekit.errors import DocumentError
from imagekit.needs.needs import Kernel, Mpi, Needs
from imagekit.needs.predicate import needs_predicate, parse_needs
from tests.support.needs import ALL


@pytest.mark.parametrize(
    "needs",
    [
        Needs(),
        ALL,
        Needs(mpi=Mpi(implementation="mpich")),
        Needs(kernel=Kernel(config=("A", "B"))),
    ],
)
def test_what_was_written_is_read(needs: Needs) -> None:
    """Nothing is lost on the way, and what is read back is what was signed."""
    predicate = needs_predicate(needs)

    assert parse_needs(predicate) == needs
    assert strictjson.loads(strictjson.dumps(predicate), what="it") == predicate


Change = Callable[[dict[str, Any]], object]
FAULTS: dict[str, Change] = {
    "a key that is not known": lambda p: p.update(more=1),
    "a need that is not known": lambda p: p["needs"].update(fpga="yes"),
    "a part that is not known": lambda p: p["needs"]["kernel"].update(maximum="6"),
    "a level that is not known": lambda p: p["needs"].update(cpu="x86-64-v5"),
    "no version": lambda p: p["needs"].update(cuda="twelve"),
    "a version with a line end": lambda p: p["needs"].update(cuda="12.2\n"),
    "digits of another script": lambda p: p["needs"].update(cuda="\u0661\u0662"),
    "a number": lambda p: p["needs"].update(cuda=12),
    "no list": lambda p: p["needs"].update(pmi="pmix"),
    "too many devices": lambda p: p["needs"].update(devices=["a.org/b=c"] * 65),
    "a device that is a path": lambda p: p["needs"].update(devices=["/dev/sda"]),
    "no needs": lambda p: p.pop("needs"),
    "no rules": lambda p: p.pop("compatibility"),
    "rules that are text": lambda p: p.update(compatibility="none"),
    "an annotation that is a number": lambda p: p["annotations"].update(a=1),
    "no object": lambda p: p.update(needs=[]),
}


@pytest.mark.parametrize("change", FAULTS.values(), ids=FAULTS.keys())
def test_what_is_not_understood_is_refused(change: Change) -> None:
    """It might be what the node lacks."""
    predicate = needs_predicate(ALL)
    change(predicate)

    with pytest.raises(DocumentError) as caught:
        parse_needs(predicate)

    assert caught.value.code == "BAD_STATEMENT"


def test_needs_alone_decide() -> None:
    """What other programs read may be said in other words by another version."""
    predicate = needs_predicate(ALL) | {"compatibility": {}, "annotations": {}}

    assert parse_needs(predicate) == ALL


def test_an_empty_predicate_says_nothing() -> None:
    """An image that needs nothing says that."""
    with pytest.raises(DocumentError):
        parse_needs({})
