"""``imagekit node check``: whether this node has what an image needs of it.

What the image needs is believed only as a policy believes it: the rule of the image is asked as if
it said ``needs: checked``. A verdict that allows the image says that the node has everything.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from imagekit.needs.compare import FindLacks, Lack
from imagekit.needs.needs import Needs
from imagekit.oci.location import LocatedReference
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryReader
from imagekit.policy.condition import NeedsCondition
from imagekit.policy.ruleset import ImageRule, OpenedPolicy, RequiredAttestation
from imagekit.signatures.intoto import NEEDS
from imagekit.verify.ports import RollbackStore
from imagekit.verify.verdict import Verdict
from imagekit.verify.verify import Verifier


class CheckedNode(Struct, frozen=True, kw_only=True):
    """A verdict, and what came of comparing the node."""

    verdict: Verdict
    needs: Needs | None = None
    """What the image needs; None where nobody who may say it did."""
    lacks: tuple[Lack, ...] = ()


def check_node(
    image: LocatedReference,
    *,
    policy: OpenedPolicy,
    find_lacks: FindLacks,
    options: RegistryOptions | None = None,
    memory: RollbackStore | None = None,
    reader: RegistryReader | None = None,
) -> CheckedNode:
    """Judge an image, and compare the node with what it needs.

    Args:
        image: the image, and where it is.
        policy: says who may say what the image needs.
        find_lacks: compares the node.
        options: how the registry is reached.
        memory: what was seen before; the user's where it is left out.
        reader: the way to the registry; made from ``options`` where it is left out.

    Raises:
        RegistryError: the registry did not answer as it should, so that there is no verdict.
    """
    compared: list[tuple[Needs, tuple[Lack, ...]]] = []

    def compare(needs: Needs) -> Sequence[Lack]:
        found = tuple(find_lacks(needs))
        compared.append((needs, found))
        return found

    asking = replace(policy, images=tuple(_comparing(rule) for rule in policy.images))
    verifier = Verifier(asking, options=options, memory=memory, reader=reader, find_lacks=compare)
    verdict = verifier.verify(image)
    # Of several statements the one that holds decides: the verdict asks no further behind it.
    needs, lacks = min(compared, key=lambda pair: len(pair[1]), default=(None, ()))
    return CheckedNode(verdict=verdict, needs=needs, lacks=lacks)


def _comparing(rule: ImageRule) -> ImageRule:
    """Return a rule that also says ``needs: checked``."""
    if any(isinstance(required.condition, NeedsCondition) for required in rule.attestations):
        return rule
    required = RequiredAttestation(
        type=NEEDS,
        predicate_type=NEEDS,
        authorities=rule.authorities,
        condition=NeedsCondition(),
    )
    return replace(rule, attestations=(*rule.attestations, required))
