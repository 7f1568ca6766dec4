"""The grammar of what may be asked for (distribution-spec v1.1, "Endpoints").

The target of a request is taken apart here and nothing of it is ever passed on: requests to an
upstream are made anew from the values that come out. What the grammar does not know is refused,
above all percent signs: registries take ``apps%2Fdemo`` for ``apps/demo``.
"""

from urllib.parse import parse_qsl

from msgspec import Struct

from imagekit.errors import InvalidReferenceError
from imagekit.gate.answers import RequestRefusedError, bad_digest, bad_name, no_such_path
from imagekit.oci.digest import Digest
from imagekit.oci.reference import check_path, check_tag

# Names have 255 characters at most and digests 135; the rest is for what is queried.
MAX_TARGET = 4096
MAX_PAGE = 1000
_PREFIX = "/v2/"
_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/:")
_MAX_FIELDS = 16
_DIGITS = frozenset("0123456789")


class Ping(Struct, frozen=True):
    """``/v2/``: is there a registry, and does it know me?"""


class AskManifest(Struct, frozen=True):
    """A manifest by its tag or digest."""

    path: str
    reference: str | Digest
    namespace: str = ""
    """The registry that a client of containerd means (``?ns=``)."""


class AskBlob(Struct, frozen=True):
    """A blob."""

    path: str
    digest: Digest
    namespace: str = ""


class AskReferrers(Struct, frozen=True):
    """What names a manifest as its subject."""

    path: str
    digest: Digest
    artifact_types: tuple[str, ...] = ()
    """Only these, where some are named."""
    namespace: str = ""


class AskTags(Struct, frozen=True):
    """The tags of a repository, after ``last`` and at most ``count``."""

    path: str
    count: int | None = None
    last: str = ""
    namespace: str = ""


class AskCatalog(Struct, frozen=True):
    """The repositories, after ``last`` and at most ``count``."""

    count: int | None = None
    last: str = ""


class AskHealth(Struct, frozen=True):
    """What is not of the registry: ``healthz``, ``readyz`` or ``metrics``."""

    name: str


Ask = Ping | AskManifest | AskBlob | AskReferrers | AskTags | AskCatalog | AskHealth
Named = AskManifest | AskBlob | AskReferrers | AskTags


def parse(target: str) -> Ask:
    """Read the target of a request, exactly as it came over the wire.

    Raises:
        RequestRefusedError: it is not of the grammar (400 or 404).
    """
    path, _, query = target.partition("?")
    if len(target) > MAX_TARGET or not _CHARACTERS.issuperset(path):
        raise bad_name("the path has characters that no name has, or is too long")
    if path in {"/healthz", "/readyz", "/metrics"}:
        return AskHealth(path[1:])
    # distribution-spec, "Endpoints", has the slash at the end; not all clients write it.
    if path in {"/v2", _PREFIX}:
        return Ping()
    if not path.startswith(_PREFIX):
        raise no_such_path()
    return _registry(path.removeprefix(_PREFIX), _fields(query))


def _registry(rest: str, fields: "_Fields") -> Ask:
    if rest == "_catalog":
        return AskCatalog(fields.count(), fields.first("last"))
    # A name may have components called `manifests`; what comes last tells the kind.
    parts = rest.rsplit("/", 2)
    if len(parts) != 3:  # noqa: PLR2004 - name, kind, reference
        raise no_such_path()
    name, kind, reference = parts
    if kind not in {"manifests", "blobs", "referrers", "tags"}:
        raise no_such_path()
    _check_name(name)
    # distribution-spec, "Registry Proxying" (newer than v1.1): the host in the name that the client
    # was given.
    namespace = fields.first("ns")
    match kind:
        case "manifests":
            return AskManifest(name, _reference(reference), namespace)
        case "blobs":
            return AskBlob(name, _digest(reference), namespace)
        case "referrers":
            kinds = fields.all("artifactType")
            return AskReferrers(name, _digest(reference), kinds, namespace)
        case _ if reference == "list":
            return AskTags(name, fields.count(), fields.first("last"), namespace)
        case _:
            raise no_such_path()


def _check_name(name: str) -> None:
    try:
        check_path(name, whole=name)
    except InvalidReferenceError as error:
        raise bad_name(error.message) from error


def _reference(text: str) -> str | Digest:
    # No tag has a colon, and every digest has one.
    if ":" in text:
        return _digest(text)
    try:
        check_tag(text)
    except InvalidReferenceError as error:
        # The specification has one code for manifests that cannot be there.
        raise RequestRefusedError(404, "MANIFEST_UNKNOWN", error.message) from error
    return text


def _digest(text: str) -> Digest:
    try:
        return Digest.parse(text)
    except InvalidReferenceError as error:
        raise bad_digest(error.message) from error


class _Fields:
    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def first(self, name: str) -> str:
        return next((value for key, value in self._pairs if key == name), "")

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self._pairs if key == name)

    def count(self) -> int | None:
        text = self.first("n")
        if not text:
            return None
        if not _DIGITS.issuperset(text):
            # distribution's own code: the specification has none for this.
            raise RequestRefusedError(400, "PAGINATION_NUMBER_INVALID", "n is not a number")
        # Nobody reads longer pages, and a long number is no better than a large one.
        return min(int(text[:9]), MAX_PAGE) if len(text) <= 9 else MAX_PAGE  # noqa: PLR2004


def _fields(query: str) -> _Fields:
    try:
        # Media types have a plus, which not all clients write as %2B; nothing here has a space.
        plain = query.replace("+", "%2B")
        return _Fields(parse_qsl(plain, max_num_fields=_MAX_FIELDS) if query else [])
    except ValueError as error:
        raise RequestRefusedError(400, "UNSUPPORTED", "the query cannot be read") from error
