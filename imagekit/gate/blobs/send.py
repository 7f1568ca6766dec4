"""Sending a blob, or a part of it: by sendfile from the cache, or piece by piece.

Always as application/octet-stream, so that nobody takes a manifest for one (containerd 1.6 does),
and never whole and wrong: where the digest turns out not to be right, the connection is cut before
the last bytes.
"""

import asyncio
import logging
import os
from contextlib import aclosing

from aiohttp import web
from msgspec import Struct

from imagekit.documents.digits import decimal
from imagekit.errors import ImagekitError, IntegrityError
from imagekit.gate.answers import OCTETS, RequestRefusedError
from imagekit.gate.blobs.download import Download, Wanted, checked
from imagekit.oci.digest import Digest

_log = logging.getLogger(__name__)
_TLS_PIECE = 256 << 10
_WINDOW = 8 << 20


class ByteRange(Struct, frozen=True):
    """Which bytes are wanted: from ``start`` up to but without ``end``."""

    start: int
    end: int
    size: int

    @property
    def partial(self) -> bool:
        """Whether a part was asked for."""
        return self.end - self.start != self.size


def span_of(header: str | None, size: int) -> ByteRange:
    """Read a Range header (RFC 9110 section 14.2); several ranges are answered by the whole.

    Raises:
        RequestRefusedError: the range lies outside (416).
    """
    whole = ByteRange(0, size, size)
    if header is None:
        return whole
    # If-Range (RFC 9110 section 13.1.5) is passed over: what has a digest for a name has one form.
    unit, _, text = header.partition("=")
    first, dash, last = text.strip().partition("-")
    # No blob has a position of more digits, and int() of a long text takes its time.
    numbers = all(not bound or decimal(bound, most=18) is not None for bound in (first, last))
    if unit.strip() != "bytes" or not dash or not numbers or not (first or last):
        return whole
    if not first:
        # A suffix: the last so many bytes (RFC 9110 section 14.1.2); none of them is no range.
        start, end = max(0, size - int(last)), size
        bad = int(last) == 0
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        # RFC 9110 sections 14.1.1 and 14.2: a range that ends before it begins is invalid, and may
        # be passed over.
        bad = bool(last) and int(last) < int(first)
        if bad:
            return whole
    if bad or start >= size:
        raise RequestRefusedError(
            416,
            # distribution's own code: the specification has none for ranges.
            "RANGE_INVALID",
            f"imagekit gate: the blob has {size} bytes",
            # RFC 9110 section 15.5.17: how long the whole is.
            headers={"Content-Range": f"bytes */{size}"},
        )
    return ByteRange(start, end, size)


def headers_of(digest: Digest, span: ByteRange) -> dict[str, str]:
    """Return the headers of a blob."""
    headers = {
        "Content-Type": OCTETS,
        "Content-Length": str(span.end - span.start),
        "Docker-Content-Digest": str(digest),
        "ETag": f'"{digest}"',
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        # What has a digest for a name never changes, but not everybody may have it.
        # RFC 8246: with ``immutable`` no cache asks whether it has changed.
        "Cache-Control": "private, max-age=31536000, immutable",
    }
    if span.partial:
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{span.size}"
    return headers


async def send_flow(
    request: web.BaseRequest, download: Download, digest: Digest, *, span: ByteRange
) -> web.StreamResponse:
    """Send what a flow brings.

    Raises:
        ImagekitError: there will be nothing, and nothing was sent.
    """
    # What is small is only answered at all when it is right.
    await download.beyond(min(span.start, max(0, download.size - 1)))
    response = _response(digest, span)
    await response.prepare(request)
    at = span.start
    try:
        while at < span.end:
            upto = min(await download.beyond(at), span.end, at + _WINDOW)
            await _copy(request, response, download, offset=at, count=upto - at)
            at = upto
    except ImagekitError as error:
        _cut(request, error)
    return response


async def send_pieces(request: web.BaseRequest, wanted: Wanted) -> web.StreamResponse:
    """Send a whole blob without a cache.

    Raises:
        ImagekitError: there is nothing, and nothing was sent.
    """
    response = _response(wanted.digest, ByteRange(0, wanted.size, wanted.size))
    async with aclosing(checked(wanted)) as pieces:
        try:
            async for piece in pieces:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(piece)
        except ImagekitError as error:
            if not response.prepared:
                raise
            _cut(request, error)
    return response


async def send_part(
    request: web.BaseRequest, wanted: Wanted, span: ByteRange
) -> web.StreamResponse:
    """Send a part of a blob without a cache: the digest of a part cannot be known.

    Raises:
        ImagekitError: there is nothing, and nothing was sent.
    """
    response = _response(wanted.digest, span)
    left = span.end - span.start
    opened = wanted.origin.open(
        wanted.repository, wanted.digest, size=wanted.size, start=span.start
    )
    async with opened as pieces:
        try:
            async for piece in pieces:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(piece[:left])
                left -= min(left, len(piece))
                if left == 0:
                    return response
        except ImagekitError as error:
            if not response.prepared:
                raise
            _cut(request, error)
            return response
    raise IntegrityError("the upstream's blob ends early", code="CONTENT_DIGEST_MISMATCH")


def _cut(request: web.BaseRequest, error: ImagekitError) -> None:
    """Cut the connection, so that what was sent is seen to be incomplete."""
    _log.warning("%s was cut off: %s", request.raw_path, error.message)
    # RFC 9112 section 8: fewer bytes than Content-Length says are an incomplete answer.
    if request.transport is not None:
        request.transport.abort()


def _response(digest: Digest, span: ByteRange) -> web.StreamResponse:
    status = 206 if span.partial else 200
    return web.StreamResponse(status=status, headers=headers_of(digest, span))


async def _copy(
    request: web.BaseRequest,
    response: web.StreamResponse,
    download: Download,
    *,
    offset: int,
    count: int,
) -> None:
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client went away")
    # The kernel sends a file as it is: behind TLS it has to be encrypted here first.
    if transport.get_extra_info("sslcontext") is None:
        await asyncio.get_running_loop().sendfile(transport, download.file, offset, count)
        return
    while count:
        piece = os.pread(download.file.fileno(), min(count, _TLS_PIECE), offset)
        if not piece:
            raise ConnectionResetError("the file ended early")
        await response.write(piece)
        offset, count = offset + len(piece), count - len(piece)
