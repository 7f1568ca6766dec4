"""Images staged for nodes without a registry, and the receipts of what was staged."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from imagekit.errors import InvalidReferenceError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import PinnedReference

INSIDE = "/.imagekit"
"""The folder of a squashfs file that says what the image's configuration is."""
CONFIGURATION = "image.json"
"""The configuration in it, as it is in the registry."""
STAGED = "staged:"
"""The prefix of the name of the subject that binds the staged bytes; its kind follows."""


class StageKind(StrEnum):
    """What an image is staged as."""

    OCI = "oci"
    """An OCI image layout, signatures included."""
    BUNDLE = "bundle"
    """An unpacked root file system with config.json (OCI runtime-spec)."""
    SQUASHFS = "squashfs"
    """The root file system in one file."""
    SIF = "sif"
    """Apptainer's file."""
    STORE = "podman-store"
    """A read-only additional image store of Podman, which may hold many images."""


class Target(Struct, frozen=True, kw_only=True):
    """Where an image is staged, and as what."""

    kind: StageKind
    path: Path
    folder: bool = False
    """Whether the path is certainly the folder that images are staged into."""

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read ``KIND:PATH``, or the path of a folder for squashfs files.

        Raises:
            InvalidReferenceError: it is not of this form.
        """
        kind, colon, path = text.partition(":")
        # A word before a colon, or the name of a kind, is not taken for a folder's name.
        if text and "\0" not in text and ("/" in kind or not colon) and kind not in set(StageKind):
            return cls(kind=StageKind.SQUASHFS, path=Path(text), folder=True)
        if not colon or not path or "\0" in path or kind not in set(StageKind):
            kinds = ", ".join(f"{name}:PATH" for name in StageKind)
            raise InvalidReferenceError(
                f"{text[:120]!r} is no place to stage to",
                hint=f"write a FOLDER (for squashfs), or one of {kinds}",
            )
        return cls(kind=StageKind(kind), path=Path(path))

    def __str__(self) -> str:
        return f"{self.kind}:{self.path}"


class Bind(Struct, frozen=True, kw_only=True):
    """A folder of the nodes that a bundle's containers see."""

    source: str
    destination: str

    @classmethod
    def parse(cls, text: str) -> "Bind":
        """Read ``SOURCE[:DESTINATION]``, both absolute.

        Raises:
            InvalidReferenceError: it is not of this form.
        """
        source, colon, destination = text.partition(":")
        made = cls(source=source, destination=destination if colon else source)
        for path in (made.source, made.destination):
            parts = path.split("/")[1:]
            plain = path.startswith("/") and path.isprintable() and ":" not in path
            if not plain or any(part in {"", ".", ".."} for part in parts):
                raise InvalidReferenceError(
                    f"{text[:120]!r} is no folder to show in containers",
                    hint="write SOURCE or SOURCE:DESTINATION, both absolute, such as /home",
                )
        return made


class Receipt(Struct, frozen=True, kw_only=True):
    """What a receipt claims about a staged image, as yet unverified."""

    image: PinnedReference
    """The image, with the tag that it was asked for by, if any."""
    kind: StageKind
    staged: Digest
    """Of the staged bytes: of the file, or of the list of a folder's files."""
    time: datetime | None
