"""The texts of this host that no image may hold: its proxies, its name, logins of its mirrors."""

import base64
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from imagekit.build.marks import Mark
from imagekit.build.tools.mirrors import DISTRIBUTIONS, host_mirrors
from imagekit.errors import ToolError
from imagekit.oci.hostname import is_loopback

PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy")
"""Variables that name a proxy, in lower case; programs read them in capitals too."""
_MAX_HOSTS = 1 << 20
_SHORTEST = 6
"""A shorter text would be found by chance."""


def host_marks(env: Mapping[str, str], hosts: Path = Path("/etc/hosts")) -> tuple[Mark, ...]:
    """Return the texts.

    Args:
        env: the environment of the build.
        hosts: the file of this host's names, of which a step sees a copy.
    """
    marks = [mark for name in proxy_names() for mark in _proxy(name, env.get(name, ""))]
    for name in ("no_proxy", "NO_PROXY"):
        marks += _exceptions(name, env.get(name, ""))
    marks += _names(hosts, os.uname().nodename)
    for distribution in DISTRIBUTIONS:
        # Where there is no mirror, there is no password of one.
        with suppress(ToolError):
            mirrors = host_mirrors(distribution)
            for uri in (mirrors.main, mirrors.security):
                marks += _login(uri, "the login of a mirror")
    return tuple(dict.fromkeys(marks))


def proxy_names() -> tuple[str, ...]:
    """Return the variables that name a proxy, in both spellings."""
    return (*PROXIES, *(name.upper() for name in PROXIES))


def _proxy(name: str, uri: str) -> Iterator[Mark]:
    if not uri:
        return
    whole = uri if "://" in uri else f"http://{uri}"
    yield from _login(whole, f"the login of the proxy in ${name}")
    authority = _authority(whole)
    port = authority.rpartition(":")[2]
    if port.isdecimal() and not is_loopback(authority.lower()) and len(authority) >= _SHORTEST:
        yield Mark(authority.encode(), f"the proxy in ${name}")


def _exceptions(name: str, value: str) -> Iterator[Mark]:
    """Yield the list as it stands where it names more than this host: it has a site's domains."""
    entries = (_bracketed(entry.strip().lower()) for entry in value.split(","))
    if len(value) >= _SHORTEST and any(e not in {"", "*"} and not is_loopback(e) for e in entries):
        yield Mark(value.encode(), f"the exceptions of the proxy in ${name}")


def _bracketed(entry: str) -> str:
    return f"[{entry}]" if entry.count(":") > 1 and not entry.startswith("[") else entry


def _names(hosts: Path, own: str) -> Iterator[Mark]:
    """Yield the lines that name this host, as they stand and as Buildah rewrites them.

    A name alone may be a word of any document, so it is no mark.
    """
    try:
        with hosts.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(_MAX_HOSTS).splitlines()
    except OSError:
        return
    for line in lines:
        address, *names = line.partition("#")[0].split() or [""]
        named = any(name.partition(".")[0] == own.partition(".")[0] for name in names)
        if named and own.partition(".")[0] != "localhost":
            # NOTE: hosts(5) has blanks or tabs; Buildah writes one name a line, behind a tab.
            for text in (
                line.strip(),
                *(f"{address}\t{name}" for name in names if name != "localhost"),
            ):
                yield Mark(text.encode(), "a line of /etc/hosts")


def _login(uri: str, label: str) -> Iterator[Mark]:
    """Yield the login of a URI: as it stands there, and as programs store and send it."""
    login, at, _ = _netloc(uri).rpartition("@")
    if not at or not login:
        return
    yield Mark(f"{login}@".encode(), label, secret=True)
    # RFC 7617, section 2: the header of a request, which some programs keep.
    yield Mark(base64.b64encode(unquote(login).encode()), label, secret=True)
    password = login.partition(":")[2]
    for form in (password, unquote(password)):
        if len(form) >= _SHORTEST:
            yield Mark(form.encode(), label, secret=True)


def _authority(uri: str) -> str:
    return _netloc(uri).rpartition("@")[2]


def _netloc(uri: str) -> str:
    try:
        return urlsplit(uri).netloc
    except ValueError:
        return ""
