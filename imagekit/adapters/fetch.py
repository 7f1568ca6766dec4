"""Downloading files of the network, checked before anything reads them."""

import hashlib
import time
from pathlib import Path
from tempfile import NamedTemporaryFile

from imagekit.errors import IntegrityError, ToolError
from imagekit.model.digest import Digest
from imagekit.model.event import Advanced, Progress

_PIECE = 1 << 20
_LARGEST = 16 << 30
_TIMEOUTS = (15.0, 60.0)


def download(url: str, digest: Digest, target: Path, *, limit: float, progress: Progress) -> None:
    """Bring a file here, unless it is here already.

    Args:
        url: ``http:`` or ``https:``.
        digest: what it must be.
        target: where it is put, whole or not at all.
        limit: seconds that it may take.
        progress: told of the bytes.

    Raises:
        IntegrityError: it is another file than the recipe expects.
        ToolError: it cannot be had.
    """
    import requests

    if target.is_file() and _matches(target, digest):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=target.parent, prefix=".part-", delete=False) as part:
        try:
            _receive(url, Path(part.name), limit=limit, progress=progress)
            if not _matches(Path(part.name), digest):
                raise IntegrityError(
                    f"{url} is not the file that the recipe expects",
                    hint=f"expected {digest}; if the new file is right, write its digest",
                    code="CONTENT_DIGEST_MISMATCH",
                )
            Path(part.name).rename(target)
        except requests.RequestException as error:
            raise ToolError(
                f"cannot download {url}: {error}", hint="is it still there, and is the network up?"
            ) from error
        finally:
            Path(part.name).unlink(missing_ok=True)


def _receive(url: str, target: Path, *, limit: float, progress: Progress) -> None:
    import requests

    ends = time.monotonic() + limit
    size = 0
    with (
        requests.Session() as session,
        session.get(url, stream=True, timeout=_TIMEOUTS) as response,
        target.open("wb") as file,
    ):
        response.raise_for_status()
        total = int(response.headers.get("Content-Length") or 0)
        for piece in response.iter_content(_PIECE):
            size += len(piece)
            if size > _LARGEST or time.monotonic() > ends:
                raise ToolError(f"{url} is larger or slower than allowed")
            file.write(piece)
            progress(Advanced(stage="steps", done=size, total=total))


def _matches(path: Path, digest: Digest) -> bool:
    with path.open("rb") as file:
        return hashlib.file_digest(file, digest.algorithm).hexdigest() == digest.hex
