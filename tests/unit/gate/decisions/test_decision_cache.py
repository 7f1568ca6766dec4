"""Decisions in memory."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.gate.decisions import decision_cache
from imagekit.gate.decisions.decision import DecisionClosure
from imagekit.gate.decisions.decision_cache import DecisionCache
from imagekit.gate.decisions.decision_store import DecisionStore
from tests.unit.gate.decisions.test_decision_store import decision, raw, subject


def test_what_is_too_large_to_be_kept_leaves_no_older_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older one would be found in its place, until it is over."""
    monkeypatch.setattr(decision_cache, "_KEPT_BYTES", 100_000)
    store = DecisionStore(tmp_path)
    kept = DecisionCache(store)
    child = raw(b"x" * 100_000)

    async def found() -> bool:
        return await kept.find(subject()) is not None

    try:
        kept.learn(decision())
        assert asyncio.run(found())
        kept.learn(replace(decision(), closure=DecisionClosure(manifests={child.digest: child})))
        assert not asyncio.run(found())
    finally:
        kept.close()
        store.close()
