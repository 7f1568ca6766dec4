"""Whether who asks for a manifest or a blob is served it.

What must hold:

1. What is served was judged, under the policy that is in force, and is the judged bytes.
2. All who ask for one thing at once wait for one judgement.
3. For a short while a tag means one digest, so that one pull sees one image.
4. A child of an allowed index, a configuration or a layer is served because of that image, and
   only while that image is allowed.
5. An upstream that cannot be asked never makes anything allowed: what was allowed before is
   served for a bounded time, under the same policy.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from cachetools import LRUCache
from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.errors import ImagekitError, NotFoundError, RegistryError
from imagekit.gate.answers import RequestRefusedError, unknown_blob
from imagekit.gate.clients import Asker
from imagekit.gate.decisions.attached import (
    MAX_BYTES,
    ClaimedProof,
    is_genuine,
    proof_of,
    served_with,
)
from imagekit.gate.decisions.decide import ActivePolicy, Lifetimes, VerifierDeps, decide
from imagekit.gate.decisions.decision import Blob, Decision, DecisionSubject
from imagekit.gate.decisions.decision_cache import DecisionCache
from imagekit.gate.decisions.recording_reader import RecordingReader
from imagekit.gate.decisions.refusals import denial, is_outage
from imagekit.gate.decisions.singleflight import SingleFlight
from imagekit.gate.limits import ListenerLimits
from imagekit.gate.upstreams import Readers, Upstream
from imagekit.oci.digest import Digest
from imagekit.oci.location import LocatedReference, LocatedRepository
from imagekit.oci.reference import PinnedReference, Reference, Repository, TaggedReference
from imagekit.oci.types import Descriptor, RawManifest
from imagekit.policy.glob import applicable

T = TypeVar("T")
_KEPT_PINS = 20_000
_UNAVAILABLE = 503
_SOMEBODY = Asker()
_OUTAGE = timedelta(seconds=5)
"""For so long after an upstream did not answer, what may be stale is served at once."""


class Served(Struct, frozen=True, kw_only=True):
    """A manifest that is allowed, and until when the same answer may be given again."""

    manifest: RawManifest
    until: datetime
    policy: str
    stale: bool = False


class Times(Struct, frozen=True, kw_only=True):
    """How long what is kept."""

    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    pin: timedelta = timedelta(seconds=30)
    wait: timedelta = timedelta(seconds=60)
    """The longest that one request waits for a judgement."""
    waiting: int = ListenerLimits().waiting_per_client
    """Judgements for one client that wait for their turn."""


class _Pin(Struct, frozen=True, kw_only=True):
    digest: Digest
    until: datetime


class _JudgementRequest(Struct, frozen=True):
    """A reference to be judged by the policy that was in force when the request came."""

    upstream: Upstream
    reference: Reference
    """The image, by the upstream's name."""
    active: ActivePolicy
    asker: Asker
    """For whom it is done."""

    @property
    def place(self) -> LocatedRepository:
        return self.located.place

    @property
    def located(self) -> LocatedReference:
        return LocatedReference(self.upstream.location, self.reference)

    def of(self, reference: Reference) -> "_JudgementRequest":
        return replace(self, reference=reference)


Heard = Callable[[str, Decision | ImagekitError, LocatedReference], None]
"""Is called with what was decided: a word for how, the decision or why there is none, of what."""


