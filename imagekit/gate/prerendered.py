"""Answers that are bytes already: what many nodes ask for at once is written in one piece."""

import time
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from imagekit.gate.answers import Answer

_PRODUCT = "imagekit"
# distribution-spec, "Legacy Docker support HTTP headers": optional, and no client should need it.
API = {"Docker-Distribution-API-Version": "registry/2.0", "Server": _PRODUCT}


def headers_of(answer: Answer) -> dict[str, str]:
    """Return all headers of an answer but for Date and Connection."""
    return {
        "Content-Type": answer.content_type,
        "Content-Length": str(len(answer.body)),
        **API,
        **answer.headers,
    }


class PrerenderedResponse(web.StreamResponse):
    """An answer whose bytes are made once and sent to many.

    Args:
        answer: what is answered.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(status=answer.status, headers=headers_of(answer))
        phrase = HTTPStatus(answer.status).phrase
        lines = [f"{name}: {value}\r\n" for name, value in headers_of(answer).items()]
        head = f"HTTP/1.1 {answer.status} {phrase}\r\n{''.join(lines)}"
        self._head = head.encode()
        self._whole = answer.body
        self._second = 0
        self._with_body = b""
        self._without = b""

    @property
    def keep_alive(self) -> bool:
        """Always: only who keeps the connection is answered so."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write everything."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client went away")
        second = int(time.time())
        if second != self._second:
            self._second = second
            # RFC 9110 section 6.6.1; to the second, so that one text serves for all answers of a
            # second.
            date = f"Date: {formatdate(second, usegmt=True)}\r\n\r\n".encode()
            self._without = self._head + date
            self._with_body = self._without + self._whole
        transport.write(self._with_body if request.method == "GET" else self._without)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: everything is written."""


def fits(request: web.BaseRequest) -> bool:
    """Return whether a client can be answered so: it keeps the connection, and reads what comes."""
    transport = request.transport
    return (
        transport is not None
        and request.keep_alive
        and request.version == (1, 1)
        and transport.get_write_buffer_size() == 0
    )
