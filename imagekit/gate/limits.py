"""How much of a server its clients may take: connections, bytes, times, and work that waits."""

from datetime import timedelta

from msgspec import Struct


class ListenerLimits(Struct, frozen=True, kw_only=True):
    """Bounds of one listener; a client is an address, or the /64 of an IPv6 address."""

    connections: int = 4096
    """At once, of all clients."""
    connections_per_client: int = 512
    """At once, of one client; one more ends the one that has waited longest for a request."""
    connections_per_second: int = 100
    """New ones of one client, in the long run; as many at once as it may have."""
    header_bytes: int = 32 << 10
    """Of the request line and all headers together."""
    header: timedelta = timedelta(seconds=10)
    """The longest from the first byte of a request, or from a new connection, to its headers' end;
    also for the handshake of TLS."""
    body: timedelta = timedelta(seconds=10)
    """The longest until the body of a request is there."""
    idle: timedelta = timedelta(seconds=75)
    """The longest that a connection is kept without a request."""
    send: timedelta = timedelta(seconds=60)
    """A client has to take a mebibyte, or what there is, within so long."""
    whole: timedelta = timedelta(hours=6)
    """The longest that one answer may take."""
    waiting_per_client: int = 64
    """Work for one client that waits for its turn."""
    login_failures: int = 20
    """Wrong passwords a minute from one client for one account; ten times as many for all."""
    refusals: int = 20
    """Costly refusals a second to one client; more are answered later."""
