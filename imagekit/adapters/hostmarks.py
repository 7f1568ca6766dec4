"""The texts of this host that no image may hold: its proxies, and passwords of its mirrors."""

import ipaddress
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from imagekit.adapters.bootstrap import host_mirrors
from imagekit.errors import ToolError
from imagekit.model.mark import Mark

PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy")
"""Variables that name a proxy, in lower case; programs read them in capitals too."""
_SHORTEST = 6
"""A shorter text would be found by chance."""


def host_marks(env: Mapping[str, str]) -> tuple[Mark, ...]:
    """Return the texts.

    Args:
        env: the environment of the build.
    """
    found = [mark for name in proxy_names() for mark in _proxy(name, env.get(name, ""))]
    try:
        mirrors = host_mirrors()
    except ToolError:
        # No mirror, so no password of one.
        return tuple(dict.fromkeys(found))
    for uri in (mirrors.main, mirrors.security):
        found += _login(uri, "the login of a mirror")
    return tuple(dict.fromkeys(found))


def proxy_names() -> tuple[str, ...]:
    """Return the variables that name a proxy, in both spellings."""
    return (*PROXIES, *(name.upper() for name in PROXIES))


def _proxy(name: str, uri: str) -> Iterator[Mark]:
    if not uri:
        return
    whole = uri if "://" in uri else f"http://{uri}"
    yield from _login(whole, f"the login of the proxy in ${name}")
    authority = _authority(whole)
    host, _, port = authority.rpartition(":")
    if port.isdecimal() and not _is_loopback(host) and len(authority) >= _SHORTEST:
        yield Mark(authority.encode(), f"the proxy in ${name}")


def _login(uri: str, what: str) -> Iterator[Mark]:
    """Yield what opens it: user and password as they stand there, and the password in plain."""
    login, at, _ = _netloc(uri).rpartition("@")
    _, colon, password = login.partition(":")
    if at and login:
        yield Mark(f"{login}@".encode(), what, secret=True)
    if colon and len(unquote(password)) >= _SHORTEST:
        yield Mark(unquote(password).encode(), what, secret=True)


def _authority(uri: str) -> str:
    return _netloc(uri).rpartition("@")[2]


def _netloc(uri: str) -> str:
    try:
        return urlsplit(uri).netloc
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    """Tell whether it is this host, as every host calls itself: that tells nothing of it."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
