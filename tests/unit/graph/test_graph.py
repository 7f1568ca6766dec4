"""What stands on what: levels, above, below, and circles."""

from collections.abc import Collection, Mapping
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagekit.errors import RecipeError
from imagekit.graph.graph import Graph, graph_of
from imagekit.graph.schedule import Schedule

DIAMOND = {"app": ("left", "right"), "left": ("base",), "right": ("base",), "base": (), "other": ()}


@st.composite
def graphs(draw: st.DrawFn) -> Graph[int]:
    """Draw a graph without a circle, whose keys are given in any order."""
    count = draw(st.integers(0, 9))
    needs = {
        key: tuple(draw(st.sets(st.integers(0, key - 1)) if key else st.just(set())))
        for key in range(count)
    }
    order = draw(st.permutations(list(needs)))
    return graph_of({key: needs[key] for key in order})


def _reached(needs: Mapping[int, Collection[int]], key: int) -> frozenset[int]:
    """Return a key and all below it: the model, which is slow and plain."""
    return frozenset({key}).union(*(_reached(needs, need) for need in needs[key]))


def test_levels_of_a_diamond() -> None:
    """What stands on two is behind both, and each level is in the order given."""
    levels = graph_of(DIAMOND).levels()

    assert levels == (("base", "other"), ("left", "right"), ("app",))


@given(graphs())
def test_each_key_is_in_the_first_level_that_it_can_be_in(graph: Graph[int]) -> None:
    """One behind the last of those that it stands on."""
    place = {key: number for number, level in enumerate(graph.levels()) for key in level}

    assert set(place) == set(graph.needs)
    for key, needs in graph.needs.items():
        assert place[key] == max((place[need] + 1 for need in needs), default=0)


@given(graphs(), st.sets(st.integers(0, 8)))
def test_above_and_below_are_what_the_model_says(graph: Graph[int], keys: set[int]) -> None:
    """All that is reached, in both directions, and the keys themselves."""
    keys &= set(graph.needs)
    below = {key: _reached(graph.needs, key) for key in graph.needs}

    assert graph.below(keys) == frozenset().union(*(below[key] for key in keys))
    assert graph.above(keys) == {key for key in graph.needs if not keys.isdisjoint(below[key])}


@given(graphs(), st.sets(st.integers(0, 8)))
def test_a_part_keeps_the_order_of_the_whole(graph: Graph[int], keys: set[int]) -> None:
    """What stood on another one through one that is left out still does."""
    keys &= set(graph.needs)
    part = graph.only(keys)

    assert list(part.needs) == [key for key in graph.needs if key in keys]
    for key in keys:
        assert part.below({key}) == _reached(graph.needs, key) & keys


def test_a_circle_is_refused_with_its_whole_path() -> None:
    """The path goes from what stands to what it stands on, and ends where it began."""
    with pytest.raises(RecipeError) as caught:
        graph_of({"a": ("b",), "b": ("c",), "c": ("a",), "d": ("a",)})

    path = caught.value.message.partition(": ")[2].split(" > ")
    assert caught.value.code == "recipe/base-cycle"
    assert path[0] == path[-1]
    assert set(path) == {"a", "b", "c"}
    assert all(there in {"ab", "bc", "ca"} for there in map("".join, pairwise(path)))


@settings(max_examples=50)
@given(graphs(), st.sets(st.integers(0, 8)), st.randoms(use_true_random=False))
def test_a_schedule_does_what_the_model_says(
    graph: Graph[int], bad: set[int], random: Random
) -> None:
    """All whose bases succeeded are begun, each behind them; those above a failure are skipped."""
    schedule = Schedule(graph)
    running, ended, skipped = list[int](), list[int](), dict[int, tuple[int, ...]]()
    while True:
        while (key := schedule.take()) is not None:
            assert set(graph.needs[key]) <= set(ended)
            running.append(key)
        if not running:
            break
        key = running.pop(random.randrange(len(running)))
        ended.append(key)
        skipped.update(schedule.finish(key, succeeded=key not in bad))

    failed = {key for key in ended if key in bad}
    doomed = {key for key in graph.needs if (_reached(graph.needs, key) - {key}) & failed}
    assert set(skipped) == doomed
    assert set(ended) == set(graph.needs) - doomed
    assert sorted(ended) == sorted(set(ended))
    for key, because in skipped.items():
        assert set(because) == _reached(graph.needs, key) & failed


def test_the_one_that_most_stand_on_is_next() -> None:
    """Else those that wait for it would be alone at the end."""
    schedule = Schedule(graph_of(dict(reversed(DIAMOND.items()))))

    assert [schedule.take(), schedule.take(), schedule.take()] == ["base", "other", None]
