"""Denied packages: by purl, and by versions as their own kind of package orders them.

A component is one of a denied package where

1. one of its purls has the same type, namespace and name, however it is written: percent-encoded,
   in upper case, with qualifiers; or names it as ``upstream``, the source that it was built from;
2. it has no purl, and its name is that of the package: alone, or behind its namespace.

Its version is denied where the range has it, and also where there is none, or none that can be
compared. Where purl and component differ in their versions, each of them is looked at.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from msgspec import Struct, field

from imagekit.policy.condition import PackageRange
from imagekit.verify.conditions.components import SbomComponent
from imagekit.verify.conditions.purls import parse_purl, qualifier
from imagekit.verify.conditions.untrusted_json import shown, too_many

if TYPE_CHECKING:
    from packageurl import PackageURL

MAX_COMPARED = 5000
"""Most versions that are compared; a usual image has a denied package in one or two."""
MAX_VERSION = 128
"""Longest version that is compared: some kinds take time by the square of the length."""

_PYPI = "pypi"
_WELL_FORMED = re.compile(r"pkg:/*[a-z][a-z0-9.+-]*/+[^/@?#]", re.IGNORECASE)
_PYPI_SEPARATORS = re.compile(r"[-_.]+")
_SEPARATORS = re.compile(r"[/@?#&=:]")

_Key = tuple[str, str, str]
_Named = tuple[_Key, tuple[str, ...]]
"""A package, and the versions of it that are stated."""


class DeniedPackages(Struct):
    """What a policy denies, ready to be looked up; good for one SBOM."""

    _by_key: Mapping[_Key, Sequence[PackageRange]]
    _by_name: Mapping[str, Sequence[PackageRange]]
    _names: AbstractSet[str]
    _odd: bool
    """Whether a name holds what separates the parts of a purl."""
    _answers: dict[tuple[str, str], bool] = field(default_factory=dict)

    @classmethod
    def of(cls, denied: Iterable[PackageRange]) -> "DeniedPackages":
        """Sort denied packages by what they are found by."""
        by_key: dict[_Key, list[PackageRange]] = {}
        by_name: dict[str, list[PackageRange]] = {}
        for package in denied:
            _, namespace, name = key = _key(parse_purl(package.purl))
            by_key.setdefault(key, []).append(package)
            longer = (f"{namespace}/{name}", f"{namespace}:{name}") if namespace else ()
            for spelling in (name, *longer):
                by_name.setdefault(spelling, []).append(package)
        names = frozenset(name for _, _, name in by_key)
        return cls(by_key, by_name, names, any(map(_SEPARATORS.search, names)))

    def fault(self, component: SbomComponent) -> str:
        """Return why a component is denied, or an empty text.

        Raises:
            DocumentError: its purl cannot be read, or more is to be compared than is.
        """
        for denied, versions in self._meant(component):
            stated = [version for version in versions if version]
            if not denied.versions:
                return f"{denied.purl} in any version"
            if not stated:
                return f"{denied.purl}, and its version is not stated"
            for version in stated:
                if self._is_in(version, denied):
                    return f"{denied.purl} in {denied.versions}, and it is {shown(version)}"
        return ""

    def _meant(self, component: SbomComponent) -> Iterator[tuple[PackageRange, tuple[str, ...]]]:
        if not component.purls:
            for denied in self._called(component.name.casefold()):
                yield denied, (component.version,)
        for purl in component.purls:
            if not self._may_name(purl):
                continue
            for key, versions in _named(parse_purl(purl), component.version):
                for denied in self._by_key.get(key, ()):
                    yield denied, versions

    def _called(self, name: str) -> Iterator[PackageRange]:
        last = name.rpartition("/")[2]
        for spelling in {name, last, _same_name(name, _PYPI), _same_name(last, _PYPI)}:
            yield from self._by_name.get(spelling, ())

    def _may_name(self, purl: str) -> bool:
        """Return whether a purl may name a denied package; most do not, and reading one is slow."""
        if not _WELL_FORMED.match(purl) or self._odd:
            return True
        words = _SEPARATORS.split(unquote(purl).casefold())
        return (
            not self._names.isdisjoint(words)
            or words[-1].endswith(".src.rpm")
            or (
                _PYPI in words
                and not self._names.isdisjoint(_same_name(word, _PYPI) for word in words)
            )
        )

    def _is_in(self, version: str, denied: PackageRange) -> bool:
        question = (version, denied.versions)
        if question not in self._answers:
            if len(self._answers) >= MAX_COMPARED:
                raise too_many("versions to compare", MAX_COMPARED)
            self._answers[question] = _within(version, denied.versions)
        return self._answers[question]


def _within(version: str, versions: str) -> bool:
    """Return whether a range has the version; what cannot be compared counts as within."""
    if len(version) > MAX_VERSION:
        return True
    try:
        # A range of vers (VERSION-RANGE-SPEC), which names the kind of its versions.
        version_range = _range(versions)
        return bool(version_range.version_class(version) in version_range)
    except Exception:  # noqa: BLE001  # univers raises whatever its parsers run into
        return True


@lru_cache(maxsize=1024)
def _range(versions: str) -> Any:
    from univers.version_range import VersionRange  # few policies deny packages

    parse: Callable[[str], Any] = VersionRange.from_string
    return parse(versions)


def _named(purl: "PackageURL", stated: str) -> Iterator[_Named]:
    """Yield the package of a purl, and the source package that it was built from."""
    kind, namespace, _ = key = _key(purl)
    version = purl.version or ""
    # What dpkg and rpm call the epoch is a part of the version, which some write elsewhere.
    epoch = qualifier(purl, "epoch")
    own = f"{epoch}:{version}" if epoch and version and ":" not in version else version
    other = "" if stated == version else stated
    versions = (own, other)
    yield key, versions
    # No qualifier of the specification: Syft and imagekit write it for packages of dpkg and rpm.
    upstream = qualifier(purl, "upstream")
    if upstream:
        source, _, its_version = _source(upstream, kind).partition("@")
        yield (
            (kind, namespace, _same_name(source, kind)),
            (its_version,) if its_version else versions,
        )


def _source(upstream: str, kind: str) -> str:
    """Return ``NAME[@VERSION]`` of a source package; rpm's is a file's name."""
    if kind != "rpm" or not upstream.endswith(".src.rpm"):
        return upstream
    # NAME-VERSION-RELEASE: a name may have dashes, version and release have none.
    name, dash, rest = upstream.removesuffix(".src.rpm").rpartition("-")
    name, inner_dash, version = name.rpartition("-")
    return f"{name}@{version}-{rest}" if dash and inner_dash else upstream


def _key(purl: "PackageURL") -> _Key:
    # purl, "type": without regard to case. Whether that holds for names is up to the type; here it
    # holds for all, so that rather too much is denied.
    kind = purl.type.casefold()
    return kind, (purl.namespace or "").casefold(), _same_name(purl.name, kind)


def _same_name(name: str, kind: str) -> str:
    """Return a name as it is compared; PyPI takes any run of ``-_.`` for one ``-`` (PEP 503)."""
    folded = name.casefold()
    return _PYPI_SEPARATORS.sub("-", folded) if kind == _PYPI else folded
