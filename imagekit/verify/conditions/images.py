"""Which image a URI in a statement names, in the ways that builders write it.

* ``HOST/PATH[:TAG][@DIGEST]``, also behind ``oci://``, ``docker://`` and ``docker-image://``;
* ``pkg:docker/NAMESPACE/NAME@TAG``, as BuildKit writes it: a name without a host is Docker Hub's;
* ``pkg:oci/NAME@DIGEST?repository_url=HOST/PATH`` of the package URL specification;
* ``recipe:NAME@VERSION``, an image that imagekit built on the same machine: ``localhost/NAME``.

What has no scheme and could be the name of an image is taken for one; every other URI is not.
"""

from urllib.parse import unquote

from msgspec import Struct

from imagekit.errors import DocumentError, InvalidReferenceError
from imagekit.oci.hostname import HUB, canonical_host
from imagekit.oci.reference import LAYOUT_HOST, Repository, complete_name
from imagekit.verify.conditions.purls import is_purl, parse_purl, qualifier
from imagekit.verify.conditions.untrusted_json import BAD_STATEMENT, shown

_SCHEMES = ("oci://", "docker://", "docker-image://")
_RECIPE = "recipe:"


class NamedImage(Struct, frozen=True):
    """An image as a statement names it."""

    repository: str
    """``HOST/PATH``."""
    rest: str = ""
    """``:TAG``, ``@DIGEST``, both or nothing."""


def image_named(uri: str) -> NamedImage | None:
    """Return the image that a URI names, or None where it names something else.

    Raises:
        DocumentError: it is meant to be an image, and its name cannot be read.
    """
    # RFC 3986 section 6.2.2.1: a scheme is the same in any case.
    lowered = uri[:20].casefold()
    if lowered.startswith(("pkg:docker/", "pkg:oci/")):
        return _of_purl(uri)
    if lowered.startswith(_RECIPE):
        name = uri[len(_RECIPE) :].partition("@")[0]
        return _checked(f"{LAYOUT_HOST}/{name}", "", uri)
    scheme = next((prefix for prefix in _SCHEMES if lowered.startswith(prefix)), "")
    if scheme:
        return _of_reference(uri[len(scheme) :], uri)
    if "://" in uri or is_purl(uri) or not uri:
        return None
    try:
        return _of_reference(uri, uri)
    except DocumentError:
        return None


def _of_reference(text: str, uri: str) -> NamedImage:
    name, at, digest = text.partition("@")
    name, colon, tag = _tagged(name)
    return _checked(complete_name(name), f"{colon}{tag}{at}{digest}", uri)


def _tagged(name: str) -> tuple[str, str, str]:
    slash, colon = name.rfind("/"), name.rfind(":")
    return (name[:colon], ":", name[colon + 1 :]) if colon > slash else (name, "", "")


def _of_purl(uri: str) -> NamedImage:
    purl = parse_purl(uri)
    # purl types docker and oci: ``repository_url`` names the registry, or the registry and the
    # path.
    url = unquote(qualifier(purl, "repository_url")).rpartition("://")[2].rstrip("/")
    name = f"{purl.namespace}/{purl.name}" if purl.namespace else purl.name
    if purl.type == "oci":
        # The qualifier is the whole name; some leave the last component to the name of the purl.
        name = url if url.rpartition("/")[2] == purl.name else f"{url}/{name}".lstrip("/")
    elif url and not _is_hub(url.partition("/")[0]):
        name = f"{url}/{name}"
    version = purl.version or ""
    # A digest has a colon after its algorithm, and a tag has none.
    mark = "@" if ":" in version else ":"
    digest = qualifier(purl, "digest")
    rest = (f"{mark}{version}" if version else "") + (f"@{digest}" if digest else "")
    image = _of_reference(name, uri)
    return NamedImage(image.repository, rest)


def _is_hub(host: str) -> bool:
    try:
        return canonical_host(host) == HUB
    except InvalidReferenceError:
        return False


def _checked(name: str, rest: str, uri: str) -> NamedImage:
    try:
        return NamedImage(Repository.parse(name).name, rest)
    except InvalidReferenceError as error:
        raise _unreadable(uri, error.message) from error


def _unreadable(uri: str, why: str) -> DocumentError:
    return DocumentError(
        f"the name of an image cannot be read, {shown(uri)!r}: {why}", code=BAD_STATEMENT
    )
