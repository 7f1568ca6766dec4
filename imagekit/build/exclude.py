"""What a build leaves behind that no image is to have.

Whatever differs between two builds of the same recipe, or between a build by root and one by a
user, and that no program in the image needs. Only files that are known are left out: a folder, a
link, an owner or a mode may be what a program wants to find, and so may any other file.
"""

import stat

from msgspec import Struct


class Exclude(Struct, frozen=True, kw_only=True):
    """What is left out of layers."""

    mounted: tuple[str, ...] = ()
    """Folders, with a slash behind each, that runtimes mount over: no container sees into them."""
    caches: tuple[str, ...] = ()
    """Folders, with a slash behind each, whose regular files, at any depth, are left out."""
    files: frozenset[str] = frozenset()
    """Regular files that are left out."""
    bytecode: bool = False
    """Whether Python's bytecode is left out, which holds the time of its source."""

    def matches(self, path: str, mode: int) -> bool:
        """Return whether the path, relative to the root and of this mode, is left out."""
        if stat.S_ISSOCK(mode):
            # The tar format has no type for a socket, which is of no use without its process.
            return True
        if path.startswith(self.mounted):
            return True
        if not stat.S_ISREG(mode):
            return False
        return path in self.files or path.startswith(self.caches) or self._is_bytecode(path)

    def loses(self, path: str, mode: int, size: int) -> bool:
        """Return whether content is lost with a path that is left out, so that it is reported."""
        if stat.S_ISSOCK(mode):
            return True
        if not path.startswith(self.mounted) or path in _DEVICE_LINKS:
            return False
        return stat.S_ISLNK(mode) or stat.S_ISFIFO(mode) or (stat.S_ISREG(mode) and size > 0)

    def _is_bytecode(self, path: str) -> bool:
        if not self.bytecode or ".pyc" not in path:
            return False
        folder, _, name = path.rpartition("/")
        cached = folder == _BYTECODE or folder.endswith(f"/{_BYTECODE}")
        return cached and ".pyc" in name


NOTHING = Exclude()

_BYTECODE = "__pycache__"
_DEVICE_LINKS = frozenset(
    {"dev/core", "dev/fd", "dev/ptmx", "dev/stderr", "dev/stdin", "dev/stdout"}
)
"""What mmdebstrap and others make in /dev besides devices."""

UNSEEN = Exclude(mounted=("dev/", "proc/", "sys/"))
"""What no step sees of another one. In /dev root makes device nodes and a user cannot."""

LEFTOVERS = Exclude(
    mounted=UNSEEN.mounted,
    caches=("root/.cache/pip/", "var/cache/apt/archives/", "var/lib/apt/lists/"),
    files=frozenset(
        {
            ".dockerenv",
            "etc/.pwd.lock",
            "etc/group-",
            "etc/gshadow-",
            "etc/passwd-",
            "etc/shadow-",
            "etc/subgid-",
            "etc/subuid-",
            "root/.bash_history",
            "root/.wget-hsts",
            "run/adduser",
            "var/cache/apt/pkgcache.bin",
            "var/cache/apt/srcpkgcache.bin",
            "var/cache/debconf/config.dat-old",
            "var/cache/debconf/passwords.dat-old",
            "var/cache/debconf/templates.dat-old",
            "var/cache/ldconfig/aux-cache",
            "var/lib/dpkg/available-old",
            "var/lib/dpkg/diversions-old",
            "var/lib/dpkg/lock",
            "var/lib/dpkg/lock-frontend",
            "var/lib/dpkg/statoverride-old",
            "var/lib/dpkg/status-old",
            "var/lib/dpkg/triggers/Lock",
            "var/lib/systemd/catalog/database",
            "var/lib/systemd/random-seed",
            "var/log/alternatives.log",
            "var/log/apt/eipp.log.xz",
            "var/log/apt/history.log",
            "var/log/apt/term.log",
            "var/log/bootstrap.log",
            "var/log/dpkg.log",
        }
    ),
    bytecode=True,
)
