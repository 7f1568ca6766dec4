"""Uploading a blob: mounted, in one piece, or in chunks that go on where a connection broke.

distribution-spec, "Pushing Blobs". What must hold:

1. No part is sent twice without asking: a registry need not look at where a part begins, and would
   append it again.
2. What the registry says it has is believed only as far as it was sent.
3. An upload that is lost begins anew. That, and going on, is tried as often as any request.
4. Neither the file nor a large part of it is held in memory.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn
from urllib.parse import urlencode

from imagekit.documents.digits import decimal
from imagekit.errors import AuthError, IntegrityError, RegistryError
from imagekit.oci.reference import Repository
from imagekit.oci.registry import protocol
from imagekit.oci.registry.answer_checks import check_status, claimed_digest
from imagekit.oci.registry.bodies import BytesBody
from imagekit.oci.registry.session import Session
from imagekit.oci.registry.transport import Body, ConnectionFaultError, Response
from imagekit.oci.types import Descriptor

LARGE = 32 << 20
"""From how many bytes on a blob is sent in chunks."""
# A registry may name the least length (OCI-Chunk-Min-Length: distribution-spec, "Pushing a blob in
# chunks"), which is not read: S3, the usual reason for one, takes parts from 5 MiB on.
CHUNK = 8 << 20
_OCTETS = {"Content-Type": "application/octet-stream"}
_OK, _CREATED, _ACCEPTED, _NO_CONTENT, _NOT_FOUND = 200, 201, 202, 204, 404
_BAD_REQUEST, _RANGE = 400, 416
_STORED = (_CREATED, _NO_CONTENT)
# What registries, and proxies before them, answer to a body in one piece that they do not take.
_NO_MONOLITH = frozenset({405, 411, 413, 501})
# The upload is not there any more, has another length than was thought, or a fault may pass.
_LOST = protocol.TRANSIENT | {_NOT_FOUND, _RANGE}
_MOST_MOUNTS = 2
_DIGITS = 19
"""Of a number of 64 bits."""


class Upload:
    """Uploads one blob.

    Args:
        session: the conversation.
        repository: where it is put.
        descriptor: what it is.
        body: its bytes.
        sleep: waits before another try.
    """

    def __init__(
        self,
        session: Session,
        repository: Repository,
        *,
        descriptor: Descriptor,
        body: Body,
        sleep: Callable[[float], None],
    ) -> None:
        self._session = session
        self._repository = repository
        self._digest = descriptor.digest
        self._body = body
        self._sleep = sleep
        self._what = f"uploading {descriptor.digest.short} to {repository}"
        self._lost = 0
        self._resumed = False

    def store(self, known_in: Sequence[Repository] = ()) -> bool:
        """Store the blob, and return whether its bytes had to be sent.

        Args:
            known_in: repositories of the same registry that may have it.

        Raises:
            RegistryError: the registry refused, did not answer, or says what cannot be.
            IntegrityError: it stored something else.
        """
        at = self._mounted_or_begun(known_in)
        whole = self._body.size < LARGE
        while at is not None:
            try:
                if whole:
                    self._send_whole(at)
                else:
                    self._send_chunks(at)
            except _NoMonolithError:
                whole = False
            except _LostError as lost:
                self._lost += 1
                self._wait(lost, self._lost)
                if self._is_there():
                    return True
            else:
                return True
            self._body.rewind()
            at = self._begin()
        return False

    def _mounted_or_begun(self, known_in: Sequence[Repository]) -> str | None:
        """Return where the bytes are sent; None where another repository's blob was mounted."""
        for other in known_in[:_MOST_MOUNTS]:
            # distribution-spec, "Mounting a blob from another repository": where it is not there,
            # or may not be read, an upload begins.
            words = urlencode({"mount": str(self._digest), "from": other.path}, safe=":/")
            url = f"{self._start_url()}?{words}"
            # Some registries refuse what they do not mount, and some the right to read the other.
            with (
                suppress(AuthError),
                self._session.send_mount(self._repository, url, source=other) as response,
            ):
                if response.status == _CREATED:
                    self._check_claim(response)
                    return None
                if response.status == _ACCEPTED:
                    return protocol.redirected(url, response.header("Location"))
        return self._begin()

    def _start_url(self) -> str:
        base = self._session.base(self._repository)
        return f"{base}{protocol.upload_path(self._repository)}"

    def _begin(self) -> str:
        url = self._start_url()
        with self._session.send(self._repository, "POST", url, push=True) as response:
            check_status(response, (_ACCEPTED,), what=self._what)
            return protocol.redirected(url, response.header("Location"))

    def _send_whole(self, at: str) -> None:
        # distribution-spec, "POST then PUT".
        url = protocol.with_digest(at, self._digest)
        with self._send_once("PUT", url, headers=_OCTETS, body=self._body) as response:
            if response.status in _NO_MONOLITH:
                raise _NoMonolithError
            self._check_stored(response)

    def _send_chunks(self, at: str) -> None:
        # distribution-spec, "Pushing a blob in chunks": a PUT without a body ends the upload.
        start = broken = 0
        while chunk := self._body.read(CHUNK):
            end = start + len(chunk)
            try:
                at, taken = self._patch(at, start, chunk)
            except _LostError as lost:
                broken += 1
                self._wait(lost, broken)
                at, taken = self._ask(at, most=end)
            if taken == end:
                broken = 0
            else:
                self._go_to(taken)
                self._resumed = True
            start = taken
        url = protocol.with_digest(at, self._digest)
        with self._send_once("PUT", url, headers={}) as response:
            self._check_stored(response)

    def _patch(self, at: str, start: int, chunk: bytes) -> tuple[str, int]:
        """Send a chunk; return where the next one goes, and how many bytes there are."""
        # Both ends are within the range, and no unit stands before it.
        end = start + len(chunk)
        headers = {**_OCTETS, "Content-Range": f"{start}-{end - 1}"}
        with self._send_once("PATCH", at, headers=headers, body=BytesBody(chunk)) as response:
            if response.status in _LOST:
                self._lose(response)
            check_status(response, (_ACCEPTED, _NO_CONTENT), what=self._what)
            said = response.header("Range")
            taken = self._taken(said, most=end) if said else end
            # Each chunk goes where the answer to the one before says.
            at = protocol.redirected(at, response.header("Location"))
        if taken < end:
            # What became of the rest is not known.
            raise _LostError(self._fault(f"only {taken} of {end} bytes were taken"))
        return at, taken

    def _ask(self, at: str, *, most: int) -> tuple[str, int]:
        """Ask how much of the upload there is; return where it goes on, and how many bytes."""
        # distribution-spec, "Pushing a blob in chunks": GET of the location. Not every registry
        # tells: distribution 2 forgets an upload of which a part of a chunk has come.
        with self._session.send(self._repository, "GET", at, push=True) as response:
            if response.status not in {_OK, _ACCEPTED, _NO_CONTENT}:
                self._lose(response)
            taken = self._taken(response.header("Range"), most=most)
            location = response.header("Location")
            at = protocol.redirected(at, location) if location else at
        if not taken:
            raise _LostError(self._fault("nothing of it is there any more"))
        return at, taken

    def _taken(self, said: str, *, most: int) -> int:
        """Return how many bytes a Range says are there; ``0-0`` may be one, and says none."""
        first, _, last = said.removeprefix("bytes=").partition("-")
        number = decimal(last, most=_DIGITS)
        if first != "0" or number is None:
            raise self._fault(f"the registry says that it has {protocol.shown(said)!r} of it")
        taken = number + 1 if number else 0
        if taken > most:
            error = self._fault(f"the registry says that it has {taken} bytes; {most} were sent")
            # What was on its way when the connection broke may have been added since it was asked.
            raise _LostError(error) if self._resumed else error
        return taken

    def _go_to(self, place: int) -> None:
        """Let the body go on behind its first bytes, which are read again: their digest counts."""
        self._body.rewind()
        while place:
            place -= len(self._body.read(min(CHUNK, place)))

    def _send_once(
        self, method: str, url: str, *, headers: Mapping[str, str], body: Body | None = None
    ) -> Response:
        try:
            return self._session.send_once(
                self._repository, method, url, headers=headers, body=body
            )
        except ConnectionFaultError as error:
            # Who was too slow once is not waited for again.
            if error.code == "TIMEOUT":
                raise
            raise _LostError(error) from error

    def _check_stored(self, response: Response) -> None:
        # After going on, another digest says that what there was had been another part.
        if response.status in _LOST or (response.status == _BAD_REQUEST and self._resumed):
            self._lose(response)
        check_status(response, _STORED, what=self._what)
        self._check_claim(response)

    def _check_claim(self, response: Response) -> None:
        claimed = claimed_digest(response, what=self._what)
        # It may be by another algorithm: then nothing is known of it.
        if claimed is None or claimed.algorithm != self._digest.algorithm:
            return
        if claimed != self._digest:
            raise IntegrityError(
                f"{self._what}: the registry stored {claimed.short}",
                hint="something between here and the store alters what is sent",
                code="CONTENT_DIGEST_MISMATCH",
            )

    def _is_there(self) -> bool:
        """Return whether the blob is there: of an answer that was lost nobody knows."""
        url = protocol.blob_path(self._repository, self._digest)
        with self._session.send(self._repository, "HEAD", url, push=True) as response:
            return response.status == _OK

    def _lose(self, response: Response) -> NoReturn:
        raw = response.read(protocol.MAX_ERROR)
        error = protocol.refusal(response.status, raw, what=self._what)
        raise _LostError(error, retry_after=response.header("Retry-After"))

    def _wait(self, lost: "_LostError", faults: int) -> None:
        """Wait before another try.

        Args:
            lost: the fault.
            faults: how many there were.

        Raises:
            RegistryError: it was the last one.
        """
        if faults >= self._session.attempts:
            raise lost.error
        self._sleep(self._session.pause(faults, lost.retry_after))

    def _fault(self, why: str) -> RegistryError:
        return RegistryError(
            f"{self._what}: {why}",
            hint="publish again; if it fails again, ask whoever runs the registry",
            code="BAD_ANSWER",
        )


class _NoMonolithError(Exception):
    """A body in one piece is not taken."""


class _LostError(Exception):
    """What became of the upload is not known; it may go on, or begin anew."""

    def __init__(self, error: RegistryError, *, retry_after: str = "") -> None:
        super().__init__(error.message)
        self.error = error
        self.retry_after = retry_after
