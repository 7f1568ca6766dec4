"""What a scan found, whoever made it."""

from datetime import datetime

from msgspec import Struct

from imagekit.policy.condition import Severity


class FoundVulnerability(Struct, frozen=True, kw_only=True):
    """One vulnerability of one package."""

    id: str
    """The CVE where there is exactly one, else as the advisory is called."""
    aliases: tuple[str, ...] = ()
    kind: str
    """Of the package: an ecosystem of OSV such as ``Debian:12``, or what a scanner calls it."""
    package: str
    version: str
    severity: Severity
    fixed_in: tuple[str, ...] | None = ()
    """The versions that fix it; none where there is no fix, and None where nothing says that."""
    doubt: str = ""
    """Why it may not be there: what cannot be compared counts as found."""


class ScannedTarget(Struct, frozen=True, kw_only=True):
    """What was looked at: the packages of one ecosystem."""

    kind: str
    packages: int


class ScannerIdentity(Struct, frozen=True, kw_only=True):
    """What made a scan, and by which data."""

    uri: str
    version: str = ""
    database: str = ""
    """What names the data: of imagekit's own scans, their digest."""
    database_date: str = ""
    """When the data were last changed, as they say themselves (RFC 3339)."""


class ScanResult(Struct, frozen=True, kw_only=True):
    """What came of a scan of one image."""

    scanner: ScannerIdentity
    finished: datetime
    """When the packages were compared with the data, with its zone."""
    targets: tuple[ScannedTarget, ...]
    vulnerabilities: tuple[FoundVulnerability, ...]
    """The worst first."""
    gaps: tuple[str, ...] = ()
    """Packages that nothing is known of, since the data lack their kind."""
    notes: tuple[str, ...] = ()

    def at_least(self, level: Severity) -> tuple[FoundVulnerability, ...]:
        """Return what is as bad as that, or of no known severity, which counts as the worst."""
        return tuple(each for each in self.vulnerabilities if each.severity >= level)


def worst_first(found: FoundVulnerability) -> tuple[int, str, str, str]:
    """Return what vulnerabilities are sorted by."""
    return -found.severity, found.package, found.id, found.version
