"""What a build leaves behind that no image is to have.

Whatever differs between two builds of the same recipe, or between a build by root and one by a
user, and that no program in the image needs.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclude:
    """Paths that are left out of layers."""

    inside: frozenset[str] = frozenset()
    """Folders whose content is left out, while the folder itself stays."""
    whole: frozenset[str] = frozenset()
    """Paths that are left out with all below them."""
    names: frozenset[str] = frozenset()
    """Names that are left out wherever they stand."""

    def matches(self, path: str) -> bool:
        """Tell whether the path, relative to the root, is left out."""
        if path in self.whole:
            return True
        folder, _, name = path.rpartition("/")
        if name in self.names:
            return True
        while folder:
            if folder in self.inside or folder in self.whole:
                return True
            folder, _, name = folder.rpartition("/")
            if name in self.names:
                return True
        return False


NOTHING = Exclude()

LEFTOVERS = Exclude(
    inside=frozenset(
        {
            "dev",  # root makes device nodes, a user cannot; runtimes bring their own
            "proc",
            "sys",
            "run",
            "tmp",
            "var/tmp",
            "var/log",
            "var/cache/apt",
            "var/cache/debconf",
            "var/cache/ldconfig",
            "var/lib/apt/lists",
            "root/.cache",
        }
    ),
    whole=frozenset(
        {
            ".dockerenv",
            "etc/.pwd.lock",
            "root/.bash_history",
            "root/.wget-hsts",
            "var/lib/dpkg/lock",
            "var/lib/dpkg/lock-frontend",
            "var/lib/dpkg/triggers/Lock",
            "var/lib/dpkg/status-old",
            "var/lib/dpkg/diversions-old",
            "var/lib/dpkg/statoverride-old",
            "var/lib/dpkg/available-old",
            "var/lib/systemd/random-seed",
            "var/lib/systemd/catalog/database",
            "etc/passwd-",
            "etc/group-",
            "etc/shadow-",
            "etc/gshadow-",
            "etc/subuid-",
            "etc/subgid-",
        }
    ),
    # Bytecode holds the time of its source; whoever may write makes it anew.
    names=frozenset({"__pycache__"}),
)
