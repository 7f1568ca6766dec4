"""Who asks: the address of a client, behind balancers too, and the account."""

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cachetools import LRUCache
from msgspec import Struct

if TYPE_CHECKING:
    from aiohttp import web

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_SITE_BITS = 64
"""One subscriber has at least so large a network (RFC 6177), hence as many addresses as wanted."""
_KEPT = 10_000
_MOST_HOPS = 16


class Asker(Struct, frozen=True):
    """For whom work is done: what is bounded is bounded for each of them."""

    address: str = ""
    account: str = ""


class Clients:
    """Tells clients apart by their addresses; on one event loop.

    Args:
        proxies: networks of balancers, whose X-Forwarded-For is trusted.
    """

    def __init__(self, proxies: Iterable[Network] = ()) -> None:
        self._proxies = tuple(proxies)
        self._known: LRUCache[str, str] = LRUCache(_KEPT)

    def named(self, address: str) -> str:
        """Return the client that an address belongs to: itself, or its /64 for IPv6."""
        client = self._known.get(address)
        if client is None:
            client = _client(address)
            self._known[address] = client
        return client

    def is_proxy(self, address: str) -> bool:
        """Return whether an address is one of the balancers'."""
        parsed = _parsed(address) if self._proxies else None
        return parsed is not None and any(parsed in network for network in self._proxies)

    def address(self, request: "web.BaseRequest") -> str:
        """Return the address that a request comes from.

        Behind a balancer that is the last one in X-Forwarded-For that is no balancer's own: what
        stands before it was written by the client itself.
        """
        peer = request.remote or ""
        if not self.is_proxy(peer):
            return peer
        # Balancers write this unless they are told otherwise; RFC 7239's Forwarded is not read.
        text = ",".join(request.headers.getall("X-Forwarded-For", []))
        for hop in reversed(text.split(",")[-_MOST_HOPS:]):
            address = hop.strip()
            if _parsed(address) is None:
                return peer
            if not self.is_proxy(address):
                return address
        return peer

    def client(self, request: "web.BaseRequest") -> str:
        """Return the client that a request comes from."""
        return self.named(self.address(request))


def _client(address: str) -> str:
    parsed = _parsed(address)
    if parsed is None:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.ip_network((parsed, _SITE_BITS), strict=False))


def _parsed(address: str) -> _Address | None:
    try:
        # Without the zone of an address of the link (RFC 4007 section 11).
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    # How a client by IPv4 looks on a socket of both (RFC 4291 section 2.5.5.2).
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return parsed if mapped is None else mapped
