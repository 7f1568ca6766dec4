"""What a CycloneDX document lists, whoever wrote it: ours, or another tool's.

A document is hostile: it is read strictly, its components are counted wherever they are nested, and
what is read of it is bounded. Versions 1.2 to 1.7 of the JSON form are read; what is not asked for
here is passed over.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from imagekit.errors import DocumentError
from imagekit.sbom.text import clean

MAX_DOCUMENT = 64 << 20
"""Bytes of a document that is read."""
MAX_COMPONENTS = 100_000
MAX_LISTED = 1000
"""Licences, hashes or properties of one component."""
MAX_EDGES = 2_000_000
_MAX_TEXT = 500
_WHAT = "the SBOM"
_DISTRIBUTED = frozenset({"deb", "rpm", "apk", "alpm"})
"""Types whose namespace is the distribution, which some tools leave out."""


class ListedComponent(Struct, frozen=True, kw_only=True, order=True):
    """A component, as far as it is compared and shown. Its texts hold no control characters."""

    type: str
    """Of its package URL, such as ``deb``; without one, CycloneDX' own, such as ``file``."""
    name: str
    """Behind its group or namespace and a slash where it has one."""
    version: str = ""
    """Without one, the beginning of its digest."""
    licences: tuple[str, ...] = ()
    step: str = ""
    """The part of a recipe that it came in by, where the document says so."""
    ref: str = ""
    depends: tuple[str, ...] = ()
    """The ``ref`` of each that it needs."""


class SbomListing(Struct, frozen=True, kw_only=True):
    """The components of a document, in order, and what it is about."""

    title: str
    """Name and version of its subject."""
    components: tuple[ListedComponent, ...]


class _Pair(Struct):
    name: str = ""
    value: str = ""


class _Hash(Struct):
    alg: str = ""
    content: str = ""


class _License(Struct):
    id: str = ""
    name: str = ""


class _Choice(Struct):
    license: _License = field(default_factory=_License)
    expression: str = ""
    acknowledgement: str = ""


class _Component(Struct, rename={"ref": "bom-ref"}):
    type: str = ""
    group: str | None = ""
    name: str = ""
    version: str | None = ""
    purl: str | None = ""
    ref: str = ""
    licenses: tuple[_Choice, ...] | None = ()
    hashes: tuple[_Hash, ...] | None = ()
    properties: tuple[_Pair, ...] | None = ()
    components: tuple["_Component", ...] | None = ()


class _Metadata(Struct):
    component: _Component | None = None


class _Dependency(Struct, rename="camel"):
    ref: str
    depends_on: tuple[str, ...] | None = ()


class _Document(Struct, rename="camel"):
    bom_format: Literal["CycloneDX"]
    spec_version: Literal["1.2", "1.3", "1.4", "1.5", "1.6", "1.7"]
    metadata: _Metadata = field(default_factory=_Metadata)
    components: tuple[_Component, ...] | None = ()
    dependencies: tuple[_Dependency, ...] | None = ()


def parse_listing(raw: bytes, *, what: str = _WHAT) -> SbomListing:
    """Read a CycloneDX document in JSON from its exact bytes.

    Raises:
        DocumentError: it is none, is ambiguous, or holds more than is read.
    """
    from imagekit.documents.strictjson import loads_object

    if len(raw) > MAX_DOCUMENT:
        raise DocumentError(
            f"{what} has {len(raw)} bytes; at most {MAX_DOCUMENT} are read", code="TOO_LARGE"
        )
    return listing(loads_object(raw, what=what), what=what)


