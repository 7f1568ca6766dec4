"""dpkg's status of a system that is not there: composed of the stanzas of what it would have.

deb-control(5) has the form: stanzas of fields, separated by empty lines.
"""

from collections.abc import Iterable, Iterator, Mapping

from imagekit.lock.lock import LockedDeb

_OF_THE_FILE = frozenset(
    {"filename", "size", "md5sum", "sha1", "sha256", "sha512", "description-md5", "status"}
)
"""Fields of an archive's index that are no part of a status."""
_STATUS = "Status: install ok installed"
Key = tuple[str, str]


class DpkgStatus:
    """The packages that a system has; each state is a value of its own."""

    def __init__(self, packages: Mapping[Key, str] | None = None) -> None:
        self._packages = dict(packages or {})
        """Stanzas by name and architecture."""

    @classmethod
    def read(cls, raw: bytes) -> "DpkgStatus":
        """Read the status of a system that is there."""
        found = {}
        for stanza in stanzas(raw.decode("utf-8", "replace")):
            fields = fields_of(stanza)
            if fields.get("status", "").endswith(" installed"):
                found[fields.get("package", ""), fields.get("architecture", "")] = stanza
        return cls(found)

    def with_stanza(self, deb: LockedDeb, stanza: str | None) -> "DpkgStatus":
        """Return the status with a package.

        Args:
            deb: the package, which takes the place of another version.
            stanza: that of its archive's index. Without it nothing is known of what it needs: it
                was resolved before, so that this is there.
        """
        if stanza is None:
            stanza = (
                f"Package: {deb.name}\nVersion: {deb.version}\nArchitecture: {deb.architecture}"
            )
        first, *rest = _lines_of_status(stanza)
        # A package that was of one architecture may be of all now, and the other way round.
        replaced = {
            key
            for key in self._packages
            if key[0] == deb.name
            and (key[1] == deb.architecture or "all" in {key[1], deb.architecture})
        }
        others = {key: value for key, value in self._packages.items() if key not in replaced}
        return DpkgStatus(
            {**others, (deb.name, deb.architecture): "\n".join([first, _STATUS, *rest])}
        )

    def without(self, removed: Iterable[Key], *, architecture: str) -> "DpkgStatus":
        """Return the status without some packages.

        Args:
            removed: names and architectures, which are empty where they are the system's.
            architecture: the system's.
        """
        gone = set()
        for name, of in removed:
            gone |= {(name, of)} if of else {(name, architecture), (name, "all")}
        return DpkgStatus({k: v for k, v in self._packages.items() if k not in gone})

    def version(self, name: str) -> str:
        """Return the version of a package; empty where it is not installed."""
        found = (fields_of(text) for key, text in self._packages.items() if key[0] == name)
        return next((fields.get("version", "") for fields in found), "")

    def text(self) -> str:
        """Return the status as dpkg keeps it."""
        return "".join(f"{self._packages[key]}\n\n" for key in sorted(self._packages))


def stanzas(text: str) -> Iterator[str]:
    """Yield the stanzas of a text."""
    yield from (stanza.strip("\n") for stanza in text.split("\n\n") if stanza.strip())


def fields_of(stanza: str) -> Mapping[str, str]:
    """Return the first lines of a stanza's fields, by their names in lower case."""
    rows = (line.partition(":") for line in stanza.splitlines() if line[:1] not in {" ", "\t", "#"})
    return {name.lower(): value.strip() for name, _, value in rows}


def _lines_of_status(stanza: str) -> Iterator[str]:
    kept = True
    for line in stanza.splitlines():
        if line[:1] not in {" ", "\t"}:
            kept = line.partition(":")[0].lower() not in _OF_THE_FILE
        if kept:
            yield line
