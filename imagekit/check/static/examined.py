"""What is read of the files of layers while they pass: programs, scripts, a few short texts."""

from msgspec import Struct

from imagekit.check.static.dynamic_object import DynamicObject, dynamic_object
from imagekit.check.static.secret_rules import MAX_SECRET_FILE, secret_in
from imagekit.needs.elf import HEAD, MAGIC
from imagekit.oci.tar import CAPABILITY, EntryKind, Source, TarEntry

Place = tuple[int, str]
"""The number of a layer, and the path of an entry in it."""
MAX_OBJECTS = 200_000
MAX_TEXTS = 64 << 20
"""Bytes of all texts that are kept together."""
_MAX_TEXT = 1 << 20
_MAX_SECRETS = 10_000
_MAX_LINE = 256
"""Linux reads no more of the first line of a script (BINPRM_BUF_SIZE)."""
_EXACT = frozenset(
    {
        "etc/environment",
        "etc/fstab",
        "etc/group",
        "etc/hosts",
        "etc/krb5.conf",
        "etc/ld.so.cache",
        "etc/ld.so.conf",
        "etc/ld.so.preload",
        "etc/machine-id",
        "etc/passwd",
        "etc/pip.conf",
        "etc/resolv.conf",
        "etc/wgetrc",
        "var/lib/dbus/machine-id",
    }
)
_FOLDERS = (
    "etc/ld.so.conf.d/",
    "etc/ld-musl-",
    "etc/apt/apt.conf.d/",
    "etc/profile.d/",
    "etc/ssh/ssh_config.d/",
)
_ENDINGS = (".pc", ".la", ".pth", ".egg-link")
_NAMES = frozenset({"pyvenv.cfg", "direct_url.json", ".npmrc", "pip.conf", ".curlrc", ".condarc"})


class Examined(Struct, kw_only=True):
    """What was read, by where it lies; a later entry of a layer replaces an earlier one."""

    objects: dict[Place, DynamicObject] = {}
    scripts: dict[Place, str] = {}
    """First lines, without ``#!``."""
    texts: dict[Place, bytes] = {}
    secrets: dict[Place, tuple[str, str]] = {}
    """Codes of findings, and what was found."""
    capabilities: dict[Place, str] = {}
    left: int = MAX_TEXTS
    missed: int = 0
    """How many files were not read, because of a bound."""
    _known: set[Place] = set()

    def look(self, number: int, entry: TarEntry, source: Source) -> None:
        """Take the bytes of an entry.

        Raises:
            DocumentError: they end too early.
        """
        place = (number, entry.path)
        if place in self._known:
            self._forget(place)
        if entry.kind is not EntryKind.FILE or not entry.size:
            source.skip(entry.size)
            return
        if CAPABILITY in entry.records:
            self._known.add(place)
            self.capabilities[place] = entry.records[CAPABILITY]
        head = source.exactly(min(entry.size, HEAD))
        if head.startswith(MAGIC):
            self._object(place, entry, head=head, source=source)
            return
        self._text(place, entry, head=head, source=source)

    def _object(self, place: Place, entry: TarEntry, *, head: bytes, source: Source) -> None:
        found = dynamic_object(head, source, entry.size)
        if found is not None and self._taken(within=len(self.objects) < MAX_OBJECTS):
            self._known.add(place)
            self.objects[place] = found

    def _text(self, place: Place, entry: TarEntry, *, head: bytes, source: Source) -> None:
        if head.startswith(b"#!") and self._taken(within=len(self.scripts) < MAX_OBJECTS):
            self._known.add(place)
            line = head[2:_MAX_LINE].partition(b"\n")[0]
            self.scripts[place] = line.decode("utf-8", "replace").strip()
        kept = is_read(entry.path) and entry.size <= _MAX_TEXT
        if not kept and entry.size > MAX_SECRET_FILE:
            source.skip(entry.size - len(head))
            return
        rest = entry.size - len(head)
        raw = head + source.exactly(rest) if rest else head
        if kept and self._taken(within=entry.size <= self.left):
            self.left -= entry.size
            self._known.add(place)
            self.texts[place] = raw
        secret = secret_in(entry.path, raw)
        if secret is not None and self._taken(within=len(self.secrets) < _MAX_SECRETS):
            self._known.add(place)
            self.secrets[place] = secret

    def _taken(self, *, within: bool) -> bool:
        self.missed += not within
        return within

    def _forget(self, place: Place) -> None:
        self.objects.pop(place, None)
        self.scripts.pop(place, None)
        self.texts.pop(place, None)
        self.secrets.pop(place, None)
        self.capabilities.pop(place, None)


def is_read(path: str) -> bool:
    """Return whether the text of a file is kept: configurations that programs rely on."""
    if path in _EXACT or path.startswith(_FOLDERS) or path.endswith(_ENDINGS):
        return True
    return path.rpartition("/")[2] in _NAMES
