"""What an image is made of, and the few files of its layers that say so.

A layer is read once, as a stream, into ``LayerFiles``: everything behind that is pure. ``Sbom``
is what the layers of an image add up to.
"""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

from imagekit.build.catalogued import shown
from imagekit.build.image import Origin
from imagekit.documents.quantity import count
from imagekit.needs.elf import ElfNotes
from imagekit.sbom.programs import ElfNeeds


class RegularFile(Struct, frozen=True, kw_only=True):
    """A regular file of a layer. Only programs carry a digest, where those are asked for."""

    path: str
    size: int
    sha256: str = ""
    executable: bool = False
    elf: bool = False

    @property
    def is_program(self) -> bool:
        """Whether it can be run or linked against."""
        return self.executable or self.elf


class LayerFiles(Struct, frozen=True, kw_only=True):
    """What cataloguing needs of one layer, or of one folder. Paths have no slash in front."""

    layer: str = ""
    """The layer's diffID as text; empty for a folder."""
    origin: Origin | None = None
    """None where nothing says which part of a recipe the layer came from."""
    made_by: str = ""
    """What made the layer, as the image's history says; it may be anything."""
    documents: Mapping[str, bytes] = field(default_factory=dict)
    """Files of package databases, licence texts and the like, by path."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Symbolic links and what they say."""
    removed: frozenset[str] = frozenset()
    """Paths that the layer takes away, with all that lies under them."""
    emptied: frozenset[str] = frozenset()
    """Folders that hide what lower layers have in them (``.wh..wh..opq``)."""
    files: Mapping[str, RegularFile] = field(default_factory=dict)
    """All regular files."""
    elf: Mapping[str, ElfNotes] = field(default_factory=dict)
    """What ELF files say that they need, of all layers of an image."""
    sections: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    """Sections of ELF files that state packages, by path and name."""
    notes: tuple[str, ...] = ()
    """What could not be read, for a person."""


class Kind(StrEnum):
    """What a component is."""

    IMAGE = "image"
    SYSTEM = "operating-system"
    DEBIAN = "debian-package"
    RPM = "rpm-package"
    APK = "alpine-package"
    CONDA = "conda-package"
    PYTHON = "python-package"
    NPM = "npm-package"
    JAVA = "java-archive"
    GO = "go-module"
    RUST = "rust-crate"
    R = "r-package"
    PERL = "perl-distribution"
    GEM = "ruby-gem"
    SPACK = "spack-package"
    EASYBUILD = "easybuild-software"
    MODULE = "environment-module"
    ELF = "elf-package"
    FETCHED = "fetched-file"
    PROGRAM = "program"


class License(Struct, frozen=True, kw_only=True, order=True):
    """A licence as the image states it, and its SPDX expression where there is a known one."""

    stated: str
    spdx: str = ""


class Supplier(Struct, frozen=True, kw_only=True):
    """Who supplied a component."""

    name: str
    email: str = ""


class Component(Struct, frozen=True, kw_only=True):
    """One thing that an image contains."""

    ref: str
    """Unique in the SBOM, and the same for the same image."""
    kind: Kind
    name: str
    version: str = ""
    purl: str = ""
    cpe: str = ""
    description: str = ""
    licenses: tuple[License, ...] = ()
    supplier: Supplier | None = None
    homepage: str = ""
    download: str = ""
    """Where it was fetched from."""
    hashes: tuple[tuple[str, str], ...] = ()
    """Algorithm, in hashlib's words, and hexadecimal digest of the component itself."""
    properties: tuple[tuple[str, str], ...] = ()
    depends: tuple[str, ...] = ()
    """The ``ref`` of each component that it needs and that is there."""
    origin: Origin | None = None
    layer: str = ""


class UnownedFiles(Struct, frozen=True, kw_only=True):
    """Files of one folder, and all below it that is not told apart."""

    folder: str
    """Without a slash in front; empty for the root."""
    files: int
    origin: Origin | None = None
    layer: str = ""
    made_by: str = ""
    """What made the layer, as its history says."""

    def __str__(self) -> str:
        """Return it for people: ``/opt/app: 12 files, made by 3 steps (recipe)``."""
        by = f", made by {self.made_by}" if self.made_by else ""
        part = f" ({self.origin.value})" if self.origin else ""
        return f"{shown(self.folder)}: {count(self.files, 'file')}{by}{part}"


class Subject(Struct, frozen=True, kw_only=True):
    """The image or folder that an SBOM is about."""

    name: str
    version: str = ""
    digest: str = ""
    """Digest of the manifest; empty for a folder."""
    platform: str = ""
    epoch: int = 315_532_800
    """The image's time in seconds since 1970; 1980-01-01 where nothing tells it."""

    @property
    def ref(self) -> str:
        """What dependencies name it by."""
        return f"image:{self.digest}" if self.digest else f"folder:{self.name}"


class Sbom(Struct, frozen=True, kw_only=True):
    """What an image is made of."""

    subject: Subject
    components: tuple[Component, ...]
    notes: tuple[str, ...] = ()
    """What was seen and not catalogued: an SBOM must not be silent about it."""
    unowned: tuple[UnownedFiles, ...] = ()
    """The files that are neither a package's nor components of their own."""
    programs: ElfNeeds = ElfNeeds()
    """What its programs need of a node."""

    def count(self, *kinds: Kind) -> int:
        """Return how many components are of one of the kinds."""
        return sum(component.kind in kinds for component in self.components)

    @property
    def summary(self) -> str:
        """One line for a screen, such as ``139 packages, 2 components built here``."""
        own = self.count(Kind.FETCHED, Kind.PROGRAM)
        packages = len(self.components) - own - self.count(Kind.SYSTEM)
        return f"{count(packages, 'package')}, {count(own, 'file')} that no package owns"
