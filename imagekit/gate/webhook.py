"""A validating webhook for Kubernetes: an HTTPS face over ``pipeline.admission``.

Every answer that is not a clean yes is a no: a review that cannot be read, an image without a
verdict, a judgement that takes longer than the API server waits. Set ``failurePolicy: Fail``, so
that it is no as well while this service is down.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from imagekit.errors import DocumentError, ImagekitError
from imagekit.formats.admission import MAX_REVIEW, parse_review, review_answer
from imagekit.formats.digits import decimal
from imagekit.model.admission import Admission, Review

_log = logging.getLogger(__name__)
_MARGIN = 1.0
_LONGEST = 30.0
_DEFAULT_WAIT = 10.0
_BODY_SECONDS = 10.0
_MOST = 64
"""Most reviews that are judged at once; each may hold megabytes."""

Admit = Callable[[Review], Admission]


@dataclass(slots=True)
class Webhook:
    """Answers API servers.

    Args:
        admit: judges a review; runs in a thread.
        heard: is told of every answer.
    """

    admit: Admit
    heard: Callable[[Review, Admission], None]
    _running: int = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        target = urlsplit(request.raw_path)
        if target.path in {"/healthz", "/readyz"} and request.method == "GET":
            return web.Response(text="ok\n")
        if target.path != "/validate":
            return web.Response(status=404, text="imagekit webhook: POST /validate\n")
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "POST"})
        if self._running >= _MOST:
            return web.Response(status=503, headers={"Retry-After": "1"})
        self._running += 1
        try:
            return await self._review(request, _wait(target.query))
        finally:
            self._running -= 1

    async def _review(self, request: web.BaseRequest, wait: float) -> web.StreamResponse:
        try:
            raw = await asyncio.wait_for(_body(request), _BODY_SECONDS)
            review = parse_review(raw)
        except TimeoutError:
            return web.Response(status=408)
        except DocumentError as error:
            return web.Response(status=400, text=f"imagekit webhook: {error.message}\n")
        admission = await self._decided(review, wait)
        self.heard(review, admission)
        body = review_answer(admission)
        return web.Response(body=body, content_type="application/json")

    async def _decided(self, review: Review, wait: float) -> Admission:
        try:
            return await asyncio.wait_for(asyncio.to_thread(self.admit, review), wait)
        except TimeoutError:
            message = f"imagekit: no verdict within {wait:.0f} s, so it is refused; try again"
        except ImagekitError as error:
            message = f"imagekit: no verdict, so it is refused: {error.message}"
        except Exception:  # noqa: BLE001 - the outermost border: whatever happens is a no
            _log.exception("a fault of the webhook")
            message = "imagekit: a fault of the webhook itself, so it is refused"
        return Admission(uid=review.uid, allowed=False, message=message)


async def _body(request: web.BaseRequest) -> bytes:
    """Read the body, bounded.

    Raises:
        DocumentError: it is too large.
    """
    parts, size = [], 0
    async for part in request.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > MAX_REVIEW:
            raise DocumentError(f"more than {MAX_REVIEW} bytes", code="TOO_LARGE")
    return b"".join(parts)


def _wait(query: str) -> float:
    """Return how long a judgement may take: a second less than the API server waits.

    It says so in the query, as ``timeout=10s``.
    """
    said = parse_qs(query).get("timeout", [""])[0].removesuffix("s")
    stated = decimal(said, most=4)
    seconds = _DEFAULT_WAIT if stated is None else stated
    return max(_MARGIN, min(seconds, _LONGEST) - _MARGIN)
