"""The gate's handler of requests: from the grammar to the answer."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from aiohttp import web
from cachetools import LRUCache
from msgspec import Struct, field

from imagekit.errors import ImagekitError
from imagekit.gate import listing
from imagekit.gate.answers import (
    Answer,
    RequestRefusedError,
    not_allowed,
    unavailable,
    unknown_blob,
)
from imagekit.gate.audit import Audit
from imagekit.gate.auth.authenticate import NOBODY, Authenticator, Client
from imagekit.gate.blobs.blob_server import BlobServer
from imagekit.gate.clients import Asker, Clients
from imagekit.gate.decisions.refusals import DenialError, refusing
from imagekit.gate.decisions.service import DecisionService, Served
from imagekit.gate.limits import ListenerLimits
from imagekit.gate.metrics import Metrics
from imagekit.gate.pace import Pace
from imagekit.gate.prerendered import PrerenderedResponse, fits, headers_of
from imagekit.gate.request_paths import (
    Ask,
    AskBlob,
    AskCatalog,
    AskHealth,
    AskManifest,
    AskReferrers,
    AskTags,
    Ping,
    parse,
)
from imagekit.gate.upstreams import Site, Upstreams
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference, Reference, TaggedReference

_log = logging.getLogger(__name__)
_HOT_BYTES = 64 << 20
_OVERHEAD = 2048
# distribution-spec, "Determining Support": the status says it all; docker-registry sends this body.
_PING = Answer(body=b"{}")
_ALIVE = "/healthz"
_UNAUTHORIZED = 401


class _CachedResponse(Struct, frozen=True, kw_only=True):
    """An answer that is given again without a further look, for a while."""

    answer: Answer
    prerendered: PrerenderedResponse
    until: float
    """By the monotonic clock."""
    policy: str
    path: str
    """The repository's name here, for the rights of clients."""


