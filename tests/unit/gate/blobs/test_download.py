"""Blobs whose connection breaks: the rest is asked for, a bounded number of times."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from imagekit.errors import RegistryError
from imagekit.gate.blobs.download import Wanted, resumed
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Repository

_CONTENT = b"content"


class _Breaking:
    """An origin that cannot be asked, or whose answers end after a byte."""

    def __init__(self, *, answers: bool, code: str = "CONNECTION") -> None:
        self.answers = answers
        self.code = code
        self.asked: list[int] = []

    @asynccontextmanager
    async def open(
        self, repository: Repository, digest: Digest, *, size: int, start: int = 0
    ) -> AsyncIterator[AsyncGenerator[bytes]]:
        """Yield one byte, if any."""
        del repository, digest, size
        self.asked.append(start)
        if not self.answers:
            raise RegistryError("it broke", code=self.code)

        async def pieces() -> AsyncGenerator[bytes]:
            yield _CONTENT[start : start + 1]
            raise RegistryError("it broke", code=self.code)

        yield pieces()

    async def place(self, repository: Repository, digest: Digest) -> str | None:
        """Nowhere."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to close."""


def _received(origin: _Breaking, size: int) -> bytes:
    """Return what came before the download was given up."""
    came = bytearray()
    digest = Digest.of(_CONTENT)
    wanted = Wanted(origin=origin, repository=Repository("r.site", "a"), digest=digest, size=size)

    async def receive() -> None:
        async for piece in resumed(wanted):
            came.extend(piece)

    with pytest.raises(RegistryError, match="it broke"):
        asyncio.run(receive())
    return bytes(came)


def test_what_breaks_is_resumed_three_times() -> None:
    """Each time for the rest."""
    origin = _Breaking(answers=True)

    assert _received(origin, len(_CONTENT)) == b"cont"
    assert origin.asked == [0, 1, 2, 3]


def test_what_cannot_be_asked_for_was_asked_for_again_already() -> None:
    """The conversation has its own tries, which are not multiplied here."""
    origin = _Breaking(answers=False)

    assert _received(origin, len(_CONTENT)) == b""
    assert origin.asked == [0]


def test_who_is_too_slow_is_not_waited_for_again() -> None:
    """Nor is a blob asked for again that came as a whole."""
    slow, whole = _Breaking(answers=True, code="TIMEOUT"), _Breaking(answers=True)

    assert _received(slow, len(_CONTENT)) == b"c"
    assert _received(whole, 1) == b"c"
    assert (slow.asked, whole.asked) == ([0], [0])
