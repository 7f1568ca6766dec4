"""The gate's configuration: a strict YAML file, with a schema (``imagekit schema gate``).

What the command line says goes before what the file says.
"""

import ipaddress
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.documents import strictyaml
from imagekit.documents.digits import decimal
from imagekit.documents.report import Report, shown
from imagekit.documents.scalars import Boolean, Choice, Integer, ListOf, Text, plain
from imagekit.documents.shape import INVALID, Record, Values, item
from imagekit.errors import InputError
from imagekit.gate.auth.authenticate import Grant
from imagekit.gate.clients import Network
from imagekit.gate.decisions.decide import Lifetimes
from imagekit.gate.decisions.service import Times
from imagekit.gate.limits import ListenerLimits
from imagekit.gate.listing import Listings
from imagekit.gate.upstreams import Upstream
from imagekit.inputs import read_input
from imagekit.oci.hostname import canonical_host, realm_host
from imagekit.oci.location import REGISTRY, LayoutLocation
from imagekit.oci.registry.options import RegistryOptions

MAX_UPSTREAMS = 64
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_MAX_LISTED = 1000
_MAX_PORT = (1 << 16) - 1


ANYBODY = "whoever runs this gate"
"""Whom users ask where the configuration does not say."""


class Address(Struct, frozen=True, kw_only=True):
    """Where a listener listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Tls(Struct, frozen=True, kw_only=True):
    """Certificate and key of the gate, and who signs its clients'."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    client_required: bool = False


class Config(Struct, frozen=True, kw_only=True):
    """The whole configuration of a gate."""

    upstreams: tuple[Upstream, ...] = ()
    listen: Address | None = None
    admin: Address | None = None
    """Where probes and metrics are, if not beside the registry."""
    tls: Tls | None = None
    htpasswd: Path | None = None
    tokens: Path | None = None
    grants: tuple[Grant, ...] = ()
    listings: Listings = field(default_factory=Listings)
    times: Times = field(default_factory=Times)
    contact: str = ANYBODY
    redirect: bool = False
    """Whether clients fetch blobs where the upstream sends them, unverified by the gate."""
    audit: Path | None = None
    """The audit log's file; standard output without one."""
    redis: str = ""
    limits: ListenerLimits = field(default_factory=ListenerLimits)
    proxies: tuple[Network, ...] = ()
    """Networks of balancers, whose X-Forwarded-For is trusted."""


def parse_address(text: str) -> Address:
    """Read ``HOST:PORT``.

    Raises:
        InputError: it is none.
    """
    host, colon, port = text.rpartition(":")
    number = decimal(port, most=len(str(_MAX_PORT)))
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not host or number is None or number > _MAX_PORT or not bare:
        raise InputError(
            f"`{shown(text)}` is no address to listen on",
            hint="write HOST:PORT, such as 127.0.0.1:5443 or [::]:5443",
            code="gate/listen",
        )
    return Address(host=bare, port=number)


def parse_network(text: str) -> Network:
    """Read an address or a network.

    Raises:
        InputError: it is none.
    """
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise InputError(
            f"`{shown(text)}` is no network: {error}",
            hint="write an address or a network, such as 10.0.0.7 or 10.0.0.0/24",
            code="gate/proxies",
        ) from error


def load_config(path: Path) -> Config:
    """Read a configuration.

    Args:
        path: the file; paths in it are relative to its folder.

    Raises:
        InputError: it cannot be read or accepted, with the place of every fault.
    """
    try:
        raw = read_input(path, limit=strictyaml.MAX_BYTES)
    except OSError as error:
        raise InputError(
            f"the configuration {path} cannot be read: {error.strerror}",
            hint="imagekit schema gate prints what may stand in it",
            code="gate/unreadable",
        ) from error
    report = Report(str(path), "gate", folder=path.parent)
    config = CONFIG.read(strictyaml.compose(raw, report), report)
    report.check(InputError, what="the configuration")
    if config is INVALID:
        raise InputError(f"the configuration {path} cannot be accepted", code="gate/invalid")
    return _rooted(config, path.parent)


