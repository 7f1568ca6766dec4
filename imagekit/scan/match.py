"""Packages and advisories brought together: what is known of an image.

What must hold:

1. A package of a kind that advisories speak of, and that the data say nothing of, is a gap: it is
   never taken for one without vulnerabilities.
2. What cannot be compared counts as found.
3. What a distribution ships of others (a Python package within a Debian one) is judged by the
   distribution's advisories, which know what it has fixed, where the data have them.
4. Comparisons are counted: neither an SBOM nor a database can make a scan that does not end.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from imagekit.documents.quantity import count
from imagekit.errors import DocumentError
from imagekit.policy.condition import Severity
from imagekit.scan.advisory import Advisory
from imagekit.scan.advisory_index import AdvisoryIndex
from imagekit.scan.affected import Affected, affected
from imagekit.scan.ecosystems import SYSTEMS, Lookup, lookup_of, stated_kind
from imagekit.scan.image_packages import ImagePackage
from imagekit.scan.scan_result import FoundVulnerability, ScannedTarget, worst_first
from imagekit.scan.severity import severity_of

MAX_COMPARED = 2_000_000
"""Most advisories that are compared for one image; Debian's kernel has 5,000 for each version."""
_CVE = "CVE-"
_MAX_GAPS = 100


class Matched(Struct, frozen=True, kw_only=True):
    """What is known of an image's packages."""

    vulnerabilities: tuple[FoundVulnerability, ...]
    targets: tuple[ScannedTarget, ...]
    gaps: tuple[str, ...]
    notes: tuple[str, ...]


def match(packages: Iterable[ImagePackage], index: AdvisoryIndex) -> Matched:
    """Return what advisories say of packages.

    Raises:
        DocumentError: a package URL is none, or more would be compared than is.
        ToolError: the index cannot be read.
    """
    return _Matching(index).all_of(packages)


class _Matching:
    def __init__(self, index: AdvisoryIndex) -> None:
        self._index = index
        self._known = tuple(index.ecosystems)
        self._systems = {name.partition(":")[0] for name in self._known} & SYSTEMS
        self._left = MAX_COMPARED
        self._found: dict[tuple[str, str, str, str], FoundVulnerability] = {}
        self._looked_up: dict[Lookup, tuple[tuple[Advisory, str, Affected], ...]] = {}
        self._targets: Counter[str] = Counter()
        self._gaps: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._owned = 0

    def all_of(self, packages: Iterable[ImagePackage]) -> Matched:
        for package in packages:
            self._take(package)
        found = [self._rated(vulnerability) for vulnerability in self._found.values()]
        notes = [
            f"{count(number, 'package')} of kind {kind}: no advisories of OSV speak of these"
            for kind, number in sorted(self._unknown.items())[:_MAX_GAPS]
        ]
        if self._owned:
            notes.append(
                f"{count(self._owned, 'package')} within those of the distribution: judged by its "
                "advisories"
            )
        return Matched(
            vulnerabilities=tuple(sorted(found, key=worst_first)),
            targets=tuple(
                ScannedTarget(kind=kind, packages=number)
                for kind, number in sorted(self._targets.items())
            ),
            gaps=tuple(
                f"{kind}: {count(number, 'package')}"
                for kind, number in sorted(self._gaps.items())[:_MAX_GAPS]
            ),
            notes=tuple(notes),
        )

    def _take(self, package: ImagePackage) -> None:
        lookup = lookup_of(package.purl)
        if lookup is None:
            self._unknown[stated_kind(package.purl)[:100]] += 1
            return
        if lookup.family not in SYSTEMS and self._is_judged_by_its_owner(package.part_of):
            self._owned += 1
            return
        ecosystems = lookup.ecosystems(self._known)
        if not ecosystems:
            self._gaps[lookup.kind] += 1
            return
        self._targets[lookup.kind] += 1
        if lookup not in self._looked_up:
            self._looked_up[lookup] = tuple(self._affecting(lookup, ecosystems))
        name, version = _shown(package.purl)
        for advisory, _, answer in self._looked_up[lookup]:
            self._add(advisory, answer, kind=lookup.kind, package=name, version=version)

    def _is_judged_by_its_owner(self, owner: str) -> bool:
        if not owner:
            return False
        try:
            lookup = lookup_of(owner.partition("#")[0])
        except DocumentError:
            return False
        return lookup is not None and bool(lookup.ecosystems(self._known))

    def _affecting(
        self, lookup: Lookup, ecosystems: tuple[str, ...]
    ) -> Iterator[tuple[Advisory, str, Affected]]:
        for name, version in lookup.names:
            for advisory in self._index.advisories(name, ecosystems):
                self._left -= 1
                if self._left < 0:
                    raise DocumentError(
                        f"more than {MAX_COMPARED} advisories would have to be compared",
                        hint="the SBOM names one package in very many versions",
                        code="TOO_MANY",
                    )
                answer = affected(advisory, version, lookup.order)
                if answer is not None:
                    yield advisory, version, answer

    def _add(
        self, advisory: Advisory, answer: Affected, *, kind: str, package: str, version: str
    ) -> None:
        name = _name(advisory)
        key = (kind, package, version, name)
        found = FoundVulnerability(
            id=name,
            aliases=tuple(other for other in (advisory.id, *advisory.aliases) if other != name),
            kind=kind,
            package=package,
            version=version,
            severity=severity_of(advisory.ratings),
            fixed_in=answer.fixed_in,
            doubt=answer.doubt,
        )
        self._found[key] = _merged(self._found[key], found) if key in self._found else found

    def _rated(self, found: FoundVulnerability) -> FoundVulnerability:
        """Return it with a severity that another record states, where its own states none."""
        if found.severity is not Severity.UNKNOWN:
            return found
        ids = (found.id, *found.aliases)
        return replace(found, severity=severity_of(self._index.ratings(ids)))


def _name(advisory: Advisory) -> str:
    """Return the one CVE that an advisory is about, else its own name."""
    cves = {name for name in (advisory.id, *advisory.aliases) if name.startswith(_CVE)}
    return cves.pop() if len(cves) == 1 else advisory.id


def _merged(first: FoundVulnerability, other: FoundVulnerability) -> FoundVulnerability:
    """Return what two advisories say of one vulnerability: the worst that is known."""
    known = [each for each in (first.severity, other.severity) if each is not Severity.UNKNOWN]
    fixes = dict.fromkeys((*(first.fixed_in or ()), *(other.fixed_in or ())))
    return replace(
        first,
        aliases=tuple(dict.fromkeys((*first.aliases, *other.aliases))),
        severity=max(known, default=Severity.UNKNOWN),
        fixed_in=tuple(fixes),
        doubt=first.doubt if other.doubt else "",
    )


def _shown(purl: str) -> tuple[str, str]:
    """Return name and version as people know them."""
    from imagekit.verify.conditions.purls import parse_purl

    parsed = parse_purl(purl)
    # The vendor of a distribution's package is said by its ecosystem.
    system = parsed.type in {"deb", "rpm", "apk"}
    name = parsed.name if system or not parsed.namespace else f"{parsed.namespace}/{parsed.name}"
    return name, parsed.version or ""
