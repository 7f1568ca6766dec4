"""Which requests to Docker's daemon bring images in or start them, and what is asked about these.

Docker asks its authorization plugins about every request. What must hold:

1. An image comes in by digest only, and a container is made of an image by digest only: between the
   verdict on a tag and the daemon's own look at it, the tag may move.
2. Images that come from elsewhere (build, load, import, commit, plugins) are refused.
3. A request whose body Docker did not pass on is refused where the body decides: empty bodies
   (CVE-2024-41110) and those over its limit of 1 MiB (CVE-2026-34040).
4. A path that could be read in two ways is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from imagekit.errors import DocumentError, InvalidReferenceError
from imagekit.formats import strictjson
from imagekit.model.reference import PinnedReference, TaggedReference, parse_reference

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_REFUSED: Mapping[str, str] = {
    "/build": "building images on this host",
    "/session": "building images on this host",
    "/grpc": "building images on this host",
    "/commit": "making images of containers",
    "/images/load": "loading images from files",
    "/plugins/pull": "installing plugins",
    "/plugins/create": "installing plugins",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request that is allowed if the image is."""

    image: PinnedReference


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """A request by a tag: refused, and the user is told by which digest to ask."""

    image: TaggedReference
    verb: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A request that is decided without a look at any image."""

    allow: bool
    message: str = ""


Decision = Ask | Tell | Answer


def decide(method: str, uri: str, body: bytes | None) -> Decision:
    """Return what is to be done about a request.

    Args:
        method: of HTTP.
        uri: path and query, as Docker's client sent them.
        body: its bytes; None where Docker passed none on.

    Raises:
        InvalidReferenceError, DocumentError: it cannot be understood, and so is refused.
    """
    # Not by urlsplit: it takes what stands behind two slashes for a host.
    before, _, query = uri.partition("?")
    path = _path(before)
    if method in _READING:
        return Answer(allow=True)
    if path in _REFUSED:
        return Answer(allow=False, message=f"{_REFUSED[path]} is not allowed here")
    if path == "/images/create":
        return _pull(_query(query))
    if path == "/containers/create":
        return _image(_field(body, "Image"), verb="docker run")
    if path == "/services/create" or (path.startswith("/services/") and path.endswith("/update")):
        return _service(body)
    return Answer(allow=True)


def _path(path: str) -> str:
    """Return the path without the version of the API.

    Raises:
        DocumentError: it could be read in two ways.
    """
    if not path.startswith("/") or any(odd in path for odd in ("%", "//", "\\", "#")):
        raise DocumentError(f"the path {path[:80]!r} could be read in two ways")
    parts = path.split("/")[1:]
    if "." in parts or ".." in parts:
        raise DocumentError(f"the path {path[:80]!r} could be read in two ways")
    version = parts[0].removeprefix("v")
    if parts[0].startswith("v") and version and set(version) <= frozenset("0123456789."):
        parts = parts[1:]
    return "/" + "/".join(parts).rstrip("/")


def _query(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=64)
    except ValueError as error:
        raise DocumentError(f"the request's parameters cannot be read: {error}") from error
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DocumentError("a parameter stands twice in the request")
    return found


def _pull(query: Mapping[str, str]) -> Decision:
    if query.get("fromSrc"):
        return Answer(allow=False, message="importing file systems as images is not allowed here")
    name, tag = query.get("fromImage", ""), query.get("tag", "")
    if not name:
        raise DocumentError("the request does not say which image to pull")
    joined = name
    if tag:
        joined = f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"
    return _image(joined, verb="docker pull")


def _image(name: str, *, verb: str) -> Decision:
    name = _full(name)
    try:
        reference = parse_reference(name)
    except InvalidReferenceError as error:
        raise InvalidReferenceError(
            f"{name[:120]!r} is not named by a digest; write HOST/NAME@sha256:..."
        ) from error
    if isinstance(reference, PinnedReference):
        return Ask(image=PinnedReference(reference.repository, reference.digest))
    return Tell(image=reference, verb=verb)


def _full(name: str) -> str:
    """Return the name as Docker completes it: docker.io, and library/ before a single word."""
    if name.startswith(("oci:", "sha256:")):
        raise InvalidReferenceError(f"{name[:80]!r} is not named by repository and digest")
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def _service(body: bytes | None) -> Decision:
    template = _object(_document(body), "TaskTemplate")
    container = _object(template, "ContainerSpec")
    return _image(_text(container, "Image"), verb="docker service create")


def _field(body: bytes | None, key: str) -> str:
    return _text(_document(body), key)


def _document(body: bytes | None) -> Mapping[str, object]:
    if not body:
        raise DocumentError(
            "the daemon did not pass on the request's body: it is empty or over 1 MiB"
        )
    return strictjson.loads_object(body, what="the request's body")


def _get(document: Mapping[str, object], key: str) -> object:
    """Return a value as Go finds it: whatever the case of its key; there is at most one."""
    return next((value for name, value in document.items() if name.lower() == key.lower()), None)


def _object(document: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = _get(document, key)
    if not isinstance(value, dict):
        raise DocumentError(f"the request's body has no {key}")
    return value


def _text(document: Mapping[str, object], key: str) -> str:
    value = _get(document, key)
    if not isinstance(value, str) or not value:
        raise DocumentError(f"the request's body has no {key}")
    return value