def _rooted(config: Config, folder: Path) -> Config:
    """Return the configuration with its paths relative to its folder."""

    def at(path: Path | None) -> Path | None:
        return None if path is None else folder / path

    tls = config.tls
    if tls is not None:
        tls = replace(
            tls,
            certificate=folder / tls.certificate,
            key=folder / tls.key,
            client_ca=at(tls.client_ca),
        )
    upstreams = tuple(
        replace(
            upstream,
            # Absolute: what was decided is kept by it, and by whoever works in another folder.
            location=upstream.location.below(folder.absolute()),
            options=replace(upstream.options, ca_file=at(upstream.options.ca_file)),
        )
        for upstream in config.upstreams
    )
    return replace(
        config,
        upstreams=upstreams,
        tls=tls,
        htpasswd=at(config.htpasswd),
        tokens=at(config.tokens),
        audit=at(config.audit),
    )


def _duration(text: str) -> timedelta:
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


_DURATION: Text[timedelta] = Text(
    "a time span: a number and d, h, m or s",
    pattern=r"[0-9]{1,5}[dhms]",
    parse=_duration,
    examples=("30s", "10m", "1h"),
)
_TIME: Text[timedelta] = Text(
    "a time span of a second or more: a number and d, h, m or s",
    pattern=r"[1-9][0-9]{0,4}[dhms]",
    parse=_duration,
    examples=("10s", "6h"),
)
_NETWORK: Text[Network] = Text(
    "an address or a network", parse=parse_network, code="bad-network", examples=("10.0.0.0/24",)
)
_PATH: Text[Path] = Text("a path, relative to this file", parse=Path, examples=("tls.key",))
_ADDRESS: Text[Address] = Text(
    "an address to listen on", parse=parse_address, code="bad-address", examples=("0.0.0.0:5443",)
)
_NAME = plain("a name", pattern=r"[a-z0-9]+(?:[._-][a-z0-9]+)*", max_length=64)
_OF_HOSTS = r"[A-Za-z0-9.:\[\]-]+"
_HOST: Text[str] = Text(
    "the host of a registry, with a port or without",
    pattern=_OF_HOSTS,
    # The port of HTTPS is looked at where it is known whether it is spoken.
    parse=lambda text: canonical_host(text, scheme=""),
    code="bad-host",
    max_length=255,
    examples=("registry.example.org",),
)
_GLOB = plain("a glob of repositories as they are called here", max_length=512)


_REALM: Text[str] = Text(
    "a host, with a port or without",
    pattern=_OF_HOSTS,
    parse=realm_host,
    code="bad-host",
    max_length=255,
    examples=("auth.example.org", "auth.example.org:5001"),
)


def _upstream(values: Values) -> Upstream:
    options = RegistryOptions(
        plain_http=values["plainHttp"],
        ca_file=values["caFile"],
        realms=values["realms"],
        # Shorter and fewer than for a user's own commands: a client waits for the gate meanwhile.
        connect_seconds=5,
        read_seconds=values["readSeconds"],
        attempts=2,
    )
    return Upstream(
        name=values["name"],
        host=values["registry"] or "",
        location=LayoutLocation(values["layout"]) if values["layout"] else REGISTRY,
        options=options,
    )


