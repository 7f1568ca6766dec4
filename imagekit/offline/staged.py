"""What is staged under a path: its versions, which one is current, and their receipts."""

import contextlib
import os
import secrets
from pathlib import Path

from msgspec import Struct

from imagekit.errors import DocumentError, InputError, NotFoundError
from imagekit.files import storage_errors
from imagekit.inputs import read_regular
from imagekit.oci.digest import Digest
from imagekit.oci.layout import write_whole
from imagekit.offline.receipt import BAD_RECEIPT, claimed
from imagekit.offline.stage_target import Receipt, StageKind
from imagekit.offline.stagedigest import file_digest, tree_digest
from imagekit.signatures.bundle import MAX_BUNDLE, parse_bundle

SUFFIX = ".receipt.json"


class StageDirectory(Struct, frozen=True, kw_only=True):
    """``PATH``, a link to the current version, and ``PATH.d``, where all versions lie."""

    path: Path

    @property
    def folder(self) -> Path:
        """Where the versions lie."""
        return self.path.with_name(f"{self.path.name}.d")

    def version(self, name: str) -> Path:
        """Return where a version lies or would lie."""
        return self.folder / name

    def prepare(self) -> None:
        """Make the folder of versions.

        Raises:
            InputError: something that was not staged is in the way.
            RegistryError: it cannot be made.
        """
        if os.path.lexists(self.path) and not self._is_ours():
            raise InputError(
                f"{self.path} is there, and was not staged by imagekit",
                hint="choose another path, or move it away",
                code="stage/in-the-way",
            )
        with storage_errors(f"the folder {self.folder}"):
            self.folder.mkdir(parents=True, exist_ok=True)

    def _is_ours(self) -> bool:
        """Return whether the path is a link to one of the versions, and no other link."""
        return self.path.is_symlink() and self.path.readlink().parent.name == self.folder.name

    def point(self, version: Path) -> None:
        """Make the path lead to a version, atomically.

        Raises:
            RegistryError: it cannot be changed.
        """
        wanted = f"{self.folder.name}/{version.name}"
        with storage_errors(f"the link {self.path}"):
            if self.path.is_symlink() and os.fspath(self.path.readlink()) == wanted:
                return
            new = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
            new.symlink_to(wanted)
            with contextlib.ExitStack() as undo:
                undo.callback(new.unlink, missing_ok=True)
                new.replace(self.path)

    def versions(self) -> list[Path]:
        """Return the versions that have a receipt, the newest first."""
        receipts = [
            path
            for path in self.folder.iterdir()
            if path.name.endswith(SUFFIX) and not path.name.startswith(".")
        ]
        receipts.sort(key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
        return [path.with_name(path.name.removesuffix(SUFFIX)) for path in receipts]

    def current(self) -> Path | None:
        """Return the version that the path leads to."""
        return self.folder / self.path.readlink().name if self.path.is_symlink() else None


def receipt_path(staged: Path) -> Path:
    """Return where the receipt of staged bytes lies."""
    return staged.with_name(staged.name + SUFFIX)


def read_receipt(file: Path) -> tuple[bytes, Receipt]:
    """Read a receipt: its exact bytes, and what it claims.

    Raises:
        NotFoundError: there is none.
        DocumentError: it is malformed.
    """
    try:
        raw = read_regular(file, limit=MAX_BUNDLE)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"there is no receipt {file}",
            hint="stage it: imagekit stage REFERENCE --policy FILE --to KIND:PATH --key FILE",
            code="NO_RECEIPT",
        ) from error
    except OSError as error:
        raise DocumentError(f"{file} cannot be read: {error.strerror}", code=BAD_RECEIPT) from error
    return raw, claimed(parse_bundle(raw).envelope)


def write_receipt(file: Path, raw: bytes) -> None:
    """Write a receipt atomically.

    Raises:
        RegistryError: it cannot be written.
    """
    with storage_errors(f"the receipt {file}"):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, raw)


ONE_FILE = frozenset({StageKind.SQUASHFS, StageKind.SIF})
"""The kinds that are one file."""


def staged_digest(path: Path, kind: StageKind) -> Digest:
    """Return the digest of what lies at a path.

    Raises:
        RegistryError: it cannot be read.
        IntegrityError: it is of another kind.
    """
    if kind in ONE_FILE:
        return file_digest(path)
    return tree_digest([("", path)])
