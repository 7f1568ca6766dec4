"""What is written for other programs: the artifact's document and the annotations."""

from itertools import product
from typing import Any

import pytest
import yaml

from imagekit.needs.compatibility import (
    ANNOTATIONS,
    annotations,
    compatibility,
    compatibility_yaml,
)
from imagekit.needs.needs import Kernel, Needs
from tests.support.needs import ALL

OPERATORS = {"In": None, "Exists": 0, "Gt": 1}
"""How many values each takes in every version of Node Feature Discovery."""


def rules(needs: Needs) -> list[Any]:
    """Return the rules of the one compatibility."""
    document: dict[str, Any] = compatibility(needs)
    (only,) = document["compatibilities"]
    found: list[Any] = only["rules"]
    return found


def test_the_document_has_the_form_of_its_specification() -> None:
    """Version, then sets of rules; every value is text, as its Go types have it."""
    document = yaml.safe_load(compatibility_yaml(ALL))

    assert document == compatibility(ALL)
    assert document["version"] == "v1alpha1"
    assert set(document["compatibilities"][0]) == {"description", "rules"}
    for rule in rules(ALL):
        assert set(rule) <= {"name", "matchFeatures", "matchAny"}
        terms = [rule] if "matchFeatures" in rule else rule["matchAny"]
        for term in terms:
            (match,) = term["matchFeatures"]
            for expression in match["matchExpressions"].values():
                values = expression.get("value", [])
                wanted = OPERATORS[expression["op"]]
                assert all(isinstance(value, str) for value in values)
                assert len(values) == wanted if wanted is not None else values


@pytest.mark.parametrize(
    ("needs", "feature"),
    [
        (Needs(cpu="x86-64-v2"), "cpu.cpuid"),
        (Needs(kernel=Kernel(config=("USER_NS",))), "kernel.config"),
        (Needs(cuda="12"), "pci.device"),
    ],
)
def test_each_need_is_one_rule(needs: Needs, feature: str) -> None:
    """So that a node's check names what is missing."""
    (rule,) = rules(needs)

    assert rule["matchFeatures"][0]["feature"] == feature


def test_a_level_asks_for_the_flags_of_those_below() -> None:
    """A processor of v4 has all of v2."""
    (v4,), (v2,) = rules(Needs(cpu="x86-64-v4")), rules(Needs(cpu="x86-64-v2"))

    assert _flags(v2) < _flags(v4)
    assert "AVX512F" in _flags(v4) - _flags(v2)


def _flags(rule: Any) -> set[str]:
    return set(rule["matchFeatures"][0]["matchExpressions"])


@pytest.mark.parametrize("minimum", ["5", "5.15", "5.15.3"])
def test_the_kernel_rule_says_at_least(minimum: str) -> None:
    """Evaluated as Node Feature Discovery does: any alternative, all of its expressions."""
    (rule,) = rules(Needs(kernel=Kernel(minimum=minimum)))
    wanted = tuple(map(int, minimum.split(".")))

    for version in product((4, 5, 6), (0, 14, 15, 16), (0, 2, 3, 4)):
        assert _holds(rule, version) is (version[: len(wanted)] >= wanted)


def _holds(rule: Any, version: tuple[int, ...]) -> bool:
    has = dict(zip(("major", "minor", "revision"), version, strict=True))
    return any(
        all(
            has[name] > int(e["value"][0]) if e["op"] == "Gt" else str(has[name]) in e["value"]
            for name, e in term["matchFeatures"][0]["matchExpressions"].items()
        )
        for term in rule["matchAny"]
    )


def test_nothing_needed_is_no_rule() -> None:
    """Every node fits then."""
    assert compatibility(Needs()) == {"version": "v1alpha1", "compatibilities": []}
    assert annotations(Needs()) == {}


def test_what_has_no_feature_stands_in_annotations() -> None:
    """In the words of supercontainers, archspec and CDI; none that is not known to recipes."""
    assert annotations(ALL) == {
        "org.supercontainers.mpi.implementation": "openmpi",
        "org.supercontainers.mpi.version": "4.1",
        "org.supercontainers.hardware.gpu.available": "yes",
        "io.archspec.cpu.target": "x86_64_v3",
        "cdi.k8s.io/imagekit_needs": "nvidia.com/gpu=all",
    }
    assert annotations(ALL).keys() == ANNOTATIONS


def test_archspec_calls_the_first_level_by_no_number() -> None:
    """x86_64, x86_64_v2 and so on."""
    assert annotations(Needs(cpu="x86-64-v1")) == {"io.archspec.cpu.target": "x86_64"}
