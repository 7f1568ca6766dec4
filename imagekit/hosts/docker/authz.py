"""Which requests Docker's daemon may carry out: a list, by method and exact path.

Docker asks its authorization plugins about every request
(https://docs.docker.com/engine/extend/plugins_authorization/). What must hold:

1. What is not on the list is refused, whatever it does. The list has what runs and manages
   containers of judged images; whatever brings or names code from elsewhere is not on it.
2. An image comes in by digest only, and a container is made of an image by digest only: between the
   verdict on a tag and the daemon's own look at it, the tag may move.
3. A path, a query or a body that the daemon might read in another way is refused. Forms in bodies
   override queries (Go's Request.ParseForm).
4. A body decides only where the plugin has seen it whole: the daemon passes none on where it is
   empty (CVE-2024-41110), over 1 MiB (CVE-2026-34040), in chunks, or no application/json. A request
   that must have none says so by its length, since a body in chunks has no length.
"""

import string
from collections.abc import Collection, Mapping
from typing import Literal
from urllib.parse import parse_qsl, unquote

from msgspec import Struct

from imagekit.documents.digits import decimal
from imagekit.errors import DocumentError, InvalidReferenceError
from imagekit.hosts.docker import body
from imagekit.hosts.docker.body import Rule, container_rules, is_name, parse_body
from imagekit.hosts.docker.request import DockerRequest
from imagekit.oci.reference import (
    PinnedReference,
    TaggedReference,
    complete_name,
    parse_reference,
)

_OLDEST = 24
"""Older versions of the API take a container's configuration when it starts."""
_LIST = "docs/offline.md has the list of what is allowed"

_GET: tuple[str, ...] = (
    "/_ping",
    "/version",
    "/info",
    "/events",
    "/system/df",
    "/containers/json",
    "/containers/*/json",
    "/containers/*/logs",
    "/containers/*/stats",
    "/containers/*/top",
    "/containers/*/changes",
    "/containers/*/export",
    "/containers/*/archive",
    "/exec/*/json",
    "/images/json",
    "/images/search",
    "/images/get",
    "/images/**/json",
    "/images/**/history",
    "/images/**/get",
    "/distribution/**/json",
    "/plugins",
    "/plugins/**/json",
    "/networks",
    "/networks/*",
    "/volumes",
    "/volumes/*",
)
_HEAD: tuple[str, ...] = ("/_ping", "/containers/*/archive")
_DELETE: tuple[str, ...] = ("/containers/*", "/images/**", "/networks/*", "/volumes/*")
_POST: Mapping[str, tuple[str, ...]] = {
    "/containers/*/start": ("detachKeys",),
    "/containers/*/attach": ("detachKeys", "logs", "stream", "stdin", "stdout", "stderr"),
    "/containers/*/wait": ("condition",),
    "/containers/*/stop": ("signal", "t"),
    "/containers/*/restart": ("signal", "t"),
    "/containers/*/kill": ("signal",),
    "/containers/*/pause": (),
    "/containers/*/unpause": (),
    "/containers/*/rename": ("name",),
    "/containers/*/resize": ("h", "w"),
    "/containers/prune": ("filters",),
    "/exec/*/resize": ("h", "w"),
    "/images/**/tag": ("repo", "tag"),
    "/images/prune": ("filters",),
    "/networks/prune": ("filters",),
    "/volumes/prune": ("filters",),
    "/build/prune": ("all", "filters", "keep-storage"),
}
"""What is posted without a body, and the parameters that it may have."""
_POST_BODY: Mapping[str, Mapping[str, Rule]] = {
    "/containers/*/exec": body.EXEC,
    "/containers/*/update": body.UPDATE,
    "/exec/*/start": body.EXEC_START,
    "/networks/create": body.NETWORK,
    "/networks/*/connect": body.CONNECT,
    "/networks/*/disconnect": body.DISCONNECT,
    "/volumes/create": body.VOLUME,
}
"""What is posted without parameters, and what its body may say."""
_WHY: Mapping[str, str] = {
    "/build": "building images on this host",
    "/session": "building images on this host",
    "/grpc": "building images on this host",
    "/commit": "making images of containers",
    "/images/load": "loading images from files",
    "/images/**/push": "pushing images from this host",
    "/containers/*/archive": "copying files into containers",
    "/containers/*/checkpoints": "checkpoints of containers",
    "/plugins/**": "managing plugins",
    "/swarm/**": "a swarm",
    "/services/**": "a swarm's services",
    "/nodes/**": "a swarm",
    "/secrets/**": "a swarm",
    "/configs/**": "a swarm",
    "/auth": "a login by the daemon",
}
"""Reasons for some that are not on the list; they decide nothing."""

_PATH = frozenset(string.ascii_letters + string.digits + "_.-/:@")
"""What a decoded path consists of; a percent sign that is left would not be decoded."""
_QUERY = frozenset(string.ascii_letters + string.digits + "-._~!$'()*,+/:@?%=&[]{}\"|")
"""Without ``;``, which separates parameters for old versions of Go, and ``#``."""


class Ask(Struct, frozen=True, kw_only=True):
    """A request that is allowed if the image is."""

    image: PinnedReference


class Tell(Struct, frozen=True, kw_only=True):
    """A request by a tag: refused, with the digest to ask by in the message."""

    image: TaggedReference
    verb: str


class FixedAnswer(Struct, frozen=True, kw_only=True):
    """A request that is decided without judging an image."""

    allow: bool
    message: str = ""


Decision = Ask | Tell | FixedAnswer
_YES = FixedAnswer(allow=True)