_UPSTREAM: Record[Upstream] = Record(
    "an upstream",
    {
        "name": item(_NAME, "first component of its images' names here", default=""),
        "registry": item(_HOST, "the registry's host"),
        "layout": item(_PATH, "the folder of an OCI layout"),
        "plainHttp": item(Boolean("whether it speaks HTTP without TLS"), "no TLS", default=False),
        "caFile": item(_PATH, "certificate authorities to trust besides the system's"),
        "realms": item(
            ListOf(_REALM, max_items=16),
            "hosts that may see the gate's login for a token, besides the registry's own",
            default=(),
        ),
        "readSeconds": item(
            Integer("seconds", minimum=1, maximum=600), "the longest silence", default=15
        ),
    },
    make=_upstream,
    one_of=(("registry", "layout"),),
)
_TLS: Record[Tls] = Record(
    "the gate's certificate",
    {
        "certFile": item(_PATH, "certificate chain in PEM", required=True),
        "keyFile": item(_PATH, "private key in PEM", required=True),
        "clientCaFile": item(_PATH, "authorities that sign clients' certificates"),
        "clientCertificates": item(
            Choice("the word", ("optional", "required")),
            "whether a client without certificate is served at all",
            default="optional",
        ),
    },
    make=lambda values: Tls(
        certificate=values["certFile"],
        key=values["keyFile"],
        client_ca=values["clientCaFile"],
        client_required=values["clientCertificates"] == "required",
    ),
)
_GRANT: Record[Grant] = Record(
    "a right",
    {
        "users": item(
            ListOf(plain("a user", max_length=255), min_items=1, max_items=_MAX_LISTED),
            "who: names, `*` for all that are known, `anonymous` for everybody",
            required=True,
        ),
        "repositories": item(
            ListOf(_GLOB, min_items=1, max_items=_MAX_LISTED),
            "what: globs of names as they are called here",
            required=True,
        ),
    },
    make=lambda values: Grant(users=values["users"], repositories=values["repositories"]),
)
_LISTS: Record[Listings] = Record(
    "lists",
    {
        "tags": item(Boolean("given"), "tags of a repository", default=True),
        "referrers": item(Boolean("given"), "referrers of a manifest", default=True),
        "catalog": item(Boolean("given"), "the repositories of layouts", default=False),
    },
    make=lambda values: Listings(
        with_tags=values["tags"],
        with_referrers=values["referrers"],
        with_catalog=values["catalog"],
    ),
)


def _times(values: Values) -> Times:
    default = Times()
    lifetimes = Lifetimes(
        allowed=values["allowed"] or default.lifetimes.allowed,
        denied=values["denied"] or default.lifetimes.denied,
        stale=default.lifetimes.stale if values["maxStale"] is None else values["maxStale"],
    )
    pin = default.pin if values["pin"] is None else values["pin"]
    return Times(lifetimes=lifetimes, pin=pin, wait=values["wait"] or default.wait)


_TIMES: Record[Times] = Record(
    "times",
    {
        "pin": item(_DURATION, "how long a tag means one digest (30s)"),
        "allowed": item(_DURATION, "how long an allowed image is not judged again (10m)"),
        "denied": item(_DURATION, "how long a denied image is not judged again (30s)"),
        "maxStale": item(_DURATION, "how long an image is served while its upstream is down (1h)"),
        "wait": item(_DURATION, "the longest that a request waits for a judgement (60s)"),
    },
    make=_times,
)


def _limits(values: Values) -> ListenerLimits:
    default = ListenerLimits()
    stated = {name: values[key] for key, name in _LIMIT_NAMES.items() if values[key] is not None}
    return replace(default, **stated)


def _count(most: int, least: int = 1) -> Integer:
    return Integer("a number", minimum=least, maximum=most)


_LIMIT_NAMES = {
    "connections": "connections",
    "connectionsPerClient": "connections_per_client",
    "connectionsPerSecond": "connections_per_second",
    "headerBytes": "header_bytes",
    "headerTime": "header",
    "bodyTime": "body",
    "idleTime": "idle",
    "sendTime": "send",
    "wholeTime": "whole",
    "waitingPerClient": "waiting_per_client",
    "loginFailures": "login_failures",
    "refusals": "refusals",
}
LIMITS: Record[ListenerLimits] = Record(
    "limits of clients",
    {
        "connections": item(_count(100_000), "connections at once (4096)"),
        "connectionsPerClient": item(
            _count(100_000), "connections of one address, or /64 of IPv6, at once (512)"
        ),
        "connectionsPerSecond": item(
            _count(100_000), "new connections a second of one client, in the long run (100)"
        ),
        "headerBytes": item(
            _count(1 << 20, 1024), "bytes of a request's line and headers together (32768)"
        ),
        "headerTime": item(_TIME, "how long the headers of a request may take (10s)"),
        "bodyTime": item(_TIME, "how long the body of a request may take (10s)"),
        "idleTime": item(_TIME, "how long a connection is kept without a request (75s)"),
        "sendTime": item(_TIME, "within what time a client takes a mebibyte of its answer (60s)"),
        "wholeTime": item(_TIME, "how long one answer may take (6h)"),
        "waitingPerClient": item(_count(10_000), "work for one client that waits (64)"),
        "loginFailures": item(
            _count(10_000), "wrong passwords a minute from one client for one account (20)"
        ),
        "refusals": item(
            _count(10_000), "refusals a second to one client that are not delayed (20)"
        ),
    },
    make=_limits,
)


