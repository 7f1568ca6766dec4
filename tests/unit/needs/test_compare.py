"""What a node lacks: for each need a node that lacks only that."""

import pytest
from msgspec.structs import replace

from imagekit.needs.compare import Node, lacks
from imagekit.needs.needs import Kernel, Needs, flags_of, reaches
from tests.support.needs import ALL

GOOD = Node(
    machine="x86_64",
    flags=frozenset(flags_of("x86-64-v4")),
    kernel="6.1.0",
    config=frozenset({"USER_NS"}),
    glibc="2.36",
    cuda="12.4",
    devices=frozenset({"nvidia.com/gpu", "nvidia.com/gpu=all", "example.org/nic"}),
    launches=frozenset({"pmix", "pmi2"}),
)
LACKING = {
    "another machine": ({"machine": "aarch64"}, "cpu"),
    "no flags": ({"flags": None}, "cpu"),
    "an older processor": ({"flags": frozenset(flags_of("x86-64-v2"))}, "cpu"),
    "one flag less": ({"flags": GOOD.flags - {"fma"} if GOOD.flags else None}, "cpu"),
    "an older kernel": ({"kernel": "5.14.21"}, "kernel.minimum"),
    "an unknown kernel": ({"kernel": ""}, "kernel.minimum"),
    "an option less": ({"config": frozenset()}, "kernel.config"),
    "unknown options": ({"config": None}, "kernel.config"),
    "an older C library": ({"glibc": "2.30"}, "glibc"),
    "another C library": ({"glibc": ""}, "glibc"),
    "an older driver": ({"cuda": "12.1"}, "cuda"),
    "no driver": ({"cuda": ""}, "cuda"),
    "a device less": ({"devices": GOOD.devices - {"nvidia.com/gpu=all"}}, "devices"),
    "another launcher": ({"launches": frozenset({"pmi2"})}, "pmi"),
    "a launcher of nothing": ({"launches": frozenset()}, "pmi"),
}


@pytest.mark.parametrize(("change", "need"), LACKING.values(), ids=LACKING.keys())
def test_each_need_is_missed_alone(change: dict[str, object], need: str) -> None:
    """What cannot be told of the node is lacking, too."""
    (lack,) = lacks(ALL, replace(GOOD, **change))

    assert lack.need == need
    assert lack.hint


def test_a_node_that_has_all_lacks_nothing() -> None:
    """More than is needed does no harm."""
    assert lacks(ALL, GOOD) == ()


def test_nothing_is_needed_of_an_unknown_node_by_default() -> None:
    """An image that needs nothing runs everywhere."""
    assert lacks(Needs(), Node(machine="")) == ()


def test_without_slurm_no_launcher_is_needed() -> None:
    """The ranks are started in the container then."""
    assert lacks(Needs(pmi=("pmix",)), replace(GOOD, launches=None)) == ()


def test_all_that_is_missing_is_named() -> None:
    """Not only the first of it."""
    needs = Needs(cuda="13", kernel=Kernel(minimum="7", config=("A", "B")))

    assert [lack.need for lack in lacks(needs, GOOD)] == [
        "kernel.minimum",
        "kernel.config",
        "kernel.config",
        "cuda",
    ]


@pytest.mark.parametrize(
    ("version", "least", "answer"),
    [
        ("5.15", "5.15.0", True),
        ("5.15.0", "5.15", True),
        ("5.9", "5.15", False),
        ("6", "5.15.3", True),
        ("5.15.2", "5.15.3", False),
    ],
)
def test_versions_compare_by_numbers(version: str, least: str, *, answer: bool) -> None:
    """Not as text, and however many numbers there are."""
    assert reaches(version, least) is answer