class DecisionService:
    """Decisions for all clients of a gate, on one event loop.

    Args:
        decision_cache: what was decided before.
        deps: what judgements need.
        times: how long what is kept.
        active: returns the policy in force.
        heard: is called with every decision.
        took: is called with the seconds that each judgement took.
        attachments: whether what is attached to allowed images is served.
        now: the time.
    """

    def __init__(
        self,
        *,
        decision_cache: DecisionCache,
        deps: VerifierDeps,
        times: Times,
        active: Callable[[], ActivePolicy],
        heard: Heard,
        took: Callable[[float], None],
        attachments: bool = True,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._decision_cache = decision_cache
        self._deps = deps
        self._times = times
        self._active = active
        self._heard = heard
        self._took = took
        self._attachments = attachments
        self._now = now
        self._verifying = SingleFlight(times.wait, waiting=times.waiting)
        self._readers = Readers()
        self._pins: LRUCache[tuple[LocatedRepository, str], _Pin] = LRUCache(_KEPT_PINS)
        self._genuine: LRUCache[LocatedReference, bool] = LRUCache(_KEPT_PINS)
        self._down: LRUCache[LocatedRepository, datetime] = LRUCache(_KEPT_PINS)

    async def manifest(
        self, upstream: Upstream, reference: Reference, *, asker: Asker = _SOMEBODY
    ) -> Served:
        """Return a manifest that is allowed.

        Raises:
            RequestRefusedError: it is denied, not there, or nothing can be decided now.
        """
        request = _JudgementRequest(upstream, reference, self._active(), asker)
        if isinstance(reference, TaggedReference):
            decision, until = await self._by_tag(request, reference)
        else:
            # First: what an index lists is seldom signed itself, and is allowed by the index.
            part = await self._as_part(request, reference.digest)
            if part is not None:
                return part
            decision = await self._by_digest(request, reference)
            if not decision.allowed and self._attachments:
                decision = await self._attached(request, reference) or decision
            until = decision.fresh
        if not decision.allowed or decision.manifest is None:
            raise denial(decision)
        return self._served(request, decision, decision.manifest, until=until)

    async def blob(
        self,
        upstream: Upstream,
        repository: Repository,
        digest: Digest,
        *,
        asker: Asker = _SOMEBODY,
    ) -> Blob:
        """Return a blob that an allowed image consists of.

        Raises:
            RequestRefusedError: no allowed image does, or nothing can be decided now.
        """
        request = _JudgementRequest(
            upstream, PinnedReference(repository, digest), self._active(), asker
        )
        async for root in self._decision_cache.roots(request.place, digest):
            decision = await self._confirmed(request, root)
            # Never a manifest: containerd 1.6 looks for refused ones among blobs, and unpacks them.
            if decision is not None and digest in decision.closure.blobs:
                return Blob(digest, decision.closure.blobs[digest])
        raise unknown_blob(digest)

    async def tags(
        self, upstream: Upstream, repository: Repository, *, asker: Asker = _SOMEBODY
    ) -> tuple[str, ...]:
        """Return the tags of a repository that some rule speaks of.

        Raises:
            RequestRefusedError: no rule does, or the upstream does not give them.
        """
        self._check_ruled(repository)
        reader = self._readers.of(upstream)
        tags = await self._once_there(
            upstream, ("tags", repository), lambda: reader.tags(repository), asker=asker
        )
        if not tags:
            message = f"imagekit gate: {repository.path} is not there, or has no tags"
            raise RequestRefusedError(404, "NAME_UNKNOWN", message)
        return tags

    async def referrers(
        self, upstream: Upstream, subject: PinnedReference, *, asker: Asker = _SOMEBODY
    ) -> tuple[Descriptor, ...]:
        """Return what names a manifest as its subject; nothing of it has been verified.

        Raises:
            RequestRefusedError: no rule speaks of the repository, or the upstream fails.
        """
        self._check_ruled(subject.repository)
        reader = self._readers.of(upstream)
        return await self._once_there(
            upstream, ("referrers", subject), lambda: reader.referrers(subject), asker=asker
        )

    def close(self) -> None:
        """End what runs."""
        self._verifying.close()
        self._decision_cache.close()

    # By tag: which digest, then that digest's verdict under the tag's name.

    async def _by_tag(
        self, request: _JudgementRequest, reference: TaggedReference
    ) -> tuple[Decision, datetime]:
        key = (request.place, reference.tag)
        # One pull asks several times: Charliecloud twice for the tag, docker and containerd by HEAD
        # first.
        pin = self._pins.get(key)
        if pin is not None and self._now() < pin.until:
            cached = await self._decision_cache.find(
                DecisionSubject(key[0], pin.digest, reference.tag)
            )
            if cached is not None and self._is_fresh(request, cached):
                return cached, min(pin.until, cached.fresh)
        decision = await self._verifying.once(
            # With the policy: what is judged by the old one is no answer to who asks under the new
            # one.
            ("tag", reference, request.active.fingerprint),
            lambda: self._resolve(request, reference),
            upstream=request.upstream,
            asker=request.asker,
        )
        pin = self._pins.get(key)
        return decision, min(decision.fresh, pin.until if pin else decision.made)

    async def _resolve(self, request: _JudgementRequest, reference: TaggedReference) -> Decision:
        """Ask the upstream what the tag points to now, and judge that unless it is known."""
        recorder = RecordingReader(self._readers.of(request.upstream))
        stale = await self._stale(request, reference) if self._is_down(request.place) else None
        if stale is not None:
            return stale
        try:
            raw = await self._verifying.in_thread(
                request.upstream, lambda: recorder.manifest(reference)
            )
        except RegistryError as error:
            return await self._instead(request, reference, error)
        except ImagekitError:
            # Bytes that are not what they say they are become a verdict that says no.
            return await self._judge(request, recorder)
        key = (request.place, reference.tag)
        pin = self._pins.get(key)
        cached = await self._decision_cache.find(DecisionSubject(key[0], raw.digest, reference.tag))
        # A tag that moved is judged even if it moved back to what was allowed a moment ago.
        moved = pin is None or pin.digest != raw.digest
        if moved or cached is None or not self._is_fresh(request, cached):
            cached = await self._judge(request, recorder)
        if cached.digest is not None:
            self._pins[key] = _Pin(digest=cached.digest, until=self._now() + self._times.pin)
        return cached

    async def _instead(
        self, request: _JudgementRequest, reference: TaggedReference, error: RegistryError
    ) -> Decision:
        """Return what the tag was last, where the upstream is down and that still holds.

        Raises:
            RegistryError: the upstream's error, where there is nothing else.
        """
        if is_outage(error):
            self._down[request.place] = self._now() + _OUTAGE
            stale = await self._stale(request, reference)
            if stale is not None:
                return stale
        self._heard("undecided", error, request.located)
        raise error

    async def _stale(
        self, request: _JudgementRequest, reference: TaggedReference
    ) -> Decision | None:
        cached = await self._decision_cache.latest(request.place, reference.tag)
        if cached is None or not self._may_be_stale(request, cached):
            return None
        self._heard("stale", cached, request.located)
        return cached

    # By digest: on its own, as a part, or as something that is attached.

    async def _by_digest(self, request: _JudgementRequest, reference: PinnedReference) -> Decision:
        request = request.of(reference)
        subject = DecisionSubject(request.place, reference.digest, reference.tag or "")
        cached = await self._decision_cache.find(subject)
        if cached is not None and self._is_fresh(request, cached):
            return cached
        recorder = RecordingReader(self._readers.of(request.upstream))
        try:
            return await self._verifying.once(
                ("digest", reference, reference.tag, request.active.fingerprint),
                lambda: self._judge(request, recorder),
                upstream=request.upstream,
                asker=request.asker,
            )
        except RequestRefusedError as error:
            stale = cached is not None and self._may_be_stale(request, cached)
            if error.status != _UNAVAILABLE or cached is None or not stale:
                raise
            self._heard("stale", cached, request.located)
            return cached

    async def _as_part(self, request: _JudgementRequest, digest: Digest) -> Served | None:
        """Return a manifest that is part of an image which is allowed, or that image itself."""
        async for root in self._decision_cache.roots(request.place, digest):
            decision = await self._confirmed(request, root)
            if decision is None or decision.manifest is None:
                continue
            manifest = decision.closure.manifests.get(digest)
            if root.digest == digest:
                manifest = decision.manifest
            if manifest is not None:
                return self._served(request, decision, manifest, until=decision.fresh)
        return None

    async def _confirmed(
        self, request: _JudgementRequest, root: DecisionSubject
    ) -> Decision | None:
        """Return the decision on an image if it is allowed now; it is judged again if need be."""
        cached = await self._decision_cache.find(root)
        if cached is not None and self._is_fresh(request, cached):
            return cached if cached.allowed else None
        pinned = PinnedReference(root.place.repository, root.digest, tag=root.tag or None)
        # A tag may have gone on to a newer release: by its digest the image is still what was
        # begun.
        tries = [pinned] if pinned.tag is None else [pinned, pinned.with_digest(root.digest)]
        for reference in tries:
            try:
                decision = await self._by_digest(request, reference)
            except RequestRefusedError as error:
                if error.status == _UNAVAILABLE:
                    raise
                continue
            if decision.allowed:
                return decision
        return None

    async def _attached(
        self, request: _JudgementRequest, reference: PinnedReference
    ) -> Decision | None:
        """Return the decision on a proof that is attached to an allowed image."""
        request = request.of(reference)
        reader, repository = self._readers.of(request.upstream), reference.repository

        def read() -> tuple[RawManifest, ClaimedProof | None]:
            raw = reader.manifest(reference)
            return raw, proof_of(raw)

        def is_good(proof: ClaimedProof) -> bool:
            return is_genuine(
                proof, lambda descriptor: reader.blob(repository, descriptor, limit=MAX_BYTES)
            )

        try:
            raw, proof = await self._once_there(
                request.upstream, ("attached", reference), read, asker=request.asker
            )
            if proof is None:
                return None
            image = await self._by_digest(request, PinnedReference(repository, proof.subject))
            if not image.allowed:
                return None
            # It follows from the digest alone, and large junk is not read again for each request.
            genuine = self._genuine.get(request.located)
            if genuine is None:
                genuine = await self._once_there(
                    request.upstream,
                    ("genuine", reference),
                    lambda: is_good(proof),
                    asker=request.asker,
                )
                self._genuine[request.located] = genuine
            if not genuine:
                return None
        except RequestRefusedError:
            # Then the refusal of the reference itself is the answer.
            return None
        decision = served_with(raw, proof, image, now=self._now())
        self._decision_cache.learn(decision)
        return decision

    async def _once_there(
        self, upstream: Upstream, key: object, ask: Callable[[], T], *, asker: Asker
    ) -> T:
        """Ask an upstream, once for all who ask it the same at the same time."""
        return await self._verifying.once(
            (upstream.name, key),
            lambda: self._verifying.in_thread(upstream, ask),
            upstream=upstream,
            asker=asker,
        )

    async def _judge(self, request: _JudgementRequest, recorder: RecordingReader) -> Decision:
        def work() -> Decision:
            decision = decide(
                request.located,
                request.active,
                recorder,
                deps=self._deps,
                now=self._now(),
                lifetimes=self._times.lifetimes,
            )
            self._decision_cache.write(decision)
            return decision

        began = time.perf_counter()
        try:
            decision = await self._verifying.in_thread(request.upstream, work)
        except NotFoundError as error:
            self._heard("undecided", error, request.located)
            if not recorder.manifests:
                raise
            # The image is there; what is missing is something that a verdict needs.
            raise RegistryError(error.message, hint=error.hint, code="INCOMPLETE") from error
        except ImagekitError as error:
            self._heard("undecided", error, request.located)
            raise
        self._took(time.perf_counter() - began)
        self._decision_cache.learn(decision)
        self._heard("judged", decision, request.located)
        return decision

    def _check_ruled(self, repository: Repository) -> None:
        if not applicable(self._active().policy, repository.name):
            message = f"imagekit gate: no rule of the policy speaks of {repository.name}"
            raise RequestRefusedError(403, "DENIED", message)

    def _is_fresh(self, request: _JudgementRequest, decision: Decision) -> bool:
        return decision.is_fresh(request.active.fingerprint, self._now())

    def _may_be_stale(self, request: _JudgementRequest, decision: Decision) -> bool:
        now = self._now()
        recent = now < decision.made + self._times.lifetimes.stale
        return decision.allowed and recent and decision.holds(request.active.fingerprint, now)

    def _is_down(self, place: LocatedRepository) -> bool:
        """Return whether the upstream failed a moment ago, here and not in another repository."""
        until = self._down.get(place)
        return until is not None and self._now() < until

    def _served(
        self,
        request: _JudgementRequest,
        decision: Decision,
        manifest: RawManifest,
        *,
        until: datetime,
    ) -> Served:
        return Served(
            manifest=manifest,
            until=until,
            policy=request.active.fingerprint,
            stale=not self._is_fresh(request, decision),
        )
