"""Consumers that judge by a policy of imagekit: a node with its policy, and a running gate."""

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct, field

from imagekit.errors import ConsumerRefusedError, ImagekitError
from imagekit.hosts.hook_types import GateConfig, ImageJudge
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.options import RegistryOptions

_GATE_SECONDS = 60.0


def _gate_judge(gate: GateConfig) -> ImageJudge:
    from imagekit.hosts.ask_gate import GateJudge

    return GateJudge(gate, seconds=_GATE_SECONDS)


class NodePolicy(Struct, frozen=True, kw_only=True):
    """A node that judges by a policy file; nothing of it is remembered here."""

    policy: Path
    options: RegistryOptions = field(default_factory=RegistryOptions)

    def __str__(self) -> str:
        return f"imagekit by {self.policy}"

    def check(self) -> None:
        """Read the policy.

        Raises:
            PolicyError: it cannot be accepted.
        """
        from imagekit.verify.policies import load_unsigned

        load_unsigned(self.policy)

    def ask(self, image: PinnedReference) -> None:
        """Judge the image."""
        from imagekit.verify.policies import load_unsigned
        from imagekit.verify.rollback import ScratchRollbackStore
        from imagekit.verify.verify import Verifier

        try:
            verifier = Verifier(
                load_unsigned(self.policy), options=self.options, memory=ScratchRollbackStore()
            )
            verdict = verifier.verify(image.with_digest(image.digest))
        except ImagekitError as error:
            raise _refused(self, image, error.message) from error
        if not verdict.allowed:
            faults = [finding for finding in verdict.findings if finding.severity == "error"]
            raise _refused(self, image, "; ".join(f"{e.code}: {e.message}" for e in faults))


class AskedGate(Struct, frozen=True, kw_only=True):
    """A running gate, asked as what pulls through it does."""

    url: str
    tls: bool
    address: str
    ca_file: Path | None = None
    name: str = ""
    """The gate's name for the registry; empty where it stands before this one only."""
    judge: Callable[[GateConfig], ImageJudge] = _gate_judge

    def __str__(self) -> str:
        return f"the gate {self.url}"

    def check(self) -> None:
        """Do nothing: whether it answers then is seen then."""

    def ask(self, image: PinnedReference) -> None:
        """Ask for the image's manifest."""
        gate = GateConfig(
            address=self.address,
            tls=self.tls,
            ca_file=self.ca_file,
            registries={image.repository.host: self.name},
        )
        try:
            decision = self.judge(gate)(image.with_digest(image.digest))
        except ImagekitError as error:
            raise _refused(self, image, error.message) from error
        if not decision.allows(image.digest):
            raise _refused(self, image, decision.reason)


def _refused(consumer: object, image: PinnedReference, why: str) -> ConsumerRefusedError:
    return ConsumerRefusedError(
        f"{consumer} does not accept {image.repository.name}@{image.digest}: {why}",
        hint="no tag was written; look at what it says, and at what it judges by",
        code="publish/consumer-refused",
    )
