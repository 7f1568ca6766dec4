"""How much is read of an image to see what it is made of.

An image may be hostile: with a status file of gigabytes, a million licence texts, or a few
packages that all depend on all others. So everything that is kept or walked through is counted,
over all layers together and in bytes or steps, not in items alone. What exceeds a bound is left
out, one note in the SBOM says how much, and the rest is read.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

MAX_ENTRIES = 2_000_000
MAX_DOCUMENTS = 200_000
MAX_KEPT_BYTES = 256 << 20
"""All documents of an image together; a full Debian desktop has about 40 MiB."""
MAX_LINKS = 500_000
MAX_LINK = 4096
"""Longest target of a symbolic link (Linux: PATH_MAX)."""
MAX_PATH = 4096
MAX_DEPTH = 250
MAX_NAMES = 256 << 20
"""Paths that are kept, each with what Python spends on an entry."""
MAX_DIGESTED = 64 << 30
MAX_LOOKED_INTO = 32 << 30
"""Bytes of ELF files and archives, each of which is copied to be read at any place."""
MAX_UNPACKED = 128 << 30
MAX_NOTES = 50
_MOST_SHOWN = 20
_ENTRY = 200


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
        self.links = Allowance(MAX_LINKS, "{} more symbolic links are not followed: too many")
        self.names = Allowance(MAX_NAMES, "{} more paths are not looked at: too many")
        self.long = Allowance(0, f"{{}} paths of more than {MAX_PATH} characters are not looked at")
        self.deep = Allowance(0, f"{{}} paths of more than {MAX_DEPTH} levels are not looked at")
        self.looked_into = Allowance(
            MAX_LOOKED_INTO,
            "{} more programs and archives were not looked into: too large",
        )
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
