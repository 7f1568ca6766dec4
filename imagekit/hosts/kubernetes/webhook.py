"""A validating webhook for Kubernetes: HTTPS in front of ``admission``.

Whatever is not allowed is refused: a review that cannot be read, an image without a verdict, a
judgement that takes longer than the API server waits. Set ``failurePolicy: Fail``, so that it is
refused as well while this service is down.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from imagekit.documents.digits import decimal
from imagekit.errors import DocumentError, ImagekitError
from imagekit.gate.answers import RequestRefusedError, too_many
from imagekit.gate.clients import Asker, Clients
from imagekit.gate.limits import ListenerLimits
from imagekit.gate.threads import FairThreads
from imagekit.hosts.kubernetes.review import (
    MAX_REVIEW,
    Admission,
    Review,
    parse_review,
    review_answer,
)
from imagekit.policy.findings import plain

_log = logging.getLogger(__name__)
_MARGIN = 1.0
_LONGEST = 30.0
_DEFAULT_WAIT = 10.0
_READ, _JUDGED = 2, 16
"""Reviews that are read and judged at once, in threads of their own; others wait."""
_HELD = 128 << 20
_HELD_OF_CLIENT = 4 * MAX_REVIEW
_MALFORMED = frozenset({400, 408})

Admit = Callable[[Review], Admission]


class Webhook:
    """Answers API servers; on one event loop.

    A review is received as a whole before it takes a thread, so that half a review delays no other
    client, and clients take turns.

    Args:
        admit: judges a review; runs in a thread.
        heard: gets every answer.
        malformed: gets a client's address, and what is wrong with its review.
        limits: how much a client may use.
        clients: identifies clients.
    """

    def __init__(
        self,
        *,
        admit: Admit,
        heard: Callable[[Review, Admission], None],
        malformed: Callable[[str, str], None] = lambda _client, _message: None,
        limits: ListenerLimits | None = None,
        clients: Clients | None = None,
    ) -> None:
        self._admit = admit
        self._heard = heard
        self._malformed = malformed
        self._limits = limits or ListenerLimits()
        self._clients = clients or Clients()
        waiting = self._limits.waiting_per_client
        self._reading = FairThreads("review", _READ, waiting=waiting, wait=_LONGEST)
        self._judging = FairThreads("admission", _JUDGED, waiting=waiting, wait=_LONGEST)
        self._bodies = _Bodies()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        target = urlsplit(request.raw_path)
        if target.path in {"/healthz", "/readyz"} and request.method == "GET":
            return web.Response(text="ok\n")
        if target.path != "/validate":
            return web.Response(status=404, text="imagekit webhook: POST /validate\n")
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "POST"})
        asker = Asker(self._clients.client(request))
        try:
            with self._bodies.of(asker.address) as hold:
                raw = await self._body(request, hold)
                review = await self._read(raw, asker)
                return await self._answer(review, asker, wait=_wait(target.query))
        except RequestRefusedError as error:
            if error.status in _MALFORMED:
                self._malformed(self._clients.address(request), plain(error.message))
            text = f"imagekit webhook: {error.message}\n"
            return web.Response(status=error.status, headers=error.headers, text=text)

    def close(self) -> None:
        """End the threads."""
        self._reading.close()
        self._judging.close()

    async def _body(self, request: web.BaseRequest, hold: Callable[[int], None]) -> bytes:
        try:
            async with asyncio.timeout(self._limits.body.total_seconds()):
                return await _whole(request, hold)
        except TimeoutError as error:
            message = "the review does not come to its end"
            raise RequestRefusedError(408, "REVIEW_TIMEOUT", message) from error
        except web.RequestPayloadError as error:
            message = f"the body cannot be read: {error}"
            raise RequestRefusedError(400, "BAD_REVIEW", message) from error

    async def _read(self, raw: bytes, asker: Asker) -> Review:
        try:
            return await self._reading.once(
                object(), lambda: self._reading.call(parse_review, raw), asker=asker
            )
        except DocumentError as error:
            raise RequestRefusedError(400, "BAD_REVIEW", error.message) from error

    async def _answer(self, review: Review, asker: Asker, *, wait: float) -> web.Response:
        admission = await self._decided(review, asker, wait=wait)
        self._heard(review, admission)
        return web.Response(body=review_answer(admission), content_type="application/json")

    async def _decided(self, review: Review, asker: Asker, *, wait: float) -> Admission:
        work = self._judging.once(
            object(), lambda: self._judging.call(self._admit, review), asker=asker
        )
        try:
            async with asyncio.timeout(wait):
                return await work
        except TimeoutError:
            message = f"imagekit: no verdict within {wait:.0f} s, so it is refused; try again"
        except ImagekitError as error:
            message = f"imagekit: no verdict, so it is refused: {error.message}"
        except Exception:  # noqa: BLE001 - the outermost border: any fault is a refusal
            _log.exception("a fault of the webhook")
            message = "imagekit: a fault of the webhook itself, so it is refused"
        return Admission(uid=review.uid, allowed=False, message=message)


class _Bodies:
    """The bytes of reviews that are being read or judged: bounded for each client, and in all."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    @contextmanager
    def of(self, client: str) -> Iterator[Callable[[int], None]]:
        """Yield a function that counts bytes as they come; they are uncounted at the end."""
        mine = 0

        def hold(count: int) -> None:
            nonlocal mine
            mine += count
            self._held[client] += count
            if self._held[client] > _HELD_OF_CLIENT or self._held.total() > _HELD:
                raise too_many("too many bytes of reviews at once")

        try:
            yield hold
        finally:
            self._held[client] -= mine
            if not self._held[client]:
                del self._held[client]


async def _whole(request: web.BaseRequest, hold: Callable[[int], None]) -> bytes:
    """Read the body, bounded.

    Raises:
        RequestRefusedError: it is too large, or there are too many others at once.
    """
    parts, size = [], 0
    async for part in request.content.iter_any():
        hold(len(part))
        parts.append(part)
        size += len(part)
        if size > MAX_REVIEW:
            raise RequestRefusedError(
                400, "TOO_LARGE", f"the review has more than {MAX_REVIEW} bytes"
            )
    return b"".join(parts)


def _wait(query: str) -> float:
    """Return how long a judgement may take: a second less than the API server waits.

    The API server sends its own limit in the query, as ``timeout=10s``.
    """
    text = parse_qs(query).get("timeout", [""])[0].removesuffix("s")
    stated = decimal(text, most=4)
    seconds = _DEFAULT_WAIT if stated is None else stated
    return max(_MARGIN, min(seconds, _LONGEST) - _MARGIN)
