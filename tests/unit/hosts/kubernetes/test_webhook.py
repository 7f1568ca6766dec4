"""The webhook: who sends half a review, or a slow one, keeps nobody from being answered."""

import asyncio
import gc
import json
import threading
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from imagekit.gate.config import Address
from imagekit.gate.limits import ListenerLimits
from imagekit.gate.listener import ListenerOptions, listen
from imagekit.hosts.kubernetes.review import MAX_REVIEW, Admission, Review
from imagekit.hosts.kubernetes.webhook import Webhook
from tests.unit.hosts.kubernetes.test_review import review

STRANGER, HONEST = "127.0.0.66", "127.0.0.2"
POD = review("Pod", {"spec": {"containers": [{"name": "c", "image": "r.site/a:1"}]}})
LIMITS = ListenerLimits(body=timedelta(seconds=5), waiting_per_client=4)


@dataclass
class Running:
    """A webhook that runs, and what it said."""

    port: int = 0
    malformed: list[tuple[str, str]] = field(default_factory=list)
    admit: Callable[[Review], Admission] = lambda asked: Admission(uid=asked.uid, allowed=True)

    def judge(self, asked: Review) -> Admission:
        """Answer as the test says now."""
        return self.admit(asked)

    async def post(self, address: str, body: bytes, *, length: int | None = None) -> bytes:
        """Send a review from an address, and return what comes."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(address, 0)
        )
        size = len(body) if length is None else length
        head = f"POST /validate?timeout=3s HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n"
        try:
            with suppress(ConnectionError):
                writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
                await writer.drain()
            return await reader.read()
        finally:
            writer.close()


def with_webhook(
    work: Callable[[Running], Awaitable[None]], limits: ListenerLimits = LIMITS
) -> None:
    """Run a test's coroutine beside a webhook."""

    async def run() -> None:
        running = Running()
        async with AsyncExitStack() as stack:
            webhook = Webhook(
                admit=running.judge,
                heard=lambda _review, _admission: None,
                malformed=lambda client, message: running.malformed.append((client, message)),
                limits=limits,
            )
            stack.callback(webhook.close)
            options = ListenerOptions(limits=limits, takes_bodies=True)
            place = Address(host="127.0.0.1", port=0)
            running.port = (await listen(stack, webhook.handle, place, options=options)).port
            await work(running)

    asyncio.run(run())


def allowed(answer: bytes) -> bool:
    """Return whether a review was answered by yes."""
    return bool(json.loads(answer.partition(b"\r\n\r\n")[2])["response"]["allowed"])


def test_half_sent_reviews_take_no_turn() -> None:
    """However many there are; they end in time."""

    async def work(running: Running) -> None:
        halves = [
            asyncio.ensure_future(running.post(STRANGER, b"{", length=1000)) for _ in range(100)
        ]
        await asyncio.sleep(0.5)
        assert allowed(await asyncio.wait_for(running.post(HONEST, POD), 3))
        answers = await asyncio.gather(*halves)

        assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)
        assert {client for client, _ in running.malformed} == {STRANGER}
        assert len(running.malformed) == 100

    with_webhook(work, ListenerLimits(body=timedelta(seconds=2)))


def test_slow_reviews_of_one_client_leave_threads_to_others() -> None:
    """And what waits of that client is bounded."""

    async def work(running: Running) -> None:
        end = threading.Event()

        def admit(asked: Review) -> Admission:
            if asked.name.endswith("slow"):
                end.wait(10)
            return Admission(uid=asked.uid, allowed=True)

        running.admit = admit
        document = json.loads(POD)
        document["request"]["name"] = "slow"
        slow = json.dumps(document).encode()
        flood = [asyncio.ensure_future(running.post(STRANGER, slow)) for _ in range(30)]
        await asyncio.sleep(0.5)
        assert allowed(await asyncio.wait_for(running.post(HONEST, POD), 3))
        answers = await asyncio.gather(*flood)
        end.set()

        # No answer in time is a no; and what cannot even wait is one as well.
        assert not any(allowed(answer) for answer in answers if b" 200 " in answer[:20])

    with_webhook(work)


def test_bytes_of_reviews_are_bounded() -> None:
    """For one client; another one is answered."""

    async def work(running: Running) -> None:
        most = b" " * (MAX_REVIEW - 1)
        flood = [
            asyncio.ensure_future(running.post(STRANGER, most, length=MAX_REVIEW)) for _ in range(6)
        ]
        done, _ = await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
        assert allowed(await asyncio.wait_for(running.post(HONEST, POD), 3))
        await asyncio.gather(*flood)

        assert any(each.result()[:13] in {b"HTTP/1.1 429 ", b""} for each in done)

    with_webhook(work)


def test_bytes_of_refused_reviews_are_let_go_of_at_once() -> None:
    """Not only when cycles are collected: until then they would count for nobody."""

    async def work(running: Running) -> None:
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(8):
                await running.post(STRANGER, b"x" * (MAX_REVIEW + 1))
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
        assert held < MAX_REVIEW

    with_webhook(work)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", review("Strange", {}), b"\xff"], ids=lambda body: repr(body[:8])
)
def test_what_is_no_review_is_one_line(body: bytes) -> None:
    """With the client that sent it."""

    async def work(running: Running) -> None:
        assert (await running.post(STRANGER, body)).startswith(b"HTTP/1.1 400 ")
        assert [client for client, _ in running.malformed] == [STRANGER]

    with_webhook(work)
