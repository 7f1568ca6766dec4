"""What an advisory says of one package, in whichever form it came."""

from msgspec import Struct

from imagekit.scan.severity import Rating


class VersionEvent(Struct, frozen=True, array_like=True):
    """A place on the line of versions; exactly one of these is not empty (OSV, ``events``)."""

    introduced: str = ""
    fixed: str = ""
    last_affected: str = ""
    limit: str = ""

    @property
    def version(self) -> str:
        """The version of it."""
        return self.introduced or self.fixed or self.last_affected or self.limit


class Advisory(Struct, frozen=True, kw_only=True, array_like=True):
    """A vulnerability as far as it is one of a package."""

    id: str
    aliases: tuple[str, ...] = ()
    """Other names of it, and those of the vulnerabilities that it is about."""
    ratings: tuple[Rating, ...] = ()
    ranges: tuple[tuple[VersionEvent, ...], ...] = ()
    versions: tuple[str, ...] = ()
    """Versions that are affected, whatever the ranges say."""


class AdvisoryRecord(Struct, frozen=True, kw_only=True):
    """An advisory of a database, and the packages that it speaks of."""

    key: str
    """What it is replaced by: the id of a newer record."""
    modified: str = ""
    """RFC 3339 in UTC; of two records with one key the later one counts."""
    packages: tuple[tuple[str, str, Advisory], ...] = ()
    """Ecosystem, name, and what is said of that package; none of a withdrawn one."""
    ids: tuple[str, ...] = ()
    ratings: tuple[Rating, ...] = ()
    """How bad it is, whatever the package: for advisories that leave that out."""
