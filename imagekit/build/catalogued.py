"""Which files of an image show what it is made of, and how much of each is read.

An image may be hostile: with a status file of gigabytes, a million licence texts, or a few
packages that all depend on all others. So everything that is kept or walked through is counted,
over all layers together and in bytes or steps, not in items alone. What exceeds a bound is left
out, one note in the SBOM says how much, and the rest is read.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

KIB, MIB = 1 << 10, 1 << 20
MAX_ENTRIES = 2_000_000
MAX_DOCUMENTS = 200_000
MAX_KEPT_BYTES = 256 * MIB
"""All documents of an image together; a full Debian desktop has about 40 MiB."""
MAX_MARKS = 100_000
MAX_LINKS = 500_000
MAX_LINK = 4096
"""Longest target of a symbolic link (Linux: PATH_MAX)."""
MAX_PATH = 4096
MAX_DEPTH = 250
MAX_NAMES = 256 * MIB
"""Paths that are kept, each with what Python spends on an entry."""
MAX_DIGESTED = 64 << 30
MAX_UNPACKED = 128 << 30
MAX_NOTES = 50
_MOST_SHOWN = 20
_ENTRY = 200

DPKG = "var/lib/dpkg"
DPKG_INFO = f"{DPKG}/info/"
DPKG_STATUS = f"{DPKG}/status"
DPKG_STATUS_D = f"{DPKG}/status.d/"
DOC = "usr/share/doc/"


class CatalogueRule(Struct, frozen=True):
    """How much of a file is read, and what happens to a larger one."""

    limit: int
    excess: Literal["cut", "skip"]
    border: bytes = b""
    """What ends an entry, where a file that is cut may lose whole entries only."""

    def whole(self, raw: bytes) -> bytes:
        """Return the first bytes of a larger file without an entry that was cut in two."""
        if not self.border:
            return raw
        head, border, _ = raw.rpartition(self.border)
        return head + border


_OS_RELEASE = CatalogueRule(64 * KIB, "skip")
_STATUS = CatalogueRule(128 * MIB, "cut", border=b"\n\n")
_LIST = CatalogueRule(32 * MIB, "skip")
_TEXT = CatalogueRule(MIB, "skip")
_METADATA = CatalogueRule(MIB, "cut")

_EXACT = {
    "etc/os-release": _OS_RELEASE,
    "usr/lib/os-release": _OS_RELEASE,
    DPKG_STATUS: _STATUS,
}
_DIST_INFO = {"METADATA": _METADATA, "RECORD": _LIST, "direct_url.json": _TEXT}
_EGG_INFO = {"PKG-INFO": _METADATA, "installed-files.txt": _LIST}


_FOREIGN_NAMES = {
    ("db", "installed"): "apk",
    ("rpm", "Packages"): "rpm",
    ("rpm", "Packages.db"): "rpm",
    ("rpm", "rpmdb.sqlite"): "rpm",
    ("opkg", "status"): "opkg",
    ("db", "db.sqlite"): "Nix",
    ("composer", "installed.json"): "Composer",
    (".spack-db", "index.json"): "Spack",
    (".spack", "spec.json"): "Spack",
}
"""By the file's folder and its name."""
_FOREIGN_BELOW = {
    ("local", "desc"): "pacman",
    ("node_modules", "package.json"): "npm",
    ("library", "DESCRIPTION"): "R",
    ("site-library", "DESCRIPTION"): "R",
}
"""By what the folder above the file's is called, and the file's name."""
_FOREIGN_SUFFIXES = {".jar": "Java", ".war": "Java", ".ear": "Java", ".egg": "zipped egg"}


def rule_for(path: str) -> CatalogueRule | None:
    """Return the rule of a file that cataloguing reads, None for all others."""
    folder, _, name = path.rpartition("/")
    if folder.endswith(".dist-info"):
        return _DIST_INFO.get(name)
    if folder.endswith((".egg-info", "/EGG-INFO")):
        return _EGG_INFO.get(name)
    if path.startswith(DPKG):
        return _dpkg_rule(path, name)
    if name == "copyright" and path.startswith(DOC) and path.count("/") == DOC.count("/") + 1:
        return _TEXT
    if name.endswith(".egg-link"):
        return _TEXT
    return _METADATA if name.endswith(".egg-info") else _EXACT.get(path)


def foreign_database(path: str) -> str:
    """Return whose database or package a file is, where it is one that is seen and not read.

    The SBOM has a note of it: what is recognised is never left out without one.
    """
    *_, above, folder, name = ("", "", *path.split("/"))
    _, dot, suffix = name.rpartition(".")
    kind = _FOREIGN_NAMES.get((folder, name)) or _FOREIGN_SUFFIXES.get(f"{dot}{suffix}", "")
    if kind:
        return kind
    if folder == "conda-meta":
        return "conda" if name.endswith(".json") else ""
    if folder == "specifications" and name.endswith(".gemspec"):
        return "Ruby gem"
    return _FOREIGN_BELOW.get((above, name), "") or _scoped(path, name)


