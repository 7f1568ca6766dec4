"""Downloading files of the network, checked before anything reads them."""

import hashlib
import random
import string
import time
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import quote, urlsplit

from msgspec.structs import replace

from imagekit.documents.digits import decimal
from imagekit.errors import IntegrityError, RegistryError, ToolError
from imagekit.oci.digest import Digest
from imagekit.oci.registry import conversation
from imagekit.oci.registry.conversation import Send
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.session import drive
from imagekit.oci.registry.stdlib_transport import StdlibTransport
from imagekit.oci.registry.transport import Response
from imagekit.progress import Advanced, Progress

_PIECE = 64 << 10
_LARGEST = 16 << 30
_OK = 200
# RFC 9110, section 12.5.3: no encoding is asked for, as the digest is that of the file itself.
_PLAIN = {"Accept-Encoding": "identity"}


def download(
    url: str,
    digest: Digest,
    target: Path,
    *,
    where: str,
    limit: float,
    progress: Progress,
    largest: int = _LARGEST,
) -> None:
    """Download a file, unless it is there already.

    Args:
        url: ``http:`` or ``https:``.
        digest: what it must be: of the bytes as they come, whatever their ``Content-Encoding``.
        target: where it is put, whole or not at all.
        where: file and line of the recipe that ask for it, for messages.
        limit: seconds that it may take.
        progress: told of the bytes.
        largest: bytes that it may have.

    Raises:
        IntegrityError: it is another file than the recipe expects.
        ToolError: it cannot be downloaded.
    """
    if is_there(target, digest):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=target.parent, prefix=".part-", delete=False) as part:
        try:
            encoding = _receive(
                url, Path(part.name), limit=limit, progress=progress, largest=largest
            )
            got = _digest_of(Path(part.name), digest.algorithm)
            if got != digest:
                raise _other_file(url, digest, got, where=where, encoding=encoding)
            Path(part.name).rename(target)
        except RegistryError as error:
            raise ToolError(
                f"{where}: cannot download {url}: {error.message}",
                hint="is it still there, is the network up, and does the system know the authority "
                "of its certificate?",
            ) from error
        finally:
            Path(part.name).unlink(missing_ok=True)


def is_there(path: Path, digest: Digest) -> bool:
    """Return whether a path is a plain file with that digest."""
    return path.is_file() and _digest_of(path, digest.algorithm) == digest


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


def _receive(url: str, target: Path, *, limit: float, progress: Progress, largest: int) -> str:
    """Receive the bytes as they come, and return their ``Content-Encoding``."""
    options = RegistryOptions(
        connect_seconds=15, read_seconds=60, deadline_seconds=limit, attempts=3
    )
    ends = time.monotonic() + limit
    transport = StdlibTransport(options)

    def send(step: Send) -> Response:
        # One limit for all tries and all redirections together.
        return transport.send(replace(step.request, deadline=ends - time.monotonic()))

    talk = conversation.download(_ascii(url), _PLAIN, options, jitter=random.random)
    with drive(talk, send=send) as response, target.open("wb") as file:
        if response.status != _OK:
            raise RegistryError(f"the server answered {response.status}")
        total = decimal(response.header("Content-Length"), most=len(str(_LARGEST))) or 0
        size = 0
        while piece := response.read(_PIECE):
            size += len(piece)
            if size > largest:
                raise RegistryError(f"it is larger than the {largest} bytes that are allowed")
            file.write(piece)
            progress(Advanced(stage="steps", done=size, total=total))
        if total and size != total:
            raise RegistryError(f"it ended after {size} of {total} bytes")
        return response.header("Content-Encoding")


def _ascii(url: str) -> str:
    """Return a URL as it is sent: the host's name in IDNA (RFC 3490), other letters quoted.

    RFC 3986, section 2.1, has the quoting; a fragment is not sent (section 3.5).
    """
    parts = urlsplit(url)
    path, query = (quote(text, safe=string.punctuation) for text in (parts.path, parts.query))
    try:
        netloc = parts.netloc.encode("idna").decode()
    except UnicodeError as error:
        raise RegistryError(f"its host is none: {error}") from error
    return parts._replace(netloc=netloc, path=path, query=query, fragment="").geturl()


def _digest_of(path: Path, algorithm: str) -> Digest:
    with path.open("rb") as file:
        return Digest(algorithm, hashlib.file_digest(file, algorithm).hexdigest())
