"""The values of a lock: every package, wheel and file that a recipe's image is made of.

No mirror's address stands in them: an archive has a name, and each site gets it from its own
mirror. Repositories that a recipe names itself are called by their URI, as the recipe has it.
"""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct, field

from imagekit.oci.digest import Digest

FORMAT = 1
"""The version of the lock's own format."""
FILE = "recipe.lock"
"""The name of the lock, beside ``recipe.yaml``."""
_NO_STAGES: Mapping[str, "LockedTree"] = MappingProxyType({})


class LockedDeb(Struct, frozen=True, kw_only=True):
    """One Debian package, as the index of its archive has it (deb-control(5))."""

    name: str
    version: str
    architecture: str
    sha256: Digest
    size: int
    """Bytes of the .deb file."""
    path: str
    """Where it lies below the archive's root, such as ``pool/main/a/apt/apt_2.6.1_amd64.deb``."""
    archive: str
    """The name of its archive: ``debian``, ``debian-security``, or the URI of a repository that the
    recipe names."""
    priority: str = "optional"
    """That of the archive's index, which decides over the one in the .deb itself."""
    automatic: bool = True
    """Whether nobody asked for it by name."""


class LockedWheel(Struct, frozen=True, kw_only=True):
    """One file that pip installs (PEP 427)."""

    name: str
    version: str
    file: str
    sha256: Digest
    size: int


class LockedFile(Struct, frozen=True, kw_only=True):
    """A file that a ``fetch`` step downloads."""

    url: str
    digest: Digest


class LockedArchive(Struct, frozen=True, kw_only=True):
    """The state of an archive from which packages were resolved."""

    name: str
    suite: str
    release: Digest
    """Of its signed ``InRelease``, or of ``Release`` where only that is signed."""


class LockedInstall(Struct, frozen=True, kw_only=True):
    """What one entry of ``packages`` installs on top of all before it."""

    manager: str
    """``apt`` or ``pip``."""
    asked: tuple[str, ...]
    """What the recipe asks for."""
    debs: tuple[LockedDeb, ...] = ()
    wheels: tuple[LockedWheel, ...] = ()


class LockedTree(Struct, frozen=True, kw_only=True):
    """The image itself, or a stage of the recipe: its base and what is installed on it."""

    base: str
    """What the recipe says: ``debian bookworm``, an image with its digest, ``recipe NAME``,
    ``scratch``; empty for a stage that stands on the image's own base, or for a Containerfile."""
    image: Digest | None = None
    """The manifest of the base, where that is an image or another recipe's."""
    lock: Digest | None = None
    """The lock of the recipe that it stands on, where that has one."""
    bootstrap: tuple[LockedDeb, ...] = ()
    """The packages of a minimal system."""
    installs: tuple[LockedInstall, ...] = ()
    """One for each entry of ``packages``, in their order."""
    files: tuple[LockedFile, ...] = ()


class LockedPlatform(Struct, frozen=True, kw_only=True):
    """What the image of one platform is made of."""

    archives: tuple[LockedArchive, ...] = ()
    image: LockedTree
    stages: Mapping[str, LockedTree] = field(default_factory=lambda: _NO_STAGES)
    """By the stages' names."""

    @property
    def published(self) -> Mapping[str, Digest]:
        """The published images of recipes that it stands on, by the recipes' names."""
        named = (
            (tree.base.partition(" "), tree.image) for tree in (self.image, *self.stages.values())
        )
        return {
            name: image
            for (kind, _, name), image in named
            if kind == "recipe" and image is not None
        }


class Lock(Struct, frozen=True, kw_only=True):
    """A whole lock."""

    recipe: str
    """The name of the recipe that it belongs to."""
    source_date: int
    """The image's time, in seconds since 1970."""
    compressor: str
    """What compresses layers, with its version and level."""
    layers: int
    """The version of the form in which layers are written."""
    platforms: Mapping[str, LockedPlatform]
    """By ``OS/ARCHITECTURE[/VARIANT]``."""
