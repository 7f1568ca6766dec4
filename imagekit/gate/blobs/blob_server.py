"""Sends blobs that may be served, from the cache where there is one."""

import logging
import time
from collections.abc import Callable

from aiohttp import web

from imagekit.gate.blobs.blob_cache import BlobCache
from imagekit.gate.blobs.download import Download, Downloads, Wanted
from imagekit.gate.blobs.origin import BlobOrigin, LayoutOrigin, RegistryOrigin
from imagekit.gate.blobs.send import (
    ByteRange,
    headers_of,
    send_flow,
    send_part,
    send_pieces,
    span_of,
)
from imagekit.gate.clients import Asker
from imagekit.gate.decisions.decision import Blob
from imagekit.gate.limits import ListenerLimits
from imagekit.gate.metrics import Metrics
from imagekit.gate.slots import FairSlots
from imagekit.gate.upstreams import Site, Upstream
from imagekit.oci.location import LayoutLocation, RegistryLocation

_log = logging.getLogger(__name__)
_PAUSE = 60.0
_FETCHES = 256
"""Answers of one upstream that wait for it at once; one client has a quarter of them at most."""
_SOMEBODY = Asker()


class BlobServer:
    """Blobs of all upstreams, on one event loop.

    Args:
        cache: where verified blobs are kept; None to keep none.
        metrics: counts.
        redirect: whether clients are sent on where the registry sends them.
        waiting: requests of one client that wait for their turn to be fetched.
    """

    def __init__(
        self,
        cache: BlobCache | None,
        metrics: Metrics,
        *,
        redirect: bool = False,
        waiting: int = ListenerLimits().waiting_per_client,
    ) -> None:
        self._waiting = waiting
        self._slots: dict[str, FairSlots] = {}
        self._redirect = redirect
        self._cache = cache
        self._downloads = None if cache is None else Downloads(cache)
        self._metrics = metrics
        self._origins: dict[str, BlobOrigin] = {}
        self._broken_until = 0.0

    async def send(
        self, request: web.BaseRequest, site: Site, blob: Blob, *, asker: Asker = _SOMEBODY
    ) -> web.StreamResponse:
        """Answer a request for a blob.

        Raises:
            ImagekitError: there is no good answer, and none was begun.
        """
        if request.method == "HEAD":
            # Size and digest stand in the allowed manifest: nobody need be asked. A range is passed
            # over, as it is defined for GET only (RFC 9110 section 14.2).
            return web.StreamResponse(headers=headers_of(blob.digest, span_of(None, blob.size)))
        span = span_of(request.headers.get("Range"), blob.size)
        origin = self._origin(site.upstream)
        wanted = Wanted(
            origin=origin, repository=site.repository, digest=blob.digest, size=blob.size
        )
        if self._usable is not None and not self._redirect and self._usable.has(wanted):
            return await self._sent(request, wanted, span, fetched=lambda: None)
        # What needs the upstream is bounded for each client, as the connections to it are.
        slots = self._slots_of(site.upstream)
        ticket = slots.enter(asker)
        async with slots.slot(ticket):
            return await self._sent(request, wanted, span, fetched=lambda: slots.leave(ticket))

    async def _sent(
        self,
        request: web.BaseRequest,
        wanted: Wanted,
        span: ByteRange,
        *,
        fetched: Callable[[], None],
    ) -> web.StreamResponse:
        """Send a blob.

        Args:
            request: what came.
            wanted: the blob.
            span: which bytes of it.
            fetched: is called when the upstream is not needed any more, while it is still sent.
        """
        if self._redirect:
            place = await wanted.origin.place(wanted.repository, wanted.digest)
            if place is not None:
                self._metrics.count("blob", "redirected")
                return _elsewhere(place)
        downloads = self._usable
        if downloads is not None:
            try:
                async with downloads.follow(wanted) as download:
                    if download is not None:
                        self._count(download)
                        if download.task is not None:
                            download.task.add_done_callback(lambda _task: fetched())
                        return await send_flow(request, download, wanted.digest, span=span)
            except OSError as error:
                if isinstance(error, ConnectionError):
                    raise
                self._broken(error)
        self._metrics.count("blob", "passed")
        if span.partial:
            return await send_part(request, wanted, span)
        return await send_pieces(request, wanted)

    @property
    def _usable(self) -> Downloads | None:
        """The cache, where there is one that works."""
        return self._downloads if time.monotonic() >= self._broken_until else None

    def _slots_of(self, upstream: Upstream) -> FairSlots:
        slots = self._slots.get(upstream.name)
        if slots is None:
            slots = FairSlots(_FETCHES, waiting=self._waiting, most=_FETCHES // 4)
            self._slots[upstream.name] = slots
        return slots

    def _count(self, download: Download) -> None:
        self._metrics.count("blob", "cached" if download.whole else "fetched")

    def _broken(self, error: OSError) -> None:
        """Do without the cache for a while: a full disk does not keep images from being pulled."""
        self._broken_until = time.monotonic() + _PAUSE
        self._metrics.count("cache", "broken")
        _log.error("the cache cannot be written, and is not used for %.0f s: %s", _PAUSE, error)

    def _origin(self, upstream: Upstream) -> BlobOrigin:
        origin = self._origins.get(upstream.name)
        if origin is None:
            match upstream.location:
                case LayoutLocation(path=folder):
                    origin = LayoutOrigin(folder)
                case RegistryLocation():
                    origin = RegistryOrigin(upstream)
            self._origins[upstream.name] = origin
        return origin

    async def close(self) -> None:
        """Let go of all connections and of the cache."""
        for origin in self._origins.values():
            await origin.close()
        if self._downloads is not None:
            self._downloads.close()
        if self._cache is not None:
            self._cache.close()


def _elsewhere(place: str) -> web.StreamResponse:
    # Stores of blobs sign such places for some minutes only.
    headers = {"Location": place, "Cache-Control": "no-store", "Content-Length": "0"}
    # RFC 9110 section 15.4.8: the client asks there by the same method.
    return web.StreamResponse(status=307, headers=headers)
