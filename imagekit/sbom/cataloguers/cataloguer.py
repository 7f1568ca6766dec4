"""What every cataloguer is: which files it reads, and what packages they state.

A cataloguer is pure and does no I/O. Whoever reads a layer asks for the ``rule`` of every path, and
keeps the files that have one; when all layers lie over each other, ``packages`` gets each file that
states some. What it yields is bounded there, put into order, given an identity and the layer that
it came in, and connected with what it needs: none of this is the cataloguer's business.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar, Generic, TypeVar

from msgspec import Struct, field

from imagekit.sbom.bounds import Bounds
from imagekit.sbom.cataloguers.catalogue_rule import CatalogueRule
from imagekit.sbom.contents import Component
from imagekit.sbom.overlay import Root
from imagekit.sbom.system import System


class Package(Struct, frozen=True, kw_only=True):
    """A package that a file of the image states."""

    name: str
    version: str
    path: str
    """The file that states it."""
    variant: str = ""
    """Architecture or the like: what tells it from another one of the same name and version."""

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes it the same package in two layers, or twice in one."""
        return (self.name, self.version, self.variant, self.path)


AnyPackage = TypeVar("AnyPackage", bound=Package)


class Context(Struct, frozen=True, kw_only=True):
    """The image that a package is described in."""

    root: Root
    system: System
    archive_hashes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """SHA-256 of Python archives that a recipe names, by normal name and version."""


class Cataloguer(ABC, Generic[AnyPackage]):
    """Reads the packages of one package manager or language."""

    title: ClassVar[str]
    """What its packages are called in notes, such as ``Debian packages``."""
    names: ClassVar[frozenset[str]] = frozenset()
    """Names of files that ``rule`` is asked about."""
    suffixes: ClassVar[frozenset[str]] = frozenset()
    """Last suffixes of such files, with their dot."""
    folders: ClassVar[frozenset[str]] = frozenset()
    """Names of folders: ``rule`` is asked about every file in them and one level below."""
    sections: ClassVar[frozenset[str]] = frozenset()
    """Sections of ELF files that state packages; such a section is read as a file is."""
    own_folders: ClassVar[frozenset[str]] = frozenset()
    """Where it keeps its own files, with a slash at the end: nothing in there is unmanaged."""
    is_system: ClassVar[bool] = False
    """Whether it installs what other cataloguers find, so that it is part of its packages."""
    is_secondary: ClassVar[bool] = False
    """Whether what lies in a file of a system's package is that package, and not listed again."""
    is_database: ClassVar[bool] = False
    """Whether one file states many packages, and is written anew in every layer."""

    def rule(self, path: str) -> CatalogueRule | None:
        """Return how much is read of the file at a path; None where it is none of its files."""
        return None

    def states(self, path: str) -> bool:
        """Return whether a file that it reads states packages, and does not only describe them."""
        return True

    @abstractmethod
    def packages(self, path: str, raw: bytes, root: Root) -> Iterator[AnyPackage]:
        """Yield the packages that a file states; what cannot be read becomes a note of the root.

        Args:
            path: the file.
            raw: what it says.
            root: the image, its bounds and its notes.
        """

    @abstractmethod
    def component(self, package: AnyPackage, context: Context) -> Component:
        """Describe a package. Its ``depends``, ``origin`` and ``layer`` are filled in later."""

    def files(self, package: AnyPackage, root: Root) -> Iterator[str]:
        """Yield the paths that belong to a package; one that ends in a slash is a whole folder."""
        return iter(())

    def provides(self, package: AnyPackage, bounds: Bounds) -> Iterator[str]:
        """Yield the names by which other packages of this cataloguer need it."""
        yield package.name

    def needs(self, package: AnyPackage, bounds: Bounds) -> Iterator[tuple[str, ...]]:
        """Yield what it needs: of the names of each, the first that is there counts."""
        return iter(())

    def led_away(self, root: Root) -> Iterator[str]:
        """Yield notes on links, other than those in the places of the files that it reads."""
        return iter(())
