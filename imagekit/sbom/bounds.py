"""How much is made of the files that were read: products of them, walked through and written.

A thousand packages that need what a thousand provide are a million edges; ten thousand names that
link to one list are ten thousand lists. Each of these is counted in the units that it costs, and
what is over becomes one note.
"""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from imagekit.build.catalogued import Allowance
from imagekit.sbom.contents import Component, License

MAX_PACKAGES = 20_000
"""Of each cataloguer; a full desktop has about 5,000 of Debian."""
MAX_LICENSES = 200
"""Of one component."""
_EDGE = 10
_REFS = 3
"""How often a component's ref stands in the document beside its own entry."""
_MAX_TEXT = 14 << 20
_MAX_EDGES = 6 << 20
"""Bytes of both in the document: with them an attestation is one that verifiers still read."""


class Bounds:
    """What is made of one image."""

    def __init__(self) -> None:
        self._packages: dict[str, Allowance] = {}
        self.headers = Allowance(
            400_000, "the metadata of {} Python packages was not read: too long together"
        )
        self.paragraphs = Allowance(500_000, "{} of dpkg's databases were not read to their end")
        self.crates = Allowance(
            64 << 20, "the crates of {} Rust programs were not read: too large together"
        )
        self.relations = Allowance(1_000_000, "the relations of {} packages were not all looked at")
        self.edges = Allowance(_MAX_EDGES, "the dependencies of {} packages are not all listed")
        self.lines = Allowance(5_000_000, "{} lists of installed files were not read to their end")
        self.read = Allowance(1 << 30, "{} files of packages were not read: too many links to one")
        self.steps = Allowance(1 << 28, "{} paths were not resolved: too many links")
        self.licenses = Allowance(0, "the licences of {} packages are not all listed")
        self.components = Allowance(MAX_PACKAGES, "{} more components are not listed: too many")
        self.text = Allowance(
            _MAX_TEXT, "{} more components are not listed: their texts are too large together"
        )

    def packages_of(self, title: str) -> Allowance:
        """Return how many packages are taken of one cataloguer, called by its title in the note."""
        note = f"{{}} more {title} are not listed"
        return self._packages.setdefault(title, Allowance(MAX_PACKAGES, note))

    def depending(self, ref: str, needed: Iterable[str]) -> set[str]:
        """Return what a component needs beside itself, as much as is still listed."""
        depends: set[str] = set()
        for target in needed:
            # What is named twice costs as much: it was walked through.
            if not self.edges.take(len(target) + _EDGE):
                break
            depends.add(target)
        return depends - {ref}

    def licensed(self, stated: tuple[License, ...]) -> tuple[License, ...]:
        """Return the licences of a component, as many as are still listed."""
        if len(stated) > MAX_LICENSES:
            self.licenses.take()
        return stated[:MAX_LICENSES]

    def listed(self, components: Iterable[Component]) -> Iterator[Component]:
        """Yield the components that are still listed, by number and by their text."""
        for component in components:
            # What it depends on is counted where that is found.
            size = len(repr(replace(component, depends=()))) + _REFS * len(component.ref)
            if self.components.take() and self.text.take(size):
                yield component

    def notes(self) -> Iterator[str]:
        """Yield what was over since the last time."""
        for allowance in (*self._packages.values(), *vars(self).values()):
            if isinstance(allowance, Allowance):
                yield from allowance.notes()
