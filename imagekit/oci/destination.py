"""Where recipes are published: what ``--to`` means."""

from typing import Self

from msgspec import Struct
from msgspec.structs import force_setattr

from imagekit.errors import InvalidReferenceError
from imagekit.oci.hostname import canonical_host, names_host
from imagekit.oci.location import (
    LAYOUT_PREFIX,
    REGISTRY,
    LocatedRepository,
    Location,
    parse_layout,
)
from imagekit.oci.reference import LAYOUT_HOST, Repository, check_path, quoted


class Destination(Struct, frozen=True):
    """Where recipes are published: a location, and what images are called there."""

    host: str
    prefix: str = ""
    location: Location = REGISTRY

    def __post_init__(self) -> None:
        """Give the host its one spelling.

        Raises:
            InvalidReferenceError: it is none.
        """
        force_setattr(self, "host", canonical_host(self.host))

    @classmethod
    def parse(cls, text: str, *, alias: str = "") -> Self:
        """Read ``HOST[:PORT][/PREFIX]`` or ``oci:FOLDER``.

        Args:
            text: what the user wrote.
            alias: ``HOST/PREFIX`` that images in a layout are named by (``--as``).

        Raises:
            InvalidReferenceError: it is neither.
        """
        if text.startswith(LAYOUT_PREFIX):
            host, prefix = _host_and_prefix(alias) if alias else (LAYOUT_HOST, "")
            return cls(host, prefix, parse_layout(text))
        if alias:
            raise InvalidReferenceError("--as goes with a destination oci:FOLDER only")
        return cls(*_host_and_prefix(text))

    def place(self, name: str) -> LocatedRepository:
        """Return the repository of the recipe called ``name``.

        Raises:
            InvalidReferenceError: the name is not of the grammar.
        """
        path = f"{self.prefix}/{name}" if self.prefix else name
        check_path(path, whole=path)
        return LocatedRepository(self.location, Repository(self.host, path))


def _host_and_prefix(text: str) -> tuple[str, str]:
    host, slash, prefix = text.partition("/")
    if not names_host(host):
        raise InvalidReferenceError(
            f"{quoted(text)} is not a destination",
            hint="write HOST[:PORT]/PREFIX, such as registry.example.org/apps, or oci:FOLDER",
        )
    if slash:
        check_path(prefix.rstrip("/") if prefix else prefix, whole=text)
    return host, prefix.rstrip("/")