class Gate(Struct, kw_only=True):
    """Answers the requests of one listener.

    Args:
        upstreams: what is in front of which.
        decisions: decides.
        blob_server: has the blobs.
        access: knows the clients.
        audit: records every decision and refusal.
        metrics: counts.
        listings: which lists are given.
        policy: returns the fingerprint of the policy in force.
        probes: answers what is not of the registry; empty where another listener does.
        contact: whom users ask, for refusals.
        clients: identifies clients by their addresses.
        pace: when costly refusals are answered.
    """

    upstreams: Upstreams
    decisions: DecisionService
    blob_server: BlobServer
    access: Authenticator
    audit: Audit
    metrics: Metrics
    listings: listing.Listings
    policy: Callable[[], str]
    probes: Mapping[str, Callable[[], Answer]]
    contact: str = ""
    clients: Clients = field(default_factory=Clients)
    pace: Pace = field(default_factory=lambda: Pace(ListenerLimits()))
    _hot: LRUCache[str, _CachedResponse] = field(
        default_factory=lambda: LRUCache(_HOT_BYTES, _hot_weight)
    )

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request; nothing that it brings can make this fail."""
        address = self.clients.client(request)
        asker = Asker(address)
        try:
            _check_method(request)
            hot = self._hot.get(request.raw_path)
            # What is no request is refused before a password is looked at.
            ask = None if hot is not None else parse(request.raw_path)
            # Without a login: it says that the process runs, and whoever watches that has none.
            if request.raw_path == _ALIVE:
                return self._plain(request, self._probe(AskHealth("healthz")))
            client = NOBODY if self.access.open else await self.access.client(request, address)
            if hot is not None and self._is_hot(hot, client):
                self.metrics.count("manifest", "cached")
                return hot.prerendered if fits(request) else self._plain(request, hot.answer)
            asker = Asker(address, client.name)
            ask = ask or parse(request.raw_path)
            return await self._answer(request, ask, client, asker=asker)
        except RequestRefusedError as error:
            answer = self._refusal(request, error)
            if not _is_cheap(request, error):
                await self.pace.refused(asker)
            return self._plain(request, answer)
        except ImagekitError as error:
            _log.warning("%s %s: %s", request.method, request.raw_path, error.message)
            refusal = unavailable(error.message)
            return self._plain(request, self._refusal(request, refusal))
        except (ConnectionError, asyncio.CancelledError):
            # The client went away.
            raise
        except Exception:  # noqa: BLE001 - the outermost border: an answer, whatever happens
            _log.exception("a fault of the gate, at %s", request.raw_path)
            fault = RequestRefusedError(500, "UNKNOWN", "imagekit gate: a fault of the gate itself")
            return self._plain(request, fault.answer)

    def _is_hot(self, hot: _CachedResponse, client: Client) -> bool:
        # The rights of this client are looked up all the same: others have brought the answer here.
        good = hot.policy == self.policy() and time.monotonic() < hot.until
        return good and self.access.allows(client, hot.path)

    async def _answer(
        self, request: web.BaseRequest, ask: Ask, client: Client, *, asker: Asker
    ) -> web.StreamResponse:
        match ask:
            case AskHealth():
                self.access.check_known(client)
                return self._plain(request, self._probe(ask))
            case Ping():
                self.access.check(client, None)
                return self._plain(request, _PING)
            case AskCatalog():
                self.access.check(client, None)
                return self._plain(request, self._catalog(ask, client))
            case AskBlob():
                site = self._located(ask, client)
                return await self._blob(request, site, ask.digest, asker=asker)
            case AskManifest():
                site = self._located(ask, client)
                return await self._manifest(request, site, ask.reference, asker=asker)
            case AskTags() | AskReferrers():
                site = self._located(ask, client)
                answer = await self.listings.answer(ask, site, self.decisions, asker=asker)
                return self._plain(request, answer)

    def _located(self, ask: AskManifest | AskBlob | AskTags | AskReferrers, client: Client) -> Site:
        """Return what is asked for; rights are about the upstream that was chosen."""
        try:
            chosen = self.upstreams.choose(ask)
        except RequestRefusedError:
            # Which upstreams there are is not shown to clients without rights.
            self.access.check(client, ask.path)
            raise
        self.access.check(client, chosen.path)
        return self.upstreams.site(chosen)

    def _catalog(self, ask: AskCatalog, client: Client) -> Answer:
        return self.listings.catalog(
            ask, self.upstreams, seen=lambda path: self.access.allows(client, path)
        )

    def _probe(self, ask: AskHealth) -> Answer:
        probe = self.probes.get(ask.name)
        if probe is None:
            return Answer(status=404)
        return probe()

    async def _manifest(
        self, request: web.BaseRequest, site: Site, name: str | Digest, *, asker: Asker
    ) -> web.StreamResponse:
        reference: Reference = (
            PinnedReference(site.repository, name)
            if isinstance(name, Digest)
            else TaggedReference(site.repository, name)
        )
        served = await self.decisions.manifest(site.upstream, reference, asker=asker)
        answer = _manifest_answer(served)
        self.metrics.count("manifest", "stale" if served.stale else "served")
        left = (served.until - datetime.now(UTC)).total_seconds()
        if left > 0:
            hot = _CachedResponse(
                answer=answer,
                prerendered=PrerenderedResponse(answer),
                until=time.monotonic() + left,
                policy=served.policy,
                path=site.path,
            )
            self._hot.pop(request.raw_path, None)
            # ValueError: it is too large to be kept.
            with suppress(ValueError):
                self._hot[request.raw_path] = hot
        return self._plain(request, answer)

    async def _blob(
        self, request: web.BaseRequest, site: Site, digest: Digest, *, asker: Asker
    ) -> web.StreamResponse:
        blob = await self.decisions.blob(site.upstream, site.repository, digest, asker=asker)
        with refusing(unknown_blob(digest)):
            return await self.blob_server.send(request, site, blob, asker=asker)

    def _refusal(self, request: web.BaseRequest, error: RequestRefusedError) -> Answer:
        self.metrics.count("refused", error.code)
        self.audit.refused(request, error, self.clients.address(request))
        answer = error.answer
        if self.contact and isinstance(error, DenialError):
            document = json.loads(answer.body)
            document["errors"][0]["message"] += f" (ask {self.contact})"
            body = json.dumps(document, ensure_ascii=False).encode()
            return Answer(status=answer.status, body=body, headers=answer.headers)
        return answer

    def _plain(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        headers = headers_of(answer)
        if request.method == "HEAD":
            # RFC 9110 section 9.3.2: the headers of GET, Content-Length among them, without the
            # body.
            return web.StreamResponse(status=answer.status, headers=headers)
        return web.Response(status=answer.status, headers=headers, body=answer.body)


def _manifest_answer(served: Served) -> Answer:
    manifest = served.manifest
    return Answer(
        # As it is, whatever Accept says, which a server may disregard (RFC 9110 section 12.5.1):
        # another form of the image would have another digest.
        content_type=manifest.media_type,
        body=manifest.raw,
        headers={
            # distribution-spec v1.1, "Pulling manifests": every answer with a manifest should have
            # it.
            "Docker-Content-Digest": str(manifest.digest),
            "ETag": f'"{manifest.digest}"',
            # A browser must not take for a page what somebody pushed.
            "X-Content-Type-Options": "nosniff",
            # A tag may be moved and the policy changed: caches ask again before each use.
            "Cache-Control": "private, no-cache",
        },
    )


def _check_method(request: web.BaseRequest) -> None:
    if request.method not in {"GET", "HEAD"}:
        raise not_allowed()


def _is_cheap(request: web.BaseRequest, error: RequestRefusedError) -> bool:
    """Return whether a refusal costs nothing, and so is never delayed.

    That is the first step of a login, and an image that the policy denies: the verdict on it is
    remembered, and a withdrawal is to be seen at once.
    """
    first = error.status == _UNAUTHORIZED and "Authorization" not in request.headers
    return first or isinstance(error, DenialError)


def _hot_weight(hot: _CachedResponse) -> int:
    # The bytes are there twice: alone, and behind their headers.
    return 2 * len(hot.answer.body) + _OVERHEAD
