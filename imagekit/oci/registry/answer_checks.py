"""What an answer of a registry must be, whatever was asked."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from imagekit.errors import DocumentError, IntegrityError, InvalidReferenceError
from imagekit.oci.digest import Digest
from imagekit.oci.registry import protocol
from imagekit.oci.registry.transport import Response


def check_status(response: Response, good: Collection[int], *, what: str) -> None:
    """Raise unless the status is one of those.

    Raises:
        RegistryError: it is another one.
    """
    if response.status not in good:
        raise protocol.refusal(response.status, response.read(protocol.MAX_ERROR), what=what)


def claimed_digest(response: Response, *, what: str) -> Digest | None:
    """Return what Docker-Content-Digest says, or None where it is left out.

    Raises:
        IntegrityError: it is no digest.
    """
    claimed = response.header("Docker-Content-Digest")
    if not claimed:
        return None
    try:
        return Digest.parse(claimed)
    except InvalidReferenceError as error:
        raise IntegrityError(
            f"{what}: the registry names it by {error.message}", code="CONTENT_DIGEST_MISMATCH"
        ) from error


@contextmanager
def documents(what: str) -> Iterator[None]:
    """Say of a document that cannot be read where it came from.

    Args:
        what: what was asked for.

    Raises:
        DocumentError: instead of one that says it of the document alone.
    """
    try:
        yield
    except DocumentError as error:
        raise DocumentError(
            f"{what}: {error.message}",
            hint=error.hint or "is it a registry that answers, or something before it?",
            code=error.code,
        ) from error
