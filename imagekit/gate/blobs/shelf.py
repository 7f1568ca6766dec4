"""The shelf: sends blobs that may be served, from the cache where there is one."""

import logging
import time

from aiohttp import web

from imagekit.gate.blobs.cache import BlobCache
from imagekit.gate.blobs.flow import Flow, Flows, Wanted
from imagekit.gate.blobs.origin import LayoutOrigin, Origin, RegistryOrigin
from imagekit.gate.blobs.send import headers_of, send_flow, send_part, send_pieces, span_of
from imagekit.gate.decision import Blob
from imagekit.gate.metrics import Metrics
from imagekit.gate.upstreams import Site, Upstream

_log = logging.getLogger(__name__)
_PAUSE = 60.0


class Shelf:
    """Blobs of all upstreams, on one event loop.

    Args:
        cache: where verified blobs are kept; None to keep none.
        metrics: counts.
        redirect: whether clients are sent on where the registry sends them.
    """

    def __init__(
        self, cache: BlobCache | None, metrics: Metrics, *, redirect: bool = False
    ) -> None:
        self._redirect = redirect
        self._cache = cache
        self._flows = None if cache is None else Flows(cache)
        self._metrics = metrics
        self._origins: dict[str, Origin] = {}
        self._broken_until = 0.0

    async def send(
        self,
        request: web.BaseRequest,
        site: Site,
        blob: Blob,
    ) -> web.StreamResponse:
        """Answer a request for a blob.

        Raises:
            ImagekitError: there is no good answer, and none was begun.
        """
        span = span_of(request.headers.get("Range"), blob.size)
        if request.method == "HEAD":
            status = 206 if span.partial else 200
            return web.StreamResponse(status=status, headers=headers_of(blob.digest, span))
        origin = self._origin(site.upstream)
        wanted = Wanted(
            origin=origin, repository=site.repository, digest=blob.digest, size=blob.size
        )
        if self._redirect:
            place = await origin.place(site.repository, blob.digest)
            if place is not None:
                self._metrics.count("blob", "redirected")
                return _elsewhere(place)
        if self._flows is not None and time.monotonic() >= self._broken_until:
            try:
                async with self._flows.follow(wanted) as flow:
                    if flow is not None:
                        self._count(flow)
                        return await send_flow(request, flow, wanted.digest, span=span)
            except OSError as error:
                if isinstance(error, ConnectionError):
                    raise
                self._broken(error)
        self._metrics.count("blob", "passed")
        if span.partial:
            return await send_part(request, wanted, span)
        return await send_pieces(request, wanted)

    def _count(self, flow: Flow) -> None:
        self._metrics.count("blob", "cached" if flow.whole else "fetched")

    def _broken(self, error: OSError) -> None:
        """Do without the cache for a while: a full disk does not keep images from being pulled."""
        self._broken_until = time.monotonic() + _PAUSE
        self._metrics.count("cache", "broken")
        _log.error("the cache cannot be written, and is not used for %.0f s: %s", _PAUSE, error)

    def _origin(self, upstream: Upstream) -> Origin:
        found = self._origins.get(upstream.name)
        if found is None:
            layout = upstream.layout
            found = RegistryOrigin(upstream) if layout is None else LayoutOrigin(layout)
            self._origins[upstream.name] = found
        return found

    async def close(self) -> None:
        """Let go of all connections and of the cache."""
        for origin in self._origins.values():
            await origin.close()
        if self._flows is not None:
            self._flows.close()
        if self._cache is not None:
            self._cache.close()


def _elsewhere(place: str) -> web.StreamResponse:
    headers = {"Location": place, "Cache-Control": "no-store", "Content-Length": "0"}
    return web.StreamResponse(status=307, headers=headers)
