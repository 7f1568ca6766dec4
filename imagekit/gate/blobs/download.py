"""A blob on its way: one hashes and writes it, many send it.

What must hold:

1. Nobody is sent the last bytes before all of them had the right digest.
2. All who want one blob at once share one download.
3. When the last of them goes away, the download ends and lets go of its upstream.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from typing import BinaryIO, Self

from msgspec import Struct

from imagekit.errors import ImagekitError, IntegrityError, RegistryError
from imagekit.gate.blobs.blob_cache import BlobCache, PartialBlob
from imagekit.gate.blobs.origin import BlobOrigin
from imagekit.oci.digest import Digest
from imagekit.oci.reference import Repository

HELD_BACK = 64 << 10
"""The last bytes, which are sent when the digest was right; a smaller blob waits as a whole."""
_RECHECK = 4 << 20
_THREADS = 8
_RESUMES = 3


class Wanted(Struct, frozen=True, kw_only=True):
    """A blob that may be served: where it is from, and what it has to be."""

    origin: BlobOrigin
    repository: Repository
    digest: Digest
    size: int


class Download:
    """How far a blob has come."""

    def __init__(self, file: BinaryIO, size: int, *, whole: bool = False) -> None:
        self.file = file
        self.size = size
        self.ready = size if whole else 0
        """Bytes from the beginning that may be sent."""
        self.whole = whole
        self.error: ImagekitError | None = None
        self.followers = 0
        self.task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def advance(self, received: int) -> None:
        """Note how many bytes are there."""
        ready = min(received, self.size - HELD_BACK)
        if ready > self.ready:
            self.ready = ready
            self._wake()

    def finish(self) -> None:
        """Note that all bytes are there and right."""
        self.ready, self.whole = self.size, True
        self._wake()

    def fail(self, error: ImagekitError) -> None:
        """Note that there will be no more."""
        self.error = error
        self._wake()

    async def beyond(self, position: int) -> int:
        """Wait until more than ``position`` bytes may be sent, and return how many.

        Raises:
            ImagekitError: there will be no more.
        """
        while self.ready <= position and not self.whole:
            if self.error is not None:
                raise self.error
            await self._changed.wait()
        return self.ready

    def _wake(self) -> None:
        # Whoever waits now is woken; who comes later waits for the next change.
        self._changed.set()
        self._changed = asyncio.Event()


class Downloads:
    """All blobs that are on their way, through a cache.

    Args:
        cache: where they are written.
    """

    def __init__(self, cache: BlobCache) -> None:
        self._cache = cache
        # By all that is wanted: another repository, or another size, may be a lie about the digest
        # whose failure is not that of the others.
        self._running: dict[Wanted, Download] = {}
        self._pool = ThreadPoolExecutor(_THREADS, "gate-blob")

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=True)

    def has(self, wanted: Wanted) -> bool:
        """Return whether a blob is in the cache as a whole."""
        return wanted not in self._running and self._cache.has(wanted.digest, wanted.size)

    @asynccontextmanager
    async def follow(self, wanted: Wanted) -> AsyncIterator[Download | None]:
        """Yield the flow of a blob; None where the cache has no room for it.

        Raises:
            OSError: the cache cannot be written.
        """
        download = self._running.get(wanted) or self._begin(wanted)
        if download is None:
            yield None
            return
        download.followers += 1
        try:
            yield download
        finally:
            download.followers -= 1
            if download.followers == 0:
                await self._end(wanted, download)

    def _begin(self, wanted: Wanted) -> Download | None:
        opened = self._cache.open(wanted.digest, wanted.size)
        if opened is not None:
            file, checked = opened
            download = Download(file, wanted.size, whole=checked)
            if not checked:
                self._start(wanted, download, self._recheck(wanted, download))
            return download
        part = self._cache.begin(wanted.size)
        if part is None:
            return None
        download = Download(part.file, wanted.size)
        self._start(wanted, download, self._download(wanted, download, part))
        return download

    def _start(self, wanted: Wanted, download: Download, work: Coroutine[None, None, None]) -> None:
        self._running[wanted] = download
        download.task = asyncio.create_task(self._run(wanted, download, work))

    async def _run(
        self, wanted: Wanted, download: Download, work: Coroutine[None, None, None]
    ) -> None:
        try:
            await work
        except ImagekitError as error:
            download.fail(error)
        except OSError as error:
            download.fail(RegistryError(f"the gate's cache: {error}", code="CACHE"))
        finally:
            if self._running.get(wanted) is download:
                del self._running[wanted]

    async def _end(self, wanted: Wanted, download: Download) -> None:
        try:
            if download.task is not None:
                if self._running.get(wanted) is download:
                    del self._running[wanted]
                download.task.cancel()
                await _ended(download.task)
        finally:
            download.file.close()

    async def _download(self, wanted: Wanted, download: Download, part: PartialBlob) -> None:
        committed = False
        try:
            await self._receive(wanted, download, part.file)
            self._cache.commit(part, wanted.digest)
            committed = True
            download.finish()
        finally:
            if not committed:
                self._cache.abandon(part)

    async def _receive(self, wanted: Wanted, download: Download, file: BinaryIO) -> None:
        """Write and hash a blob: one piece in a thread, while the next one comes in."""
        hasher = hashlib.new(wanted.digest.algorithm)
        handle, at = file.fileno(), 0

        def add(piece: bytes, offset: int) -> None:
            hasher.update(piece)
            _write(handle, piece, offset)

        async with aclosing(resumed(wanted)) as pieces, _Worker(self._pool) as worker:
            async for piece in pieces:
                # descriptor.md, "size": what has another length is not trusted. No more than that
                # is written, whatever an upstream sends.
                if at + len(piece) > wanted.size:
                    raise _mismatch(wanted, "at the upstream")
                await worker.ready()
                # What is in the file by now: not yet the piece that came last.
                download.advance(at)
                worker.start(add, piece, at)
                at += len(piece)
            await worker.ready()
        if at != wanted.size or hasher.hexdigest() != wanted.digest.hex:
            raise _mismatch(wanted, "at the upstream")

    async def _recheck(self, wanted: Wanted, download: Download) -> None:
        """Hash what an earlier process left, and advance as far as that is done."""
        hasher = hashlib.new(wanted.digest.algorithm)
        handle = download.file.fileno()

        def step(offset: int) -> None:
            hasher.update(os.pread(handle, _RECHECK, offset))

        async with _Worker(self._pool) as worker:
            for at in range(0, wanted.size, _RECHECK):
                worker.start(step, at)
                await worker.ready()
                download.advance(at + _RECHECK)
        if hasher.hexdigest() != wanted.digest.hex:
            self._cache.discard(wanted.digest)
            raise _mismatch(wanted, "in the cache")
        self._cache.checked(wanted.digest)
        download.finish()


class _Worker:
    """One piece of work at a time in a thread; a file is not closed while it still runs."""

    def __init__(self, pool: ThreadPoolExecutor | None) -> None:
        self._pool = pool
        self._running: asyncio.Future[None] | None = None

    def start(self, work: Callable[..., None], *arguments: object) -> None:
        loop = asyncio.get_running_loop()
        self._running = loop.run_in_executor(self._pool, work, *arguments)

    async def ready(self) -> None:
        """Wait for what was started.

        Raises:
            OSError: it failed.
        """
        if self._running is not None:
            await asyncio.shield(self._running)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._running is not None:
            await _ended(self._running)
            self._running.exception()


async def _ended(work: asyncio.Future[None]) -> None:
    """Wait for the end of work, also where who waits is cancelled meanwhile.

    A thread that still writes would write into whatever has the descriptor after its file.
    """
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def resumed(wanted: Wanted) -> AsyncGenerator[bytes]:
    """Yield the pieces of a blob; a connection that breaks is made again for the rest.

    Only one that was there: what could not even be asked for was asked for again already.

    Raises:
        RegistryError: it broke too often, or there is no good answer.
    """
    at, left = 0, _RESUMES
    while True:
        answered = False
        try:
            async with wanted.origin.open(
                wanted.repository, wanted.digest, size=wanted.size, start=at
            ) as pieces:
                answered = True
                async for piece in pieces:
                    at += len(piece)
                    yield piece
        except RegistryError as error:
            broke = answered and error.code == "CONNECTION"
            if not broke or left == 0 or at >= wanted.size:
                raise
            left -= 1
        else:
            return


async def checked(wanted: Wanted) -> AsyncGenerator[bytes]:
    """Yield the pieces of a blob without a cache, the last bytes when the digest was right.

    Raises:
        IntegrityError: it was not; the last bytes do not come.
    """
    hasher = hashlib.new(wanted.digest.algorithm)
    held, at = b"", 0
    async with aclosing(resumed(wanted)) as pieces, _Worker(None) as worker:
        async for piece in pieces:
            at += len(piece)
            if at > wanted.size:
                break
            await worker.ready()
            worker.start(hasher.update, piece)
            # While one piece is hashed, the one before it is sent.
            if held:
                yield held
            held = piece
        await worker.ready()
    if at != wanted.size or hasher.hexdigest() != wanted.digest.hex:
        raise _mismatch(wanted, "at the upstream")
    yield held


def _mismatch(wanted: Wanted, where: str) -> IntegrityError:
    return IntegrityError(
        f"the bytes {where} are not those of {wanted.digest}",
        hint="something altered or cut them: do not use them",
        code="CONTENT_DIGEST_MISMATCH",
    )


def _write(handle: int, piece: bytes, offset: int) -> None:
    # By offset: sendfile moves the position of the file.
    view = memoryview(piece)
    while view:
        count = os.pwrite(handle, view, offset)
        view, offset = view[count:], offset + count