def decide(request: DockerRequest, *, binds: frozenset[str] = frozenset()) -> Decision:
    """Return what is to be done about a request.

    Args:
        request: as the daemon passed it on.
        binds: the folders of the host that containers may mount, by exactly these paths.

    Raises:
        InvalidReferenceError, DocumentError: it cannot be understood, or has what is not allowed;
            it is refused.
    """
    # Not by urlsplit: it reads what stands behind two slashes as a host (RFC 3986, section 3.2).
    before, _, query = request.uri.partition("?")
    path = _path(before)
    match request.method:
        case "GET":
            return _listed(request, path, _GET)
        case "HEAD":
            return _listed(request, path, _HEAD)
        case "DELETE":
            return _listed(request, path, _DELETE)
        case "POST":
            return _post(request, path, query, binds=binds)
        case _:
            return _refused(request, path)


def _listed(request: DockerRequest, path: str, patterns: Collection[str]) -> Decision:
    """Decide on a method without a form in its body, where no parameter brings code."""
    return _YES if _found(path, patterns) else _refused(request, path)


def _post(request: DockerRequest, path: str, query: str, *, binds: frozenset[str]) -> Decision:
    if path == "/images/create":
        parameters = _query(query, ("fromImage", "tag", "platform"))
        _no_body(request)
        return _pull(parameters)
    if path == "/containers/create":
        _query(query, ("name", "platform"))
        document = parse_body(request.body, container_rules(binds))
        return _image(_text(document, "Image"), verb="docker run")
    if pattern := _found(path, _POST_BODY):
        _query(query, ())
        parse_body(request.body, _POST_BODY[pattern])
        return _YES
    if pattern := _found(path, _POST):
        _query(query, _POST[pattern])
        _no_body(request)
        return _YES
    return _refused(request, path)


def _refused(request: DockerRequest, path: str) -> FixedAnswer:
    action = _WHY.get(_found(path, _WHY), f"{request.method[:16]} {path[:80]}")
    return FixedAnswer(allow=False, message=f"{action} is not allowed here; {_LIST}")


def _path(path: str) -> str:
    """Return the path as the daemon's router reads it, without the version of the API.

    The router decodes percent signs once, of slashes too, and redirects from paths that it would
    clean.

    Raises:
        DocumentError: it could be read in two ways, or the version is too old.
    """
    path = unquote(path)
    parts = path.split("/")[1:]
    if not path.startswith("/") or not set(path) <= _PATH or {"", ".", ".."} & set(parts):
        raise DocumentError(f"the path {path[:80]!r} could be read in two ways")
    if not parts[0].startswith("v") or not set(parts[0][1:]) <= frozenset("0123456789."):
        return path
    minor = decimal(parts[0].removeprefix("v1."), most=3)
    if minor is None or minor < _OLDEST:
        raise DocumentError(
            f"the API's version {parts[0][:40]!r} is not allowed here",
            hint=f"ask by version 1.{_OLDEST} or newer",
        )
    return "/" + "/".join(parts[1:])


def _found(path: str, patterns: Collection[str]) -> str:
    """Return the pattern that matches the path; the empty text where none does."""
    parts = path.split("/")[1:]
    return next((pattern for pattern in patterns if _matches(parts, pattern.split("/")[1:])), "")


def _matches(parts: list[str], pattern: list[str]) -> bool:
    """Return whether a path is of a pattern: ``*`` is a name, ``**`` an image's name."""
    if "**" in pattern:
        at = pattern.index("**")
        end = len(parts) - (len(pattern) - at - 1)
        return end > at and parts[:at] == pattern[:at] and parts[end:] == pattern[at + 1 :]
    return len(parts) == len(pattern) and all(
        is_name(part) if wanted == "*" else part == wanted
        for part, wanted in zip(parts, pattern, strict=True)
    )


def _query(text: str, allowed: Collection[str]) -> dict[str, str]:
    """Return the parameters, of which each must be allowed.

    Raises:
        DocumentError: they could be read in two ways, or there is another one.
    """
    if not set(text) <= _QUERY:
        raise DocumentError("the request's parameters could be read in two ways")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=64, errors="strict")
    except ValueError as error:
        raise DocumentError(f"the request's parameters cannot be read: {error}") from error
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise DocumentError("a parameter stands twice in the request")
    unknown = sorted(set(parameters) - set(allowed))
    if unknown:
        raise DocumentError(f"the parameter {unknown[0][:80]!r} is not allowed here", hint=_LIST)
    return parameters


def _no_body(request: DockerRequest) -> None:
    """Refuse a body: a form in it would override the parameters.

    Raises:
        DocumentError: there is one, or may be one that the daemon did not pass on.
    """
    if request.body or request.length != "0":
        raise DocumentError(
            "the request may have a body, and it must have none",
            hint="send it with Content-Length: 0, as Docker's clients do",
        )


def _pull(query: Mapping[str, str]) -> Decision:
    name, tag = query.get("fromImage", ""), query.get("tag", "")
    if not name:
        raise DocumentError("the request does not say which image to pull")
    joined = name
    if tag:
        joined = f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"
    return _image(joined, verb="docker pull")


def _image(name: str, *, verb: Literal["docker pull", "docker run"]) -> Decision:
    if name.startswith(("oci:", "sha256:")):
        raise InvalidReferenceError(f"{name[:80]!r} is not named by repository and digest")
    try:
        reference = parse_reference(complete_name(name))
    except InvalidReferenceError as error:
        raise InvalidReferenceError(
            f"{name[:120]!r} is not named by a digest; write HOST/NAME@sha256:..."
        ) from error
    if isinstance(reference, PinnedReference):
        return Ask(image=PinnedReference(reference.repository, reference.digest))
    return Tell(image=reference, verb=verb)


def _text(document: Mapping[str, object], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise DocumentError(f"the request's body has no {key}")
    return value
