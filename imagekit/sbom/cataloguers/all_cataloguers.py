"""All cataloguers, and which of them reads a file."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from imagekit.sbom.cataloguers.apk import ApkCataloguer
from imagekit.sbom.cataloguers.catalogue_rule import KIB, CatalogueRule
from imagekit.sbom.cataloguers.cataloguer import Cataloguer
from imagekit.sbom.cataloguers.conda import CondaCataloguer
from imagekit.sbom.cataloguers.dpkg import DpkgCataloguer
from imagekit.sbom.cataloguers.easybuild import EasyBuildCataloguer
from imagekit.sbom.cataloguers.elf_package import ElfPackageCataloguer
from imagekit.sbom.cataloguers.gem import GemCataloguer
from imagekit.sbom.cataloguers.golang import GoCataloguer
from imagekit.sbom.cataloguers.java import JavaCataloguer
from imagekit.sbom.cataloguers.modulefile import ModuleFileCataloguer
from imagekit.sbom.cataloguers.npm import NpmCataloguer
from imagekit.sbom.cataloguers.perl import PerlCataloguer
from imagekit.sbom.cataloguers.python import PythonCataloguer
from imagekit.sbom.cataloguers.r import RCataloguer
from imagekit.sbom.cataloguers.rpm import RpmCataloguer
from imagekit.sbom.cataloguers.rust import RustCataloguer
from imagekit.sbom.cataloguers.spack import SpackCataloguer
from imagekit.sbom.system import OS_RELEASE_FILES

AnyCataloguer = Cataloguer[Any]

# Those of a distribution first: what they install, others find too, and it is theirs.
CATALOGUERS: tuple[AnyCataloguer, ...] = (
    DpkgCataloguer(),
    RpmCataloguer(),
    ApkCataloguer(),
    CondaCataloguer(),
    SpackCataloguer(),
    EasyBuildCataloguer(),
    PythonCataloguer(),
    NpmCataloguer(),
    JavaCataloguer(),
    RCataloguer(),
    PerlCataloguer(),
    GemCataloguer(),
    GoCataloguer(),
    RustCataloguer(),
    ElfPackageCataloguer(),
    ModuleFileCataloguer(),
)

_OS_RELEASE = CatalogueRule(64 * KIB, "skip")
SECTIONS = frozenset().union(*(cataloguer.sections for cataloguer in CATALOGUERS))
"""The sections of ELF files that are kept."""
OWN_FOLDERS = tuple(folder for cataloguer in CATALOGUERS for folder in cataloguer.own_folders)


def _index(attribute: str) -> Mapping[str, tuple[AnyCataloguer, ...]]:
    index: dict[str, list[AnyCataloguer]] = defaultdict(list)
    for cataloguer in CATALOGUERS:
        for word in getattr(cataloguer, attribute):
            index[word].append(cataloguer)
    return {word: tuple(found) for word, found in index.items()}


_BY_NAME, _BY_SUFFIX, _BY_FOLDER = _index("names"), _index("suffixes"), _index("folders")


def cataloguer_of(path: str) -> AnyCataloguer | None:
    """Return who reads the file at a path; None for files that nobody reads."""
    found = _found(path)
    return found[0] if found else None


def rule_for(path: str) -> CatalogueRule | None:
    """Return how much is read of the file at a path; None for files that nobody reads."""
    if path in OS_RELEASE_FILES:
        return _OS_RELEASE
    found = _found(path)
    return found[1] if found else None


def _found(path: str) -> tuple[AnyCataloguer, CatalogueRule] | None:
    for cataloguer in _asked(path):
        rule = cataloguer.rule(path)
        if rule is not None:
            return cataloguer, rule
    return None


def _asked(path: str) -> Iterable[AnyCataloguer]:
    """Yield who may read a path, without looking at more than three of its words."""
    # Most of an image's paths are asked about and read by nobody.
    above, _, name = path.rpartition("/")
    if name in _BY_NAME:
        yield from _BY_NAME[name]
    dot = name.rfind(".")
    if dot >= 0 and (suffix := name[dot:]) in _BY_SUFFIX:
        yield from _BY_SUFFIX[suffix]
    if _BY_FOLDER:
        for folder in above.rsplit("/", 2)[-2:]:
            if folder in _BY_FOLDER:
                yield from _BY_FOLDER[folder]
