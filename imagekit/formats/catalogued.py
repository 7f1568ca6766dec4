"""Which files of an image tell what it is made of, and how much of each is read.

An image is hostile: it may hold a status file of gigabytes or a million licence texts. So each
kind has a limit, and each excess has one of three ends: refused, cut short, or left out with a
note that the SBOM carries.
"""

from dataclasses import dataclass
from typing import Literal

from imagekit.errors import DocumentError

KIB, MIB = 1 << 10, 1 << 20
MAX_KEPT_BYTES = 512 * MIB
"""All documents of one layer together; a full Debian desktop has about 40 MiB."""
MAX_DOCUMENTS = 200_000
MAX_ENTRIES = 2_000_000
MAX_LINKS = 500_000
MAX_NOTES = 50

DPKG = "var/lib/dpkg"
DPKG_INFO = f"{DPKG}/info/"
DPKG_STATUS = f"{DPKG}/status"
DPKG_STATUS_D = f"{DPKG}/status.d/"
DOC = "usr/share/doc/"

OTHER_DATABASES = {
    "lib/apk/db/installed": "apk",
    "usr/lib/apk/db/installed": "apk",
    "var/lib/rpm/Packages": "rpm",
    "var/lib/rpm/Packages.db": "rpm",
    "var/lib/rpm/rpmdb.sqlite": "rpm",
    "usr/lib/sysimage/rpm/Packages.db": "rpm",
    "usr/lib/sysimage/rpm/rpmdb.sqlite": "rpm",
}
"""Package databases that are seen and not read; the SBOM says so."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How much of a file is read, and what happens to a larger one."""

    limit: int
    excess: Literal["refuse", "cut", "skip"]


_OS_RELEASE = Rule(64 * KIB, "skip")
_STATUS = Rule(128 * MIB, "refuse")
_LIST = Rule(32 * MIB, "skip")
_TEXT = Rule(MIB, "skip")
_METADATA = Rule(MIB, "cut")
_PRESENCE = Rule(0, "cut")

_EXACT = {
    "etc/os-release": _OS_RELEASE,
    "usr/lib/os-release": _OS_RELEASE,
    DPKG_STATUS: _STATUS,
    **dict.fromkeys(OTHER_DATABASES, _PRESENCE),
}
_DIST_INFO = {"METADATA": _METADATA, "RECORD": _LIST, "direct_url.json": _TEXT}
_EGG_INFO = {"PKG-INFO": _METADATA, "installed-files.txt": _LIST}


def rule_for(path: str) -> Rule | None:
    """Return the rule of a file that cataloguing reads, None for all others."""
    folder, _, name = path.rpartition("/")
    if folder.endswith(".dist-info"):
        return _DIST_INFO.get(name)
    if folder.endswith(".egg-info"):
        return _EGG_INFO.get(name)
    if path.startswith(DPKG):
        return _dpkg_rule(path, name)
    if name == "copyright" and path.startswith(DOC) and path.count("/") == DOC.count("/") + 1:
        return _TEXT
    return _METADATA if name.endswith(".egg-info") else _EXACT.get(path)


def _dpkg_rule(path: str, name: str) -> Rule | None:
    if path.startswith(DPKG_INFO):
        return _LIST if name.endswith((".md5sums", ".list")) else None
    if path.startswith(DPKG_STATUS_D):
        return _LIST if name.endswith(".md5sums") else _METADATA
    return _EXACT.get(path)


@dataclass(slots=True)
class Budget:
    """Counts what was read of one layer and ends it where it is more than any honest one has."""

    where: str
    entries: int = 0
    documents: int = 0
    kept: int = 0
    links: int = 0

    def entry(self) -> None:
        """Count an entry.

        Raises:
            DocumentError: there are too many.
        """
        self.entries += 1
        if self.entries > MAX_ENTRIES:
            raise self._excess(f"more than {MAX_ENTRIES} entries")

    def document(self, size: int) -> None:
        """Count a document that is kept.

        Raises:
            DocumentError: there are too many, or they are too large together.
        """
        self.documents += 1
        self.kept += size
        if self.documents > MAX_DOCUMENTS:
            raise self._excess(f"more than {MAX_DOCUMENTS} files of package databases")
        if self.kept > MAX_KEPT_BYTES:
            raise self._excess(f"more than {MAX_KEPT_BYTES} bytes of package databases")

    def link(self) -> None:
        """Count a symbolic link.

        Raises:
            DocumentError: there are too many.
        """
        self.links += 1
        if self.links > MAX_LINKS:
            raise self._excess(f"more than {MAX_LINKS} symbolic links")

    def wanted(self, path: str, size: int, rule: Rule) -> int | None:
        """Return how many bytes of the document are to be kept; None to leave it out.

        Raises:
            DocumentError: it is larger than it may be and cannot be left out.
        """
        if size <= rule.limit or rule.excess == "cut":
            kept = min(size, rule.limit)
            self.document(kept)
            return kept
        if rule.excess == "skip":
            return None
        raise self._excess(f"{path!r} of {size} bytes, where {rule.limit} is the most")

    def _excess(self, what: str) -> DocumentError:
        return DocumentError(
            f"{self.where} holds {what}",
            hint="no honest image has that; find out who built it",
            code="BAD_LAYER",
        )


class Notes:
    """Remarks about a layer, each once and not too many."""

    def __init__(self) -> None:
        self._notes: dict[str, None] = {}
        self._more = 0

    def add(self, note: str) -> None:
        """Keep a remark."""
        if note in self._notes:
            return
        if len(self._notes) < MAX_NOTES:
            self._notes[note] = None
        else:
            self._more += 1

    def all(self) -> tuple[str, ...]:
        """Return the remarks, and how many were left out."""
        more = (f"and {self._more} more remarks",) if self._more else ()
        return (*self._notes, *more)
