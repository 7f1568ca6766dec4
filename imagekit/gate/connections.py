"""The connections of a listener: how many there are, of whom, and how long each may take.

What must hold:

1. All connections are counted from the moment they are accepted, so before the handshake of TLS.
2. One client has a bounded number, and a bounded number of new ones a second. One more ends that
   of its connections which has waited longest for a request; where all of them are at work, it is
   not accepted.
3. Where all places are taken, the client with the most loses one in the same way.
4. A connection without a whole request, without a request, whose answer is not taken, or which
   goes on for ever, is ended in time.
"""

import socket
import struct
import time
from collections.abc import Callable
from enum import Enum
from fcntl import ioctl
from termios import TIOCOUTQ

from imagekit.gate.clients import Clients
from imagekit.gate.limits import ListenerLimits
from imagekit.gate.rate import RateLimit

_LEAST_TAKEN = 1 << 20
_MOST_REFUSED = 32
_TCP_INFO_BYTES = 128
_BYTES_ACKED = 120
"""Where ``tcpi_bytes_acked`` stands in Linux' ``struct tcp_info`` (linux/tcp.h)."""


class Phase(Enum):
    """What a connection is in."""

    HEAD = "header"
    """A request is coming, or the first one is awaited."""
    WORK = "whole"
    """A request is being answered."""
    IDLE = "idle"
    """The next request is awaited."""


class Connection(socket.socket):
    """A connection that was accepted; closing it gives its place back."""

    client: str
    """Whose it is, for counting; empty for a balancer's."""
    peer: str
    descriptor: int
    phase: Phase
    since: float
    """When the phase began."""
    abort: Callable[[], None] | None
    """Ends it at once; there is none during the handshake of TLS."""
    left: Callable[["Connection"], None]
    buffered: Callable[[], int]
    ended: bool
    _taken: int
    _taken_at: float | None

    def begin(self, client: str, peer: str, left: Callable[["Connection"], None]) -> None:
        """Set what it begins with."""
        self.client, self.peer, self.left = client, peer, left
        self.descriptor = self.fileno()
        self.abort, self.buffered = None, lambda: 0
        self.ended = False
        self._taken, self._taken_at = 0, None
        self.enter(Phase.HEAD)

    def enter(self, phase: Phase) -> None:
        """Begin a phase."""
        self.phase, self.since = phase, time.monotonic()

    def close(self) -> None:
        """Close it, and give its place back."""
        super().close()
        self.left(self)

    def end(self) -> None:
        """End it: what is being written fails, and what is being read is at its end.

        NOTE: an asyncio transport is not aborted in the middle of ``sendfile``, which would go on
        waiting for a descriptor that is another connection by then. The second time that is over.
        """
        if self.ended and self.abort is not None:
            self.abort()
            return
        self.ended = True
        try:
            self.shutdown(socket.SHUT_RDWR)
        except OSError:
            # The other side ended it already.
            return

    def overdue(self, now: float, limits: ListenerLimits) -> str:
        """Return which time is over: that of a phase, ``send``, or nothing."""
        if self._is_behind(now, limits.send.total_seconds()):
            return "send"
        longest = {Phase.HEAD: limits.header, Phase.WORK: limits.whole, Phase.IDLE: limits.idle}
        late = now - self.since > longest[self.phase].total_seconds()
        return self.phase.value if late else ""

    def _is_behind(self, now: float, seconds: float) -> bool:
        """Return whether the client takes too little of what was sent to it, in any phase."""
        # What the kernel was given and the client has not acknowledged; what waits here before it
        # comes on top.
        waiting = struct.unpack("i", ioctl(self.descriptor, TIOCOUTQ, bytes(4)))[0]
        if not waiting + self.buffered():
            self._taken_at = None
            return False
        # By what the client has acknowledged: the kernel's buffers take megabytes of an answer at
        # once, so that of what was written nothing can be concluded about who reads.
        info = self.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        taken: int = struct.unpack_from("Q", info, _BYTES_ACKED)[0]
        if self._taken_at is None or taken - self._taken >= _LEAST_TAKEN:
            self._taken, self._taken_at = taken, now
        if self.phase is Phase.IDLE:
            # It is not idle yet: the answer is still on its way.
            self.since = now
        return now - self._taken_at > seconds