def listing(document: dict[str, Any], *, what: str = _WHAT) -> SbomListing:
    """Return what a CycloneDX document lists.

    Args:
        document: its JSON, read strictly.
        what: what it is called in messages.

    Raises:
        DocumentError: it is no CycloneDX, or holds more than is read.
    """
    try:
        read = msgspec.convert(document, _Document)
    except (msgspec.ValidationError, RecursionError) as error:
        raise DocumentError(
            f"{what} is not CycloneDX in JSON: {clean(str(error), _MAX_TEXT)}",
            hint="versions 1.2 to 1.7 are read; of other forms, `cyclonedx convert` makes one",
            code="BAD_DOCUMENT",
        ) from error
    needs = _needs(read, what)
    subject = read.metadata.component or _Component()
    return SbomListing(
        title=clean(f"{subject.name} {subject.version or ''}".strip(), _MAX_TEXT) or "an SBOM",
        components=tuple(sorted(_listed(each, needs, what) for each in _components(read, what))),
    )


def _components(document: _Document, what: str) -> Iterator[_Component]:
    """Yield all components, wherever they are nested, each behind what it stands in."""
    subject = document.metadata.component
    pending = [*(document.components or ()), *((subject.components or ()) if subject else ())]
    seen = 0
    while pending:
        component = pending.pop()
        seen += 1
        if seen > MAX_COMPONENTS:
            raise _too_many(what, "components", MAX_COMPONENTS)
        yield component
        pending += component.components or ()


def _needs(document: _Document, what: str) -> dict[str, list[str]]:
    graph: dict[str, list[str]] = {}
    edges = 0
    for dependency in document.dependencies or ():
        edges += 1 + len(dependency.depends_on or ())
        if edges > MAX_EDGES:
            raise _too_many(what, "dependencies", MAX_EDGES)
        graph.setdefault(dependency.ref, []).extend(dependency.depends_on or ())
    return graph


def _listed(component: _Component, needs: dict[str, list[str]], what: str) -> ListedComponent:
    if max(len(each or ()) for each in (component.licenses, component.hashes)) > MAX_LISTED:
        raise _too_many(what, f"licences or hashes of {component.name[:40]!r}", MAX_LISTED)
    kind, name = _identity(component)
    version = clean(component.version or "", _MAX_TEXT) or _digest(component)
    return ListedComponent(
        type=kind,
        name=name,
        version=version,
        licences=_licences(component),
        step=_step(component),
        ref=component.ref,
        depends=tuple(needs.get(component.ref, ())) if component.ref else (),
    )


def _identity(component: _Component) -> tuple[str, str]:
    """Return the type and the name that make two components the same one in two versions."""
    from packageurl import PackageURL

    group, name = component.group or "", component.name
    kind = component.type
    if component.purl:
        try:
            purl = PackageURL.from_string(component.purl[:4096])
            kind, group, name = purl.type, purl.namespace or "", purl.name
        except ValueError:
            # What is no package URL says nothing.
            pass
    whole = f"{group}/{name}" if group and kind not in _DISTRIBUTED else name
    return clean(kind, _MAX_TEXT) or "component", clean(whole, _MAX_TEXT) or "(unnamed)"


def _digest(component: _Component) -> str:
    digests = {each.alg: each.content for each in component.hashes or ()}
    content = digests.get("SHA-256") or next(iter(digests.values()), "")
    return f"#{clean(content, 12)}" if content else ""


def _licences(component: _Component) -> tuple[str, ...]:
    """Return what is declared; where nothing is, what another one concluded."""
    choices = component.licenses or ()
    stated = [each for each in choices if each.acknowledgement != "concluded"] or choices
    texts = (each.expression or each.license.id or each.license.name for each in stated)
    return tuple(sorted({clean(text, _MAX_TEXT) for text in texts if text}))


def _step(component: _Component) -> str:
    values = {each.name: each.value for each in component.properties or ()}
    step = clean(values.get("imagekit:step", "") or values.get("imagekit:origin", ""), 80)
    return "" if step == "unknown" else step


def _too_many(what: str, things: str, limit: int) -> DocumentError:
    return DocumentError(
        f"{what} has more than {limit} {things}; what is not read cannot be compared",
        code="TOO_MANY",
    )
