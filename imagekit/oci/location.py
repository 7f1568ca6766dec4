"""Where images are read and written, which is another value than what they are called.

containers/image calls it a transport (containers-transports(5), ``docker:`` and ``oci:``). It is
parsed once, together with the name, from what a user typed. Readers and writers are made from it
(``imagekit.oci.registry.connect``); whatever takes one of these takes the name beside it. What is
kept of an image is kept by both: two places may say different things of one name.
"""

from pathlib import Path
from typing import ClassVar

from msgspec import Struct

from imagekit.errors import InvalidReferenceError
from imagekit.oci.hostname import names_host
from imagekit.oci.reference import LAYOUT_HOST, Reference, Repository, parse_reference, quoted

LAYOUT_PREFIX = "oci:"
"""What begins the text of a location that is a layout."""


class RegistryLocation(Struct, frozen=True):
    """The registry that the host of an image's name says."""

    is_remote: ClassVar[bool] = True
    """Whether answers have to be waited for."""

    def shown(self, name: str) -> str:
        """Return a name as it is written of an image that is there."""
        return name

    def key(self, name: str) -> str:
        """Return a text that stands for the name here, and for no name elsewhere."""
        return name

    def below(self, folder: Path) -> "RegistryLocation":
        """Return the location as somebody in the folder means it."""
        del folder
        return self


class LayoutLocation(Struct, frozen=True):
    """An OCI image layout (image-spec image-layout.md) in a folder, or in an archive of one."""

    path: Path
    is_remote: ClassVar[bool] = False
    """Whether answers have to be waited for."""

    def shown(self, name: str) -> str:
        """Return a name as it is written of an image that is there."""
        return f"{self}:{name.removeprefix(f'{LAYOUT_HOST}/')}"

    def key(self, name: str) -> str:
        """Return a text that stands for the name here, and for no name elsewhere.

        Unlike ``shown`` it differs for ``localhost/HOST/PATH`` and ``HOST/PATH``, and shows where
        the path of the folder ends: a name has no space.
        """
        return f"{self} {name}"

    def below(self, folder: Path) -> "LayoutLocation":
        """Return the location as somebody in the folder means it."""
        return LayoutLocation(folder / self.path)

    def __str__(self) -> str:
        return f"{LAYOUT_PREFIX}{self.path}"


Location = RegistryLocation | LayoutLocation
REGISTRY = RegistryLocation()


class LocatedRepository(Struct, frozen=True):
    """A repository, and where it is."""

    location: Location
    repository: Repository

    @property
    def key(self) -> str:
        """A text that no repository elsewhere has, whatever it is called."""
        return self.location.key(self.repository.name)

    def __str__(self) -> str:
        return self.location.shown(str(self.repository))


class LocatedReference(Struct, frozen=True):
    """The name of an image, and where it is."""

    location: Location
    reference: Reference

    @property
    def place(self) -> LocatedRepository:
        """Its repository, and where that is."""
        return LocatedRepository(self.location, self.reference.repository)

    @property
    def full(self) -> str:
        """The name as it was asked for, with both tag and digest where it has both."""
        return self.location.shown(self.reference.full)

    def __str__(self) -> str:
        return self.location.shown(str(self.reference))


def parse_located(text: str) -> LocatedReference:
    """Read a reference (see ``parse_reference``), or one in a layout: ``oci:FOLDER:NAME:TAG``.

    A name in a layout that has no host is one of ``localhost``.

    Raises:
        InvalidReferenceError: it is none of these, or has neither tag nor digest.
    """
    if not text.startswith(LAYOUT_PREFIX):
        return LocatedReference(REGISTRY, parse_reference(text))
    folder, colon, name = text.removeprefix(LAYOUT_PREFIX).partition(":")
    location = _layout(folder, whole=text)
    if not colon or not name:
        raise InvalidReferenceError(
            f"{quoted(text)} names no image of the layout", hint="write oci:FOLDER:NAME:TAG"
        )
    if not names_host(name.partition("/")[0]) or "/" not in name:
        name = f"{LAYOUT_HOST}/{name}"
    return LocatedReference(location, parse_reference(name, whole=text))


def parse_layout(text: str) -> LayoutLocation:
    """Read ``oci:FOLDER``.

    Raises:
        InvalidReferenceError: it is something else.
    """
    if not text.startswith(LAYOUT_PREFIX):
        raise InvalidReferenceError(f"{quoted(text)} is not oci:FOLDER")
    return _layout(text.removeprefix(LAYOUT_PREFIX), whole=text)


def _layout(folder: str, *, whole: str) -> LayoutLocation:
    if not folder or ":" in folder or "\0" in folder:
        raise InvalidReferenceError(
            f"{quoted(whole)} names no folder of a layout",
            hint="write oci:FOLDER; the folder's path has no colon",
        )
    return LayoutLocation(Path(folder))
