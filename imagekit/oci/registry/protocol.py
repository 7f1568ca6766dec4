"""The registry protocol without I/O: requests to make and answers to check.

OCI distribution-spec v1.1, and Docker's token authentication
(https://distribution.github.io/distribution/spec/auth/token/). Transports only carry bytes; what a
hostile registry may answer is judged here, once for all of them.
"""

import base64
import ipaddress
from collections.abc import Collection, Iterator, Mapping
from urllib.parse import SplitResult, quote, urlencode, urljoin, urlsplit

from msgspec import Struct, field

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields
from imagekit.errors import (
    AuthError,
    DocumentError,
    InvalidReferenceError,
    NotFoundError,
    RegistryError,
)
from imagekit.oci.digest import Digest
from imagekit.oci.hostname import PORTS, server_of, url_host
from imagekit.oci.reference import Repository
from imagekit.oci.registry.options import Credential
from imagekit.oci.registry.weblink import Link, parse_links
from imagekit.oci.types import DOCKER_INDEX, DOCKER_MANIFEST, INDEX, MANIFEST

ACCEPT = f"{MANIFEST}, {INDEX}, {DOCKER_MANIFEST}, {DOCKER_INDEX}"
MAX_ERROR = 8 << 10
MAX_TOKEN = 1 << 20
# Pages that lead to each other do not end.
MAX_PAGES = 64
MAX_REFERRERS = 1000
MAX_TAGS = 100_000
MAX_REPOSITORIES = 10_000
_CATALOG_PAGE = 1000
CATALOG = "_catalog"
"""Stands for the list of repositories where a repository is named: none is called so."""
# Docker's token specification, "Resource Class" and "Resource Scope".
_CATALOG_SCOPE = "registry:catalog:*"
TRANSIENT = frozenset({429, 500, 502, 503, 504})
"""Statuses that may pass by themselves; nothing else is asked again."""
# distribution-spec, "Unavailable Referrers API", says 404; some registries without it answer 400 or
# 405.
NO_REFERRERS_API = frozenset({400, 404, 405})
_MAX_CHALLENGE = 8 << 10
_MAX_SHOWN = 300
_MAX_ENCODED = 64
"""Characters of a digest that the tag of its referrers has ("Referrers Tag Schema")."""
_NOT_FOUND = 404
_BAD = "BAD_ANSWER"
# RFC 6750 section 2.1 (b64token).
_TOKEN_CHARACTERS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="
)
_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_DOCKER_HUB_TOKENS = "auth.docker.io"