def parse_limits(words: Sequence[str]) -> ListenerLimits:
    """Read limits as the command line has them: ``connections=512``, a word each.

    Raises:
        InputError: one is not known, or has no such value.
    """
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not (name.isalnum() and value.isalnum() and word.isascii()):
            raise InputError(
                f"`{shown(word)}` is no limit",
                hint="write NAME=VALUE, such as connections=512 or headerTime=5s",
                code="gate/limit",
            )
    if not words:
        return ListenerLimits()
    report = Report("--limit", "gate")
    raw = "".join(f"{word.replace('=', ': ')}\n" for word in words).encode()
    limits = LIMITS.read(strictyaml.compose(raw, report), report)
    report.check(InputError, what="the limits")
    if limits is INVALID:
        raise InputError("the limits cannot be accepted", code="gate/invalid")
    return limits


class _Clients(Struct, frozen=True):
    htpasswd: Path | None = None
    tokens: Path | None = None


_CLIENTS: Record[_Clients] = Record(
    "how clients are known",
    {
        "htpasswd": item(_PATH, "names and bcrypt hashes, as htpasswd -B writes them"),
        "tokens": item(_PATH, "a line for each token: NAME:sha256:HEX of the token"),
    },
    make=lambda values: _Clients(values["htpasswd"], values["tokens"]),
)


def _config(values: Values) -> Config:
    clients: _Clients = values["clients"] or _Clients()
    return Config(
        upstreams=values["upstreams"],
        listen=values["listen"],
        admin=values["adminListen"],
        tls=values["tls"],
        htpasswd=clients.htpasswd,
        tokens=clients.tokens,
        grants=values["access"],
        listings=values["lists"] or Listings(),
        times=values["times"] or Times(),
        contact=values["contact"] or ANYBODY,
        redirect=values["blobs"] == "redirect",
        audit=values["auditFile"],
        redis=values["redis"],
        limits=values["limits"] or ListenerLimits(),
        proxies=values["proxies"],
    )


CONFIG: Record[Config] = Record(
    "a gate's configuration",
    {
        "apiVersion": item(
            Choice("the version", ("imagekit/v1",)), "always imagekit/v1", required=True
        ),
        "kind": item(Choice("the kind", ("Gate",)), "always Gate", required=True),
        "contact": item(
            plain("a person or an address", max_length=200),
            "whom users ask about a refusal",
            default="",
        ),
        "upstreams": item(
            ListOf(_UPSTREAM, min_items=1, max_items=MAX_UPSTREAMS),
            "what images are served from",
            default=(),
        ),
        "listen": item(_ADDRESS, "where clients connect"),
        "adminListen": item(_ADDRESS, "where /metrics, /healthz and /readyz are, and only they"),
        "tls": item(_TLS, "certificate and key"),
        "clients": item(_CLIENTS, "logins; without any, everybody is served"),
        "access": item(
            ListOf(_GRANT, max_items=_MAX_LISTED),
            "who may pull what; without any, everybody who is known may pull all",
            default=(),
        ),
        "lists": item(_LISTS, "which lists are given"),
        "times": item(_TIMES, "how long what is kept"),
        "blobs": item(
            Choice("the word", ("send", "redirect")),
            "whether the gate sends blobs, or passes on where the upstream redirects to; "
            "what comes from there only the client can verify",
            default="send",
        ),
        "limits": item(LIMITS, "how much of the gate one client may take, and all together"),
        "proxies": item(
            ListOf(_NETWORK, max_items=64),
            "balancers before the gate, whose X-Forwarded-For is believed",
            default=(),
        ),
        "auditFile": item(_PATH, "the audit log; standard output without it"),
        "redis": item(
            plain("a URL", pattern=r"(?:rediss?|unix)://[!-~]+", max_length=512),
            "shares decisions with other gates",
            default="",
        ),
    },
    make=_config,
)


def gate_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of configurations."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "imagekit gate",
        **CONFIG.schema(),
    }
