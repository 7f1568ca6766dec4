"""A gate that obeys signed policies only keeps the one in force where the next is not signed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from imagekit.errors import PolicyError
from imagekit.gate.decisions.decision_store import DecisionStore
from imagekit.gate.metrics import Metrics
from imagekit.gate.reload import PolicyInForce
from imagekit.policy.signers import PolicySigners
from imagekit.signatures.authority import Authority
from imagekit.verify.policies import sign_policy
from tests.e2e.gate.kit import Site
from tests.support.fakes import MemorySigner

_ADMIN = MemorySigner()
_SIGNERS = PolicySigners(authorities=(Authority(name="admin", key=_ADMIN.public_key),))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site whose policy an admin signed."""
    site = Site("r.site", tmp_path)
    sign_policy(site.policy, _ADMIN)
    return site


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DecisionStore]:
    """The gate's folder."""
    store = DecisionStore(tmp_path / "state")
    yield store
    store.close()


def _begin(site: Site, store: DecisionStore, *, heard: list[dict[str, object]]) -> PolicyInForce:
    return PolicyInForce(
        site.policy, store, metrics=Metrics(), heard=heard.append, signers=_SIGNERS
    )


def test_a_signed_policy_is_in_force(site: Site, store: DecisionStore) -> None:
    """Verdicts say who signed it."""
    policy = _begin(site, store, heard=[]).active.policy

    assert "is signed by admin" in policy.standing[0].message


@pytest.mark.parametrize("signer", [None, MemorySigner()])
def test_a_gate_does_not_begin_with_another(
    site: Site, store: DecisionStore, signer: MemorySigner | None
) -> None:
    """Without a signature, or with a stranger's."""
    signature = site.policy.with_name(f"{site.policy.name}.sigstore.json")
    signature.unlink()
    if signer is not None:
        sign_policy(site.policy, signer)

    with pytest.raises(PolicyError) as caught:
        _begin(site, store, heard=[])
    assert caught.value.code == ("BAD_POLICY_SIGNATURE" if signer else "POLICY_NOT_SIGNED")


def test_the_next_one_is_wanted_signed_as_well(site: Site, store: DecisionStore) -> None:
    """Until it is, the old one stays in force, and the audit log says why."""
    heard: list[dict[str, object]] = []
    policy = _begin(site, store, heard=heard)
    first = policy.active
    site.write_policy(more="# changed")

    policy.reload()

    assert policy.active is first
    assert "does not hold" in policy.fault
    assert heard[-1]["event"] == "policy-broken"

    sign_policy(site.policy, _ADMIN)
    policy.reload()

    assert policy.active.policy.version == first.policy.version + 1
    assert policy.fault == ""