class Challenge(Struct, frozen=True):
    """What a registry wants to see (RFC 9110 section 11.6.1): ``basic`` or ``bearer``."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


class TokenRequest(Struct, frozen=True):
    """Where a token is asked for, and by which words."""

    url: str
    headers: Mapping[str, str]
    form: bytes | None = None

    def __repr__(self) -> str:
        return f"TokenRequest(url={self.url!r})"


def base_url(repository: Repository, *, plain_http: bool, has_ca: bool) -> str:
    """Return scheme and host; loopback speaks HTTP unless an authority was given for it.

    Raises:
        InvalidReferenceError: the name has the port that HTTP has anyway: without TLS the same
            registry would have two names.
    """
    plain = plain_http or (repository.is_loopback and not has_ca)
    scheme = "http" if plain else "https"
    host = server_of(repository.host)
    if host.endswith(f":{PORTS[scheme]}"):
        short = host.rpartition(":")[0]
        raise InvalidReferenceError(
            f"{host} is spoken to by {scheme}, whose own port {PORTS[scheme]} is",
            hint=f"write {short}: policies and signatures know it by that name",
        )
    return f"{scheme}://{host}"


def manifest_path(repository: Repository, reference: str) -> str:
    """Return the path of a manifest by its tag or digest, both of them checked values."""
    return f"/v2/{repository.path}/manifests/{reference}"


def blob_path(repository: Repository, digest: Digest) -> str:
    """Return the path of a blob."""
    return f"/v2/{repository.path}/blobs/{digest}"


def upload_path(repository: Repository) -> str:
    """Return the path at which uploads begin."""
    return f"/v2/{repository.path}/blobs/uploads/"


def referrers_path(repository: Repository, digest: Digest) -> str:
    """Return the path of the referrers API."""
    return f"/v2/{repository.path}/referrers/{digest}"


def tags_path(repository: Repository) -> str:
    """Return the path of the list of tags."""
    return f"/v2/{repository.path}/tags/list"


def catalog_path() -> str:
    """Return the path of the list of repositories (Docker Registry HTTP API V2, "Catalog")."""
    return f"/v2/{CATALOG}?n={_CATALOG_PAGE}"


def fallback_tag(digest: Digest) -> str:
    """Return the tag that lists the referrers where there is no API ("Referrers Tag Schema").

    A longer digest is cut there: what is listed may name another subject with the same beginning.
    """
    return f"{digest.algorithm}-{digest.hex[:_MAX_ENCODED]}"


def scope(repository: Repository, *, push: bool) -> str:
    """Return the scope that a token needs, never more than that."""
    if repository.path == CATALOG:
        return _CATALOG_SCOPE
    return f"repository:{repository.path}:{'pull,push' if push else 'pull'}"


def media_type(content_type: str) -> str:
    """Return a Content-Type in small letters and without parameters (RFC 9110 section 8.3.1)."""
    # distribution-spec, "Pulling manifests": clients should ignore parameters.
    return content_type.partition(";")[0].strip().lower()


def parse_challenge(header: str) -> Challenge:
    """Read WWW-Authenticate and choose Bearer before Basic.

    Raises:
        AuthError: neither is offered, or the header is malformed.
    """
    challenges = _challenges(header) if len(header) <= _MAX_CHALLENGE else {}
    for scheme in ("bearer", "basic"):
        if scheme in challenges:
            return Challenge(scheme, challenges[scheme])
    raise AuthError(
        "the registry wants a kind of login that is not known: " + shown(header),
        hint="Basic and Bearer are known",
        code=_BAD,
        http_status=401,
    )


def token_request(
    challenge: Challenge,
    credential: Credential | None,
    *,
    registry: str,
    wanted: str,
    realms: Collection[str] = (),
) -> TokenRequest:
    """Return the request for a token.

    Args:
        challenge: what the registry answered.
        credential: the user's, where there is one.
        registry: scheme and host of the registry.
        wanted: the scopes, with spaces between; those in the challenge could ask for more.
        realms: hosts that may see credentials, besides the registry's own domain. A token that
            needs none may come from elsewhere.

    Raises:
        AuthError: the realm is a place that must not see credentials.
    """
    realm = challenge.parameters.get("realm", "")
    _check_realm(realm, registry)
    if credential is not None:
        _check_listed(realm, registry, realms)
    words = [("scope", wanted)]
    if service := challenge.parameters.get("service", ""):
        words.append(("service", service))
    if credential is not None and credential.identity_token:
        # Docker's OAuth2 specification, "Getting a token": an identity token is a refresh token.
        words += [("grant_type", "refresh_token"), ("client_id", "imagekit")]
        words.append(("refresh_token", credential.identity_token))
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return TokenRequest(realm, kind, urlencode(words).encode())
    # Docker's token specification, "Query Parameters": each scope stands for itself.
    words[:1] = [("scope", scope) for scope in wanted.split(" ")]
    glue = "&" if urlsplit(realm).query else "?"
    headers = {} if credential is None else {"Authorization": basic(credential)}
    return TokenRequest(f"{realm}{glue}{urlencode(words)}", headers)


def parse_token(raw: bytes) -> str:
    """Return the token of a token server's answer.

    Raises:
        AuthError: there is none, or it would not fit into a header.
    """
    try:
        document = strictjson.loads_object(raw, what="the token server's answer")
    except DocumentError as error:
        raise AuthError(error.message, code=_BAD) from error
    # Docker's token specification, "Token Response Fields": at least one of both is there, and
    # where both are they should be the same.
    # ``expires_in`` is passed over: a token that has ended is answered by 401, and replaced then.
    token = document.get("token") or document.get("access_token")
    if not isinstance(token, str) or not token or not _TOKEN_CHARACTERS.issuperset(token):
        raise AuthError("the token server answered without a token", code=_BAD)
    return token


def basic(credential: Credential) -> str:
    """Return the Authorization of RFC 7617."""
    pair = f"{credential.username}:{credential.password}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def next_page(link: str, current: str) -> str | None:
    """Return the URL of the next page, or None after the last.

    Args:
        link: the Link header (RFC 8288), several of them joined; an empty one where there is none.
        current: the URL that was asked.

    Raises:
        RegistryError: it cannot be read, or leads to several pages or to another host.
    """
    targets = {_joined(current, next_link.target) for next_link in _next_links(link, current)}
    if len(targets) > 1:
        raise _unreadable(link, "it names several next pages")
    if not targets:
        return None
    (url,) = targets
    if origin(url) != origin(current):
        raise RegistryError(
            f"the registry's next page lies on another host: {shown(url)}",
            hint="pages are read from the registry itself only",
            code="FOREIGN_LINK",
        )
    return url


def redirected(url: str, location: str, *, may_leave_tls: bool = False) -> str:
    """Return where a redirect or an upload leads.

    Args:
        url: what was asked for.
        location: what was answered.
        may_leave_tls: whether it may lead from TLS to none: what is public needs no secrecy.

    Raises:
        RegistryError: nowhere, to something else than HTTP, from TLS to none, or to an address
            of this machine or link (``FOREIGN_REDIRECT``).
    """
    # RFC 9110 section 10.2.2: a relative one is meant from what was asked for.
    target = _joined(url, location)
    before, after = urlsplit(url), _split(target)
    # An ambiguous form of an address, 0.0.0.0 among them, is no host that anything is sent to.
    known = after.scheme in PORTS and bool(_known_host(after)) and after.username is None
    if known and origin(target) == origin(url):
        return target
    downgraded = before.scheme == "https" and after.scheme != "https" and not may_leave_tls
    if not location or not known or downgraded or _is_inner(after, before):
        raise RegistryError(
            f"the server sends its client to {shown(target)}, where it must not go",
            hint="blobs may lie on another server, but not on this machine's own addresses",
            code="FOREIGN_REDIRECT",
        )
    return target


def is_inner_address(address: str) -> bool:
    """Return whether an address is of this machine or link, which a registry has no say over."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = parsed if mapped is None else mapped
    # Link-local is also 169.254.169.254, where clouds give credentials to whoever asks. Private
    # networks (RFC 1918) are no part of it: a site's registry and its blobs are there.
    return (
        parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified or parsed.is_multicast
    )


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: what credentials belong to.

    Raises:
        RegistryError: it is no URL.
    """
    parts = _split(url)
    try:
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise RegistryError(f"{shown(url)} is not a URL", code=_BAD) from error
    return parts.scheme, _host(parts), port


def with_digest(url: str, digest: Digest) -> str:
    """Return the URL that ends an upload."""
    # distribution-spec, "POST then PUT": the location may have parameters that must be kept.
    return f"{url}{'&' if urlsplit(url).query else '?'}digest={quote(str(digest))}"


def refusal(status: int, raw: bytes, *, what: str) -> RegistryError:
    """Return the error for an answer that is not the one asked for.

    Args:
        status: of the answer.
        raw: the beginning of its body.
        what: what was asked for.
    """
    reason, detail = _code_and_message(raw)
    message = f"{what}: the registry answered {status}" + (f": {detail}" if detail else "")
    kind: type[RegistryError] = RegistryError
    hint, code = "its log says more: ask whoever runs the registry", "REGISTRY_ERROR"
    if status == _NOT_FOUND:
        kind, code = NotFoundError, "NOT_FOUND"
        hint = "look at the name and the tag; some registries answer so without a login, too"
    elif status in {401, 403}:
        kind, code = AuthError, "UNAUTHORIZED"
        hint = "log in (podman login HOST), or ask for the right to do this"
    elif status in TRANSIENT:
        hint = "the registry has a fault or is busy: try again later"
    return kind(message, hint=hint, code=code, http_status=status, reason=reason)


def parse_tags(raw: bytes) -> list[str]:
    """Return one page of tags.

    Raises:
        DocumentError: it is not one.
    """
    return _listed(raw, "tags", limit=MAX_TAGS)


def parse_repositories(raw: bytes) -> list[str]:
    """Return one page of the names of repositories.

    Raises:
        DocumentError: it is not one.
    """
    return _listed(raw, "repositories", limit=MAX_REPOSITORIES)


def _listed(raw: bytes, key: str, *, limit: int) -> list[str]:
    what = f"the list of {key}"
    document = Fields.of(strictjson.loads(raw, what=what), what=what, code="BAD_DOCUMENT")
    # Go writes an empty list as null.
    if document.get(key) is None:
        return []
    names = document.array(key, limit=limit)
    if not all(isinstance(name, str) for name in names):
        raise document.fault("holds something else than texts")
    return names


def check_size(raw: bytes, limit: int, *, what: str) -> None:
    """Raise unless a body, of which a byte more than allowed was read, is as small as allowed.

    Raises:
        RegistryError: it has more than ``limit`` bytes (``TOO_LARGE``).
    """
    if len(raw) > limit:
        raise RegistryError(
            f"{what} is larger than {limit} bytes",
            hint="an answer of this kind never needs as much",
            code="TOO_LARGE",
        )


def shown(text: str) -> str:
    """Return a registry's text for a message: cut, and without what controls a terminal."""
    cut = text[:_MAX_SHOWN]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut)


