"""What a transport has to do: carry one request, and bring back what was answered."""

from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from msgspec import Struct, field

from imagekit.errors import RegistryError


class Body(Protocol):
    """What is sent, piece by piece: it can be begun again."""

    @property
    def size(self) -> int:
        """How many bytes it has."""
        ...

    def rewind(self) -> None:
        """Begin again."""
        ...

    def read(self, amount: int = -1, /) -> bytes:
        """Return the next bytes, none at the end."""
        ...


class Request(Struct, frozen=True, kw_only=True):
    """One request as it goes over the wire."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    deadline: float
    """Seconds until the whole answer has to be here."""
    outside: bool = False
    """Whether the registry chose the host, so that this machine's own addresses are refused."""

    def __repr__(self) -> str:
        return f"Request(method={self.method!r}, url={self.url!r})"


class Response(Protocol):
    """An answer whose body is read as it comes."""

    @property
    def status(self) -> int:
        """The status."""
        ...

    def header(self, name: str) -> str:
        """Return a header, or an empty text."""
        ...

    def read(self, amount: int) -> bytes:
        """Return the next bytes, at most so many; none at the end.

        Raises:
            ConnectionFaultError: the connection broke, or the time is over.
        """
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Transport(Protocol):
    """Carries requests; it neither follows redirects nor logs in nor asks twice."""

    def send(self, request: Request) -> Response:
        """Send one request and return the answer once its headers are here.

        Raises:
            ConnectionFaultError: no answer came.
            RegistryError: the certificate is not trusted, or the address is refused.
        """
        ...


class ConnectionFaultError(RegistryError):
    """The connection could not be made or broke: it may pass by itself."""


def read_up_to(response: Response, limit: int) -> bytes:
    """Return the beginning of a body, at most so many bytes.

    Raises:
        ConnectionFaultError: the connection broke, or the time is over.
    """
    pieces: list[bytes] = []
    left = limit
    while left and (piece := response.read(min(1 << 16, left))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
