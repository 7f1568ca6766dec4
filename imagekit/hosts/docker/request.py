"""What Docker's daemon passes on of a request to its authorization plugins."""

from msgspec import Struct


class DockerRequest(Struct, frozen=True, kw_only=True):
    """A request as the daemon passes it on."""

    method: str
    uri: str
    """Path and query, as the client sent them."""
    body: bytes | None = None
    """None where the daemon passed none on, which does not mean that there is none."""
    length: str | None = None
    """The Content-Length header; the daemon has none for a body in chunks."""