def _next_links(header: str, current: str) -> Iterator[Link]:
    try:
        links = parse_links(header)
    except DocumentError as error:
        raise _unreadable(header, error.message) from error
    for link in links:
        if not link.relations:
            # RFC 8288 section 3.3: it must have one. Some may mean the next page without.
            raise _unreadable(header, "a link has no relation")
        if "next" not in link.relations:
            continue
        if link.anchor is not None and _joined(current, link.anchor) != current:
            raise _unreadable(header, "its next page is that of something else")
        yield link


def _unreadable(header: str, why: str) -> RegistryError:
    return RegistryError(
        f"the registry's Link header {shown(header)!r} cannot be read: {why}",
        hint="whether there are more pages is not known, so that nothing was concluded",
        code=_BAD,
    )


def _challenges(header: str) -> dict[str, dict[str, str]]:
    """Take a header apart by characters: no expression that hostile text could slow down."""
    challenges: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for word in _words(header):
        name, equals, value = word.partition("=")
        scheme, space, first = name.rpartition(" ")
        if not equals:
            current = challenges.setdefault(word.strip().lower(), {})
            continue
        if space:
            current = challenges.setdefault(scheme.strip().lower(), {})
            name = first
        current.setdefault(name.strip().lower(), _unquoted(value.strip()))
    return challenges


