"""An image is verified once while its verdict holds, whatever of it a client asks for."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.gate.decisions.decide import Lifetimes
from imagekit.gate.decisions.service import Times
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Reference
from imagekit.policy.ruleset import Deny, OpenedPolicy
from imagekit.verify.context import VerifyContext
from imagekit.verify.judge import judge
from imagekit.verify.verdict import Verdict
from tests.e2e.gate.local import Clock, LocalGate, Making
from tests.e2e.gate.origin import Origin, index_of

pytestmark = pytest.mark.real

NOW = datetime(2026, 11, 23, tzinfo=UTC)
PATH = "/v2/apps/demo"


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A registry with one signed image."""
    with Origin(b"layer") as running:
        yield running


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every verification, by what was verified."""
    found: list[str] = []

    def counting(reference: Reference, policy: OpenedPolicy, context: VerifyContext) -> Verdict:
        found.append(str(reference))
        return judge(reference, policy, context)

    monkeypatch.setattr("imagekit.gate.decisions.decide.judge", counting)
    return found


def _making(origin: Origin, folder: Path) -> Making:
    """Return a gate that keeps what it allowed for an hour; a tag means one digest as long."""
    hour = timedelta(hours=1)
    return Making(
        folder=folder,
        policy=origin.world.policy(),
        upstreams=(origin.upstream(),),
        clock=Clock(NOW),
        times=Times(lifetimes=Lifetimes(allowed=hour), pin=hour),
    )


def _pull(gate: LocalGate, origin: Origin) -> list[int]:
    """Ask for all of the image, as a client does, in several spellings: nothing is a hot answer."""
    asked = [
        gate.get(f"{PATH}/manifests/1", method="HEAD"),
        gate.get(f"{PATH}/manifests/1"),
        gate.get(f"{PATH}/manifests/{origin.image.digest}"),
        gate.get(origin.config),
        gate.get(origin.blob),
        gate.get(f"{PATH}/referrers/{origin.image.digest}"),
        gate.get(f"{PATH}/manifests/1?again"),
    ]
    return [reply.status for reply in asked]


def test_a_pull_of_an_image(origin: Origin, tmp_path: Path, verified: list[str]) -> None:
    """By tag, by digest, in parts, and by another client: one verification."""
    with LocalGate(_making(origin, tmp_path)) as gate:
        for _ in range(2):
            assert set(_pull(gate, origin)) == {200}

    assert len(verified) == 1, verified


def test_a_pull_of_an_index(origin: Origin, tmp_path: Path, verified: list[str]) -> None:
    """The index and its child are one image to the policy."""
    index, child = index_of(origin)
    with LocalGate(_making(origin, tmp_path)) as gate:
        asked = [
            gate.get(f"{PATH}/manifests/2", method="HEAD"),
            gate.get(f"{PATH}/manifests/2"),
            gate.get(f"{PATH}/manifests/{index.digest}"),
            gate.get(f"{PATH}/manifests/{child.digest}"),
            gate.get(f"{PATH}/blobs/{Digest.of(b'child')}"),
            gate.get(f"{PATH}/manifests/{child.digest}?again"),
        ]

    assert {reply.status for reply in asked} == {200}
    assert len(verified) == 1, verified


def test_what_expires_is_verified_again(
    origin: Origin, tmp_path: Path, verified: list[str]
) -> None:
    """At the first time that ends something, and not before it."""
    making = _making(origin, tmp_path)
    end = NOW + timedelta(minutes=9)
    (rule,) = making.policy.images
    ending = tuple(replace(one, not_after=end) for one in rule.authorities)
    making.policy = replace(making.policy, images=(replace(rule, authorities=ending),))
    with LocalGate(making) as gate:
        first = gate.get(f"{PATH}/manifests/1")
        making.clock.time = end - timedelta(seconds=1)
        before = gate.get(f"{PATH}/manifests/1?before")
        assert len(verified) == 1, verified
        making.clock.time = end
        after = gate.get(f"{PATH}/manifests/1?after")
        blob = gate.get(origin.blob)

    assert (first.status, before.status) == (200, 200)
    assert (after.status, blob.status) == (403, 404)


def test_what_ends_by_itself_is_verified_again(
    origin: Origin, tmp_path: Path, verified: list[str]
) -> None:
    """After the longest time that a decision is kept."""
    making = _making(origin, tmp_path)
    with LocalGate(making) as gate:
        for hours in (0, 1, 2):
            making.clock.time = NOW + timedelta(hours=hours)
            assert gate.get(f"{PATH}/manifests/1?{hours}").status == 200

    assert len(verified) == 3, verified


def test_another_policy_ends_it_at_once(
    origin: Origin, tmp_path: Path, verified: list[str]
) -> None:
    """A policy that is read anew counts for the next request, and so does what it revokes."""
    making = _making(origin, tmp_path)
    with LocalGate(making) as gate:
        assert set(_pull(gate, origin)) == {200}
        gate.policy = replace(making.policy, version=making.policy.version + 1)
        assert set(_pull(gate, origin)) == {200}
        assert len(verified) == 2, verified
        revoked = Deny(digests=frozenset({origin.image.digest}))
        gate.policy = replace(making.policy, deny=revoked)
        statuses = _pull(gate, origin)

    assert statuses == [403, 403, 403, 404, 404, 200, 403]