def _scoped(path: str, name: str) -> str:
    scope = path.split("/")[-4:-2]
    within = name == "package.json" and scope[:1] == ["node_modules"] and scope[1][:1] == "@"
    return "npm" if within else ""


def _dpkg_rule(path: str, name: str) -> CatalogueRule | None:
    if path.startswith(DPKG_INFO):
        return _LIST if name.endswith((".md5sums", ".list")) else None
    if path.startswith(DPKG_STATUS_D):
        return _LIST if name.endswith(".md5sums") else _METADATA
    return _EXACT.get(path)


class Allowance(Struct):
    """How much of one sort is taken; what exceeds it is counted."""

    left: int
    note: str
    """The note on what exceeds it; ``{}`` stands for how often that was."""
    over: int = 0
    noted: int = 0
    """How much of that is in a note."""

    def take(self, amount: int = 1) -> bool:
        """Take so much, and return whether it was still allowed."""
        if amount > self.left:
            self.over += 1
            return False
        self.left -= amount
        return True

    def notes(self) -> Iterator[str]:
        """Yield what exceeded the bound since the last call, if anything did."""
        if self.over > self.noted:
            yield self.note.format(self.over - self.noted)
            self.noted = self.over


class Budget:
    """What is read of all layers of an image together."""

    def __init__(self) -> None:
        self.unpacked = MAX_UNPACKED
        """How many bytes its layers may still unpack to; more is refused."""
        self.entries = Allowance(
            MAX_ENTRIES, f"it has more than {MAX_ENTRIES} entries; the rest were not looked at"
        )
        self.documents = Allowance(
            MAX_DOCUMENTS, "{} more files of package databases were not read: too many"
        )
        self.kept = Allowance(
            MAX_KEPT_BYTES, "{} more files of package databases were not read: too large together"
        )
        self.marks = Allowance(MAX_MARKS, "{} more files of other package managers are not seen")
        self.links = Allowance(MAX_LINKS, "{} more symbolic links are not followed: too many")
        self.names = Allowance(MAX_NAMES, "{} more paths are not looked at: too many")
        self.long = Allowance(0, f"{{}} paths of more than {MAX_PATH} characters are not looked at")
        self.deep = Allowance(0, f"{{}} paths of more than {MAX_DEPTH} levels are not looked at")
        self.digested = Allowance(
            MAX_DIGESTED, "{} more programs have no digest: too large together"
        )

    def path(self, path: str, more: int = 0) -> bool:
        """Return whether a path, and so many bytes beside it, may be kept."""
        return self.names.take(len(path) + more + _ENTRY)

    def looked_at(self, path: str) -> bool:
        """Return whether a path is short enough to be read; one that is not is counted."""
        if path.count("/") >= MAX_DEPTH:
            return self.deep.take()
        return len(path) <= MAX_PATH or self.long.take()

    def document(self, path: str, size: int) -> bool:
        """Return whether a document of so many bytes may be kept."""
        return self.documents.take() and self.kept.take(size) and self.path(path)

    @property
    def exceeded(self) -> bool:
        """Whether anything was left out."""
        return any(allowance.over for allowance in self._allowances().values())

    def left(self) -> dict[str, int]:
        """Return how much is left of each bound."""
        allowances = self._allowances()
        return {"unpacked": self.unpacked} | {
            name: allowance.left for name, allowance in allowances.items()
        }

    def take(self, used: Mapping[str, int]) -> bool:
        """Take what reading a layer took before; return whether all of it was still allowed.

        Args:
            used: how much of each bound.
        """
        left = self.left()
        if used.keys() != left.keys() or any(not 0 <= used[name] <= left[name] for name in left):
            return False
        self.unpacked -= used["unpacked"]
        for name, allowance in self._allowances().items():
            allowance.left -= used[name]
        return True

    def notes(self) -> Iterator[str]:
        """Yield what exceeded the bounds since the last call."""
        for allowance in self._allowances().values():
            yield from allowance.notes()

    def _allowances(self) -> dict[str, Allowance]:
        return {
            name: allowance
            for name, allowance in vars(self).items()
            if isinstance(allowance, Allowance)
        }


def kept_bytes(size: int, rule: CatalogueRule) -> int | None:
    """Return how many bytes of a document are kept; None to leave it out."""
    if size > rule.limit and rule.excess == "skip":
        return None
    return min(size, rule.limit)


def shown(path: str) -> str:
    """Return a path for messages and JSON, without what a terminal or an encoder cannot take."""
    limit = 200
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return f"/{text[:limit]}"


def some_shown(paths: Sequence[str]) -> str:
    """Return the first of some paths for a message, and how many more there are."""
    more = f" and {len(paths) - _MOST_SHOWN} more" if len(paths) > _MOST_SHOWN else ""
    return ", ".join(shown(path) for path in paths[:_MOST_SHOWN]) + more


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
