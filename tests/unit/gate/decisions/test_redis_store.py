"""Decisions that gates share, by a Redis in memory."""

from pathlib import Path
from typing import Any, Self

import pytest
from msgspec.structs import replace

from imagekit.gate.decisions.redis_store import RedisShared
from imagekit.oci.location import REGISTRY, LayoutLocation, LocatedRepository
from imagekit.oci.reference import Repository
from tests.unit.gate.decisions.test_decision_store import BLOB, REPOSITORY, decision, subject


class _Redis:
    """The few commands that are used, of a client and of its pipeline."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._sets: dict[str, dict[str, float]] = {}

    def set(self, key: str, value: str | bytes, *, ex: int) -> None:
        assert ex > 0
        self._values[key] = value.encode() if isinstance(value, str) else value

    def get(self, key: str) -> bytes | None:
        return self._values.get(key)

    def zadd(self, key: str, entries: dict[str, float]) -> None:
        self._sets.setdefault(key, {}).update(entries)

    def zrevrange(self, key: str, first: int, last: int) -> list[bytes]:
        found = sorted(self._sets.get(key, {}).items(), key=lambda pair: -pair[1])
        return [name.encode() for name, _ in found][first : last + 1]

    def pipeline(self, **_: Any) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def zremrangebyrank(self, *_: Any) -> None: ...

    def expire(self, *_: Any) -> None: ...

    def execute(self) -> None: ...


def test_one_place_s_decision_is_no_other_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shared of a registry's image does not speak for that of a layout, nor back."""
    names = [REPOSITORY, Repository.parse("localhost/r.site/apps/demo")]
    locations = (REGISTRY, LayoutLocation(Path("/srv/a")), LayoutLocation(Path("/srv/b")))
    places = [LocatedRepository(location, name) for location in locations for name in names]
    for kept in places:
        shared = RedisShared("redis://127.0.0.1:1")
        monkeypatch.setattr(shared, "_redis", _Redis())
        key = replace(subject(), place=kept)
        shared.keep(key, replace(decision(), reference=key.reference))

        found = shared.decision(key)
        assert found is not None
        assert found.reference == key.reference
        assert shared.latest(kept, "1") == key
        assert shared.roots(kept, BLOB) == (key,)
        for other in (each for each in places if each != kept):
            assert shared.decision(replace(key, place=other)) is None
            assert shared.latest(other, "1") is None
            assert shared.roots(other, BLOB) == ()