def _words(header: str) -> list[str]:
    # RFC 9110 section 11.6.1: commas part challenges as well as their parameters. Section 5.6.4:
    # within quotes a comma is a character, and a backslash takes the meaning of the next one.
    words, word, quoted, escaped = [], "", False, False
    for character in header:
        if character == "," and not quoted:
            words.append(word.strip())
            word = ""
            continue
        if character == '"' and not escaped:
            quoted = not quoted
        escaped = character == "\\" and quoted and not escaped
        word += character
    return [part for part in [*words, word.strip()] if part]


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return value


def _check_realm(realm: str, registry: str) -> None:
    """Only TLS, or the plain registry's own host, may see a credential (CVE-2026-33540)."""
    parts, own = _split(realm), _split(registry)
    own_host = own.scheme == "http" and _known_host(parts) == _host(own)
    good = parts.scheme == "https" or (parts.scheme == "http" and own_host)
    good = good and parts.username is None and _is_sendable(realm)
    if not good or not _known_host(parts):
        raise AuthError(
            f"the registry wants the login to be sent to {shown(realm) or 'nowhere'}",
            hint="a token server has to be reached by https; nothing was sent",
            code="UNTRUSTED_REALM",
            http_status=401,
        )
    if _is_inner(parts, own):
        raise AuthError(
            f"the registry's token server is {shown(realm)}, an address of this machine",
            hint="nothing was sent; ask who runs the registry",
            code="UNTRUSTED_REALM",
            http_status=401,
        )


