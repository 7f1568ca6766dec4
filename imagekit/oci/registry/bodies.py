"""What is uploaded: bytes in memory, a file as it is read, or a part of one."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.errors import IntegrityError
from imagekit.files import storage_errors
from imagekit.oci.types import Descriptor

if TYPE_CHECKING:
    from imagekit.progress import Count


class BytesBody:
    """Bytes in memory."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self._raw)

    def rewind(self) -> None:
        """Begin again."""
        self._at = 0

    def read(self, amount: int = -1, /) -> bytes:
        """Return the next bytes."""
        end = len(self._raw) if amount < 0 else self._at + amount
        piece = self._raw[self._at : end]
        self._at += len(piece)
        return piece


class FileBody:
    """A file whose digest is checked while it is read, before its last piece is handed out."""

    def __init__(self, path: Path, descriptor: Descriptor, *, count: "Count | None" = None) -> None:
        with storage_errors(str(path)):
            self._file = path.open("rb")
        self._path = path
        self._descriptor = descriptor
        self._count = count
        self.rewind()

    @property
    def size(self) -> int:
        """How many bytes the file has to have."""
        return self._descriptor.size

    def rewind(self) -> None:
        """Begin again."""
        self._file.seek(0)
        self._left = self._descriptor.size
        self._hasher = hashlib.new(self._descriptor.digest.algorithm)

    def read(self, amount: int = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            IntegrityError: the file is not what the descriptor says.
        """
        wanted = self._left if amount < 0 else min(amount, self._left)
        if wanted == 0:
            return b""
        piece = self._file.read(wanted)
        self._hasher.update(piece)
        self._left -= len(piece)
        if not piece or (self._left == 0 and not self._is_whole()):
            raise IntegrityError(
                f"{self._path} is not what {self._descriptor.digest} names",
                hint="it was altered after it was built: build it again",
                code="CONTENT_DIGEST_MISMATCH",
            )
        if self._count is not None:
            self._count(self.size - self._left)
        return piece

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _is_whole(self) -> bool:
        # A file that has grown has the right digest up to here, and is another one all the same.
        grown = self._file.read(1) != b""
        return not grown and self._hasher.hexdigest() == self._descriptor.digest.hex
