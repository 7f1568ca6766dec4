"""Consumers that judge by a policy of imagekit: a node, and a gate."""

from pathlib import Path

import pytest

from imagekit.errors import ConsumerRefusedError, PolicyError, RegistryError
from imagekit.hosts.consumers.consumer_verifiers import AskedGate, NodePolicy
from imagekit.hosts.hook_types import GateConfig, HookDecision, ImageJudge
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, Repository

IMAGE = PinnedReference(Repository("r.site", "apps/hello"), Digest.of(b"image"), tag="1")


class _Judge:
    """A gate's answer."""

    def __init__(self, answer: HookDecision | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[GateConfig, Reference]] = []

    def of(self, gate: GateConfig) -> ImageJudge:
        """Return what answers for a gate."""

        def judge(reference: Reference) -> HookDecision:
            self.asked.append((gate, reference))
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        return judge


def _gate(judge: _Judge, name: str = "") -> AskedGate:
    return AskedGate(url="https://g.site", tls=True, address="g.site", name=name, judge=judge.of)


def test_a_gate_is_asked_by_digest() -> None:
    """Under its name for the registry; the tag, which is not written yet, is not shown."""
    judge = _Judge(HookDecision(allowed=True, digest=IMAGE.digest, reason="good"))

    _gate(judge, name="hub").ask(IMAGE)

    ((gate, reference),) = judge.asked
    assert gate.registries == {"r.site": "hub"}
    assert (gate.address, gate.tls) == ("g.site", True)
    assert reference == PinnedReference(IMAGE.repository, IMAGE.digest)


@pytest.mark.parametrize(
    "answer",
    [
        HookDecision(allowed=False, digest=IMAGE.digest, reason="the gate says no"),
        HookDecision(allowed=True, digest=Digest.of(b"other"), reason="the gate says no"),
        HookDecision(allowed=True, digest=None, reason="the gate says no"),
        RegistryError("the gate says no"),
    ],
    ids=["refused", "another image", "no digest", "no answer"],
)
def test_a_gate_that_does_not_allow_these_bytes_has_refused(
    answer: HookDecision | Exception,
) -> None:
    """No answer is none."""
    with pytest.raises(ConsumerRefusedError, match="does not accept") as no:
        _gate(_Judge(answer)).ask(IMAGE)

    assert no.value.message.startswith("the gate https://g.site does not accept")
    assert "the gate says no" in no.value.message


def test_a_policy_that_cannot_be_read_is_found_at_once(tmp_path: Path) -> None:
    """Before anything is built."""
    with pytest.raises(PolicyError):
        NodePolicy(policy=tmp_path / "none.yaml").check()
