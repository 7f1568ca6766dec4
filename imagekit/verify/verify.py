"""Verifying images by a policy: what ``imagekit verify``, ``pull`` and ``run`` ask first."""

import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from imagekit.clock import Clock, SystemClock
from imagekit.errors import ImagekitError
from imagekit.oci.location import REGISTRY, LocatedReference, Location, parse_located
from imagekit.oci.reference import Reference
from imagekit.oci.registry import connect
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryReader
from imagekit.policy.authorities import authorities_of
from imagekit.policy.ruleset import OpenedPolicy, Policy
from imagekit.signatures.ports import CertificateVerifier
from imagekit.verify.context import VerifyContext
from imagekit.verify.judge import judge
from imagekit.verify.parallel import in_order
from imagekit.verify.ports import RollbackStore
from imagekit.verify.rollback import users_store
from imagekit.verify.verdict import Verdict

if TYPE_CHECKING:
    from imagekit.needs.compare import FindLacks

MAX_REFERENCES = 10_000
_IMAGES = 16
"""How many images are judged at once."""
REQUESTS = 8
"""How many requests about one image are under way at once, where there is only one."""


class Judged(Struct, frozen=True, kw_only=True):
    """What came of one of many references: a verdict, or why there is none."""

    reference: str
    verdict: Verdict | None = None
    error: ImagekitError | None = None


class Verifier:
    """Judges images by one policy, as often as it is asked; safe in several threads.

    Connections are kept open, what was read by digest is remembered (in this process, and bounded),
    and trusted roots are read once: the second look at an image costs a request for its tag and
    those for the lists of what is attached to it, which can change.

    Args:
        policy: what decides.
        options: how registries are reached.
        reader: the way to registries; made from ``options`` where it is left out.
        clock: the time; the system's where it is left out.
        memory: what was seen before; the user's where it is left out.
        certificates: verifies keyless signatures; one of its own where it is left out.
        find_lacks: compares the node that is to run the images; none is where it is left out.
    """

    def __init__(
        self,
        policy: OpenedPolicy,
        *,
        options: RegistryOptions | None = None,
        reader: RegistryReader | None = None,
        clock: Clock | None = None,
        memory: RollbackStore | None = None,
        certificates: CertificateVerifier | None = None,
        find_lacks: "FindLacks | None" = None,
    ) -> None:
        self._policy = policy
        self._options = options or RegistryOptions()
        self._reader = reader
        self._registries: RegistryReader | None = None
        self._lock = threading.Lock()
        self._clock = clock or SystemClock()
        self._memory = memory or users_store()
        self._certificates = certificates or _certificates(policy, self._clock)
        self._find_lacks = find_lacks

    def reading(self, reader: RegistryReader) -> "Verifier":
        """Return a verifier that judges alike, and reads images elsewhere."""
        return Verifier(
            self._policy,
            reader=reader,
            clock=self._clock,
            memory=self._memory,
            certificates=self._certificates,
            find_lacks=self._find_lacks,
        )

    def verify(self, reference: LocatedReference | Reference | str) -> Verdict:
        """Judge one image; its documents are asked for at once.

        Raises:
            InvalidReferenceError: the reference is not one; nothing was asked.
            RegistryError: the registry did not answer as it should, so that there is no verdict.
        """
        return self._judge(reference, at_once=REQUESTS)

    def verify_many(self, references: Iterable[str]) -> Iterator[Judged]:
        """Judge many images at once, and yield what came of each in the order of the references.

        An image without a verdict does not keep the others from theirs. No more references are
        taken than can soon be judged.
        """

        def verify_one(text: str) -> Judged:
            try:
                # The images themselves are asked for at once.
                return Judged(reference=text, verdict=self._judge(text, at_once=1))
            except ImagekitError as error:
                return Judged(reference=text, error=error)

        return in_order(verify_one, references, at_once=_IMAGES)

    def _judge(self, reference: LocatedReference | Reference | str, *, at_once: int) -> Verdict:
        wanted = _located(reference)
        context = VerifyContext(
            now=self._clock.now(),
            open_reader=lambda: self._reader_of(wanted.location),
            location=wanted.location,
            certificates=self._certificates,
            memory=self._memory,
            find_lacks=self._find_lacks,
            # A layout answers at once; threads would only cost.
            at_once=at_once if wanted.location.is_remote else 1,
        )
        return judge(wanted.reference, self._policy, context)

    def _reader_of(self, location: Location) -> RegistryReader:
        """Return the reader of the layout, or that of all registries."""
        if self._reader is not None:
            return self._reader
        if not location.is_remote:
            return connect.reader(location, self._options)
        with self._lock:
            if self._registries is None:
                self._registries = connect.reader(location, self._options)
            return self._registries


def verify(
    reference: LocatedReference | Reference | str,
    *,
    policy: OpenedPolicy,
    reader: RegistryReader | None = None,
    options: RegistryOptions | None = None,
    clock: Clock | None = None,
    memory: RollbackStore | None = None,
    certificates: CertificateVerifier | None = None,
    find_lacks: "FindLacks | None" = None,
) -> Verdict:
    """Judge an image by a policy. Nothing is pulled, and no signature service is asked.

    Whoever judges more than one image does it by a ``Verifier``, which keeps its connections.

    Args:
        reference: the image, by tag or digest; a name alone is that of one in a registry.
        policy: what decides; ``imagekit.load_policy`` reads one.
        reader: the way to the registry; made from ``options`` where it is left out.
        options: how the registry is reached.
        clock: the time; the system's where it is left out.
        memory: what was seen before; the user's where it is left out.
        certificates: verifies keyless signatures; who judges often keeps one, as each reads its
            trust roots anew.
        find_lacks: compares the node that is to run the image; none is where it is left out.

    Returns:
        The verdict. Use ``verdict.digest`` and not the tag for all that follows.

    Raises:
        InvalidReferenceError: the reference is not one; nothing was asked.
        RegistryError: the registry did not answer as it should, so that there is no verdict.
    """
    verifier = Verifier(
        policy,
        options=options,
        reader=reader,
        clock=clock,
        memory=memory,
        certificates=certificates,
        find_lacks=find_lacks,
    )
    return verifier.verify(reference)


def verify_many(
    references: Iterable[str],
    *,
    policy: OpenedPolicy,
    options: RegistryOptions | None = None,
    memory: RollbackStore | None = None,
) -> Iterator[Judged]:
    """Judge many images at once; see ``Verifier.verify_many``.

    Args:
        references: the images.
        policy: what decides.
        options: how registries are reached.
        memory: what was seen before; the user's where it is left out.
    """
    return Verifier(policy, options=options, memory=memory).verify_many(references)


def _located(reference: LocatedReference | Reference | str) -> LocatedReference:
    if isinstance(reference, str):
        return parse_located(reference)
    if isinstance(reference, LocatedReference):
        return reference
    return LocatedReference(REGISTRY, reference)


def _certificates(policy: Policy, clock: Clock) -> CertificateVerifier | None:
    """Return what verifies under trusted roots, where the policy names any: it is not light."""
    authorities = [authority for rule in policy.images for authority in authorities_of(rule)]
    if all(authority.trust_root is None for authority in authorities):
        return None
    from imagekit.signatures.sigstore.verifier import SigstoreVerifier

    return SigstoreVerifier(clock)
