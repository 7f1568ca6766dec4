"""Downloading files of the network, checked before anything reads them."""

import hashlib
import time
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from imagekit.documents.digits import decimal
from imagekit.errors import IntegrityError, ToolError
from imagekit.oci.digest import Digest
from imagekit.oci.registry.protocol import origin
from imagekit.oci.registry.proxies import Proxies
from imagekit.progress import Advanced, Progress

if TYPE_CHECKING:
    from requests import Response, Session

_PIECE = 1 << 20
_LARGEST = 16 << 30
_TIMEOUTS = (15.0, 60.0)
# As it lies there: the digest of a recipe is that of the file, not of what an encoding holds.
_PLAIN = {"Accept-Encoding": "identity"}


def download(
    url: str, digest: Digest, target: Path, *, where: str, limit: float, progress: Progress
) -> None:
    """Bring a file here, unless it is here already.

    Args:
        url: ``http:`` or ``https:``.
        digest: what it must be: of the bytes as they come, whatever their ``Content-Encoding``.
        target: where it is put, whole or not at all.
        where: file and line of the recipe that ask for it, for messages.
        limit: seconds that it may take.
        progress: told of the bytes.

    Raises:
        IntegrityError: it is another file than the recipe expects.
        ToolError: it cannot be had.
    """
    import requests
    import urllib3

    if target.is_file() and _digest_of(target, digest.algorithm) == digest:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=target.parent, prefix=".part-", delete=False) as part:
        try:
            encoding = _receive(url, Path(part.name), where, limit=limit, progress=progress)
            got = _digest_of(Path(part.name), digest.algorithm)
            if got != digest:
                raise _other_file(url, digest, got, where=where, encoding=encoding)
            Path(part.name).rename(target)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ToolError(
                f"{where}: cannot download {url}: {error}",
                hint="is it still there, and is the network up?",
            ) from error
        finally:
            Path(part.name).unlink(missing_ok=True)


def _other_file(
    url: str, wanted: Digest, got: Digest, *, where: str, encoding: str
) -> IntegrityError:
    hint = f"the recipe expects {wanted}; if the new file is right, write the digest that it has"
    if encoding:
        hint += f"; the server sent it in Content-Encoding {encoding[:40]!r} without being asked"
    return IntegrityError(
        f"{where}: {url} is not the file that the recipe expects: it has the digest {got}",
        hint=hint,
        code="CONTENT_DIGEST_MISMATCH",
    )


def _receive(url: str, target: Path, where: str, *, limit: float, progress: Progress) -> str:
    """Receive the bytes as they come, and return their ``Content-Encoding``."""
    ends = time.monotonic() + limit
    size = 0
    with (
        _session() as session,
        session.get(url, stream=True, timeout=_TIMEOUTS, headers=_PLAIN) as response,
        target.open("wb") as file,
    ):
        response.raise_for_status()
        total = _length(response)
        for piece in response.raw.stream(_PIECE, decode_content=False):
            size += len(piece)
            if size > _LARGEST or time.monotonic() > ends:
                raise ToolError(f"{where}: {url} is larger or slower than allowed")
            file.write(piece)
            progress(Advanced(stage="steps", done=size, total=total))
        return response.headers.get("Content-Encoding") or ""


def _length(response: "Response") -> int:
    stated = response.headers.get("Content-Length") or ""
    return decimal(stated, most=len(str(_LARGEST))) or 0


def _session() -> "Session":
    """Return a session whose requests, redirected ones too, go by imagekit's choice of a proxy."""
    from requests import Session
    from requests.adapters import HTTPAdapter

    proxies = Proxies()

    class Adapter(HTTPAdapter):
        def send(self, request: Any, *args: Any, **kwargs: Any) -> "Response":
            proxy = proxies.of(origin(request.url))
            chosen = {} if proxy is None else dict.fromkeys(("http", "https"), proxy.url)
            return super().send(request, *args, **{**kwargs, "proxies": chosen})

    session = Session()
    session.mount("http://", Adapter())
    session.mount("https://", Adapter())
    return session


def _digest_of(path: Path, algorithm: str) -> Digest:
    with path.open("rb") as file:
        return Digest(algorithm, hashlib.file_digest(file, algorithm).hexdigest())
