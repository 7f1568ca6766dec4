"""Which proxy requests go through: HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

All transports ask here, so that one request does not go another way than the next. The variables
are read as curl, Python and Go's programs agree on: in small letters before capitals, HTTP_PROXY
not where a web server made variables of a request's headers (CVE-2016-5385), and NO_PROXY as a list
of domains, addresses and networks, each with a port or without, or ``*``. This machine's own
addresses are always reached directly.
"""

import base64
import os
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct, field

from imagekit.errors import InputError
from imagekit.oci.hostname import is_loopback

_VARIABLES = {"http": "HTTP_PROXY", "https": "HTTPS_PROXY"}
_PORT = 80


class Proxy(Struct, frozen=True, kw_only=True):
    """A proxy of HTTP."""

    host: str
    port: int
    url: str
    """Its address as libraries take it, with user and password where it has them."""
    authorization: str = ""
    """Value of the header Proxy-Authorization (RFC 9110 section 11.7.2); empty for none."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What the proxy itself is sent."""
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Proxy(host={self.host!r}, port={self.port!r})"


class Proxies(Struct, frozen=True):
    """The proxies that an environment names."""

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def of(self, origin: tuple[str, str, int]) -> Proxy | None:
        """Return the proxy for a request, or None where it goes to the server itself.

        Args:
            origin: scheme, host and port of the server.

        Raises:
            InputError: the variable names no proxy of HTTP.
        """
        scheme, host, port = origin
        variable = _VARIABLES.get(scheme, "")
        proxy = self._value(variable)
        if not proxy or is_loopback(f"[{host}]" if ":" in host else host):
            return None
        if any(_covers(entry, host, port) for entry in self._value("NO_PROXY").split(",")):
            return None
        return _proxy(proxy, variable)

    def _value(self, variable: str) -> str:
        small = self.environment.get(variable.lower())
        if small is not None:
            return small.strip()
        if variable == "HTTP_PROXY" and "REQUEST_METHOD" in self.environment:
            return ""
        return self.environment.get(variable, "").strip()


def _proxy(text: str, variable: str) -> Proxy:
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORT
    except ValueError as error:
        raise _no_proxy(variable) from error
    # TLS to the proxy, within which there is TLS to the server, is none of these transports'.
    if parts.scheme != "http" or not host or not url.isascii() or not url.isprintable():
        raise _no_proxy(variable)
    return Proxy(host=host, port=port, url=url, authorization=_authorization(parts))


def _no_proxy(variable: str) -> InputError:
    # Without its value, which may hold a password.
    return InputError(
        f"{variable} names no proxy that can be used",
        hint="write http://HOST:PORT, with USER:PASSWORD@ before the host where it wants a login; "
        "or name in NO_PROXY what is reached without it",
        code="BAD_PROXY",
    )


def _authorization(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _covers(entry: str, host: str, port: int) -> bool:
    """Return whether an entry of NO_PROXY speaks of a server."""
    entry = entry.strip().lower()
    if entry in {"", "*"}:
        return entry == "*"
    network = _network(entry)
    if network is not None:
        address = _address(host)
        return address is not None and address in network
    if entry.startswith("["):
        name, _, number = entry[1:].partition("]")
        number = number.removeprefix(":")
    elif entry.count(":") > 1:
        name, number = entry, ""
    else:
        name, _, number = entry.partition(":")
    if number not in {"", str(port)}:
        return False
    if _address(host) is not None:
        return _address(host) == _address(name)
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
