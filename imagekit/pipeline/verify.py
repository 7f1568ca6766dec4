"""Verifying an image by a policy: what ``imagekit verify``, ``pull`` and ``run`` ask first."""

from imagekit.adapters.clock import SystemClock
from imagekit.model.policy import Policy
from imagekit.model.reference import Reference, parse_reference
from imagekit.model.registry import RegistryOptions
from imagekit.model.verdict import Verdict
from imagekit.pipeline import registries
from imagekit.ports import Clock, RegistryReader
from imagekit.verify.judge import Bench, judge


def verify(
    reference: Reference | str,
    *,
    policy: Policy,
    reader: RegistryReader | None = None,
    options: RegistryOptions | None = None,
    clock: Clock | None = None,
) -> Verdict:
    """Judge an image by a policy. Nothing is pulled, and no signature service is asked.

    Args:
        reference: the image, by tag or digest, in a registry or a layout.
        policy: what decides; ``imagekit.load_policy`` reads one.
        reader: the way to the registry; made from ``options`` where it is left out.
        options: how the registry is reached.
        clock: the time; the system's where it is left out.

    Returns:
        The verdict. Use ``verdict.digest`` and not the tag for all that follows.

    Raises:
        InvalidReferenceError: the reference is not one; nothing was asked.
        RegistryError: the registry did not answer as it should, so that there is no verdict.
    """
    wanted = parse_reference(reference) if isinstance(reference, str) else reference

    def open_reader() -> RegistryReader:
        if reader is not None:
            return reader
        return registries.reader(wanted.repository, options or RegistryOptions())

    now = (clock or SystemClock()).now()
    return judge(wanted, policy, Bench(now=now, open_reader=open_reader))
