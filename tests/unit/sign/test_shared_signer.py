"""A signer that several threads have in common."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from imagekit.sign.shared_signer import SharedSigner
from tests.support.fakes import MemorySigner


class _Alone(MemorySigner):
    """A key that notices whether two ask it at once."""

    def sign(self, message: bytes) -> bytes:
        """Sign the message, taking a while."""
        assert self.turn.acquire(blocking=False)
        time.sleep(0.001)
        self.turn.release()
        return super().sign(message)

    turn = threading.Lock()


def test_one_thread_at_a_time_asks() -> None:
    """And each gets what it asked for, as from the signer itself."""
    alone = _Alone()
    signer = SharedSigner(alone)

    def ask(number: int) -> bool:
        statement, payload = b"%d" % number, b"payload %d" % number
        bundle, legacy = signer.bundle(statement), signer.legacy(payload)
        return signer.made(bundle) and signer.made_legacy(payload, legacy)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, range(20)))
    assert signer.authority == alone.authority
    assert str(signer) == str(alone)
