"""Explaining a verdict: judged as by ``imagekit verify``, with an account of how it came about."""

from imagekit.clock import Clock, SystemClock
from imagekit.oci.location import LocatedReference
from imagekit.oci.registry import connect
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryReader
from imagekit.policy.ruleset import OpenedPolicy
from imagekit.signatures.sigstore.verifier import SigstoreVerifier
from imagekit.verify.context import VerifyContext
from imagekit.verify.explanation import Explanation, explained
from imagekit.verify.image_evidence import ImageEvidence
from imagekit.verify.judge import judge
from imagekit.verify.ports import RollbackStore
from imagekit.verify.rollback import ReadOnlyRollbackStore


def explain(
    image: LocatedReference,
    *,
    policy: OpenedPolicy,
    memory: RollbackStore,
    reader: RegistryReader | None = None,
    options: RegistryOptions | None = None,
    clock: Clock | None = None,
) -> Explanation:
    """Judge an image, remember nothing, and return the account of it.

    Args:
        image: the image, and where it is.
        policy: what decides.
        memory: what was seen before; it is only read.
        reader: the way to the registry; made from ``options`` where it is left out.
        options: how the registry is reached.
        clock: the time; the system's where it is left out.

    Raises:
        RegistryError: the registry did not answer as it should, so that there is no verdict.
    """
    gathered: list[ImageEvidence] = []

    def open_reader() -> RegistryReader:
        return reader or connect.reader(image.location, options or RegistryOptions())

    clock = clock or SystemClock()
    context = VerifyContext(
        now=clock.now(),
        open_reader=open_reader,
        location=image.location,
        certificates=SigstoreVerifier(clock),
        memory=ReadOnlyRollbackStore(memory),
        watch=gathered.append,
    )
    return explained(judge(image.reference, policy, context), policy, gathered)