class Connections:
    """All connections of one listener; on one event loop.

    Args:
        limits: how many, and how long.
        clients: identifies whose they are.
        ended: is called with the reason for which one was ended or not accepted.
    """

    def __init__(
        self, limits: ListenerLimits, clients: Clients, ended: Callable[[str], None]
    ) -> None:
        self._limits = limits
        self._clients = clients
        self._ended = ended
        self._all: dict[int, Connection] = {}
        self._of: dict[str, dict[Connection, None]] = {}
        self._rate = RateLimit(
            burst=limits.connections_per_client, per_second=limits.connections_per_second
        )

    def __len__(self) -> int:
        return len(self._all)

    def of(self, descriptor: int) -> Connection:
        """Return the connection of a descriptor."""
        return self._all[descriptor]

    def has_room(self, peer: str) -> bool:
        """Return whether a connection has a place, for which others may lose theirs."""
        limits = self._limits
        client = self._client(peer)
        if client and self._rate.wait(client):
            self._ended("rate")
            return False
        own = self._of.get(client, {})
        if client and len(own) >= limits.connections_per_client and not self._make_room(own):
            self._ended("client")
            return False
        if len(self._all) >= limits.connections:
            # Who has the most takes no place from others.
            most = max(self._of.values(), key=len, default=own)
            if len(most) <= len(own) or not self._make_room(most):
                self._ended("full")
                return False
        return True

    def add(self, connection: Connection, peer: str) -> None:
        """Count a connection."""
        client = self._client(peer)
        if client:
            self._rate.charge(client)
        connection.begin(client, peer, self._left)
        self._all[connection.fileno()] = connection
        self._of.setdefault(client, {})[connection] = None

    def sweep(self) -> None:
        """End what takes too long."""
        now = time.monotonic()
        for connection in tuple(self._all.values()):
            if connection.ended:
                connection.end()
                continue
            try:
                why = connection.overdue(now, self._limits)
            except OSError:
                why = "broken"
            if why:
                self._end(connection, why)

    def _client(self, peer: str) -> str:
        """Return whose a connection is; a balancer's are not counted for one client."""
        return "" if self._clients.is_proxy(peer) else self._clients.named(peer)

    def _make_room(self, connections: dict[Connection, None]) -> bool:
        """End the one that has waited longest for a request; return whether there was one."""
        waiting = (connection for connection in connections if connection.phase is not Phase.WORK)
        oldest = min(waiting, key=lambda connection: connection.since, default=None)
        if oldest is None:
            return False
        self._end(oldest, "client")
        self._forget(oldest)
        return True

    def _end(self, connection: Connection, why: str) -> None:
        self._ended(why)
        connection.end()

    def _left(self, connection: Connection) -> None:
        if self._all.get(connection.descriptor) is connection:
            del self._all[connection.descriptor]
        self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        own = self._of.get(connection.client, {})
        own.pop(connection, None)
        if not own:
            self._of.pop(connection.client, None)


class Listening(socket.socket):
    """A socket that accepts only what a table of connections has a place for."""

    table: Connections

    def accept(self) -> tuple[socket.socket, object]:
        """Return the next connection that there is a place for.

        Raises:
            BlockingIOError: there is none now, or many had no place: others get their turn first.
        """
        for _ in range(_MOST_REFUSED):
            accepted, address = super().accept()
            if self.table.has_room(address[0]):
                connection = Connection(accepted.family, accepted.type, fileno=accepted.detach())
                self.table.add(connection, address[0])
                return connection, address
            accepted.close()
        raise BlockingIOError