def _check_listed(realm: str, registry: str, realms: Collection[str]) -> None:
    """Only the registry's own domain, and hosts that somebody listed, may see a credential."""
    _, host, port = origin(realm)
    listed = {name.lower() for name in realms}
    if _is_own_realm(host, origin(registry)[1]) or host in listed or f"{host}:{port}" in listed:
        return
    raise AuthError(
        f"the registry wants the login to be sent to {shown(realm)}, which is not listed",
        hint=f"nothing was sent; if {shown(host)} is the registry's token server, list it: "
        "--realm HOST, or realms in the configuration",
        code="UNTRUSTED_REALM",
        http_status=401,
    )


def _is_own_realm(host: str, registry: str) -> bool:
    """Return whether a token server is of the registry's own domain.

    That is its host or below it, and never beside it: nobody can see in a name where a domain
    ends that is registered by one owner. Docker Hub alone is known to have two names.
    """
    below = "." in registry and not _is_address(registry) and host.endswith(f".{registry}")
    return host == registry or below or (registry in _DOCKER_HUB and host == _DOCKER_HUB_TOKENS)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_inner(target: SplitResult, before: SplitResult) -> bool:
    host = _host(target)
    inner = host == "localhost" or is_inner_address(host)
    return inner and not (_is_loopback(_host(before)) and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise RegistryError(f"{shown(url)} is not a URL", code=_BAD) from error


def _host(parts: SplitResult) -> str:
    """Return the host of a URL in its one spelling, or an empty text where there is none.

    Raises:
        RegistryError: it is an ambiguous form of an address, which resolvers read in several ways.
    """
    try:
        return url_host(parts.hostname) if parts.hostname else ""
    except InvalidReferenceError as error:
        raise RegistryError(f"{shown(parts.hostname or '')} is not a host", code=_BAD) from error


def _known_host(parts: SplitResult) -> str:
    """Return the host as ``_host`` does, and an empty text where it is an ambiguous one."""
    try:
        return _host(parts)
    except RegistryError:
        return ""


def _joined(base: str, target: str) -> str:
    try:
        url = urljoin(base, target)
    except ValueError as error:
        raise RegistryError(f"{shown(target)} is not a URL", code=_BAD) from error
    if not _is_sendable(url):
        raise RegistryError(f"{shown(target)} is not a URL", code=_BAD)
    return url


def _is_sendable(url: str) -> bool:
    """Return whether a request can be made of it (RFC 3986 section 2: characters of ASCII)."""
    return url.isascii() and url.isprintable() and " " not in url


def _code_and_message(raw: bytes) -> tuple[str, str]:
    """Return the code and the message of an error's body (distribution-spec "Error Codes")."""
    try:
        document = strictjson.loads_object(raw[:MAX_ERROR], what="the error")
        first = document["errors"][0]
        reason, message = str(first.get("code", "")), str(first.get("message", ""))
    except (DocumentError, LookupError, TypeError, AttributeError):
        return "", ""
    return shown(reason), shown(f"{reason}: {message}" if reason else message)
