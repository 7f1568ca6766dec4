"""What the gate answers: whole answers, and refusals in the specification's form."""

import json
import math
from collections.abc import Mapping

from msgspec import Struct, field

from imagekit.errors import ImagekitError
from imagekit.oci.digest import Digest

OCTETS = "application/octet-stream"
_JSON = "application/json"
# RFC 9111 section 5.2.2.5: no cache keeps a refusal, which another policy may take back.
_NO_STORE: Mapping[str, str] = {"Cache-Control": "no-store"}


class Answer(Struct, frozen=True, kw_only=True):
    """A whole answer of few bytes."""

    status: int = 200
    content_type: str = _JSON
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class RequestRefusedError(ImagekitError):
    """A request is answered with a refusal.

    Args:
        status: of HTTP.
        code: of the distribution-spec, "Error Codes".
        message: what the user at the prompt reads.
        detail: more for programs.
        headers: besides the usual ones.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        detail: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})

    @property
    def answer(self) -> Answer:
        """The answer with the body of the specification."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.detail is not None:
            error["detail"] = self.detail
        body = json.dumps({"errors": [error]}, ensure_ascii=False).encode()
        return Answer(status=self.status, body=body, headers={**_NO_STORE, **self.headers})


def no_such_path() -> RequestRefusedError:
    """Return the refusal of a path that is not of the API."""
    return RequestRefusedError(404, "UNSUPPORTED", "imagekit gate: no such path")


def bad_name(message: str) -> RequestRefusedError:
    """Return the refusal of a path that nothing can be called by."""
    return RequestRefusedError(400, "NAME_INVALID", f"imagekit gate: {message}")


def bad_digest(message: str) -> RequestRefusedError:
    """Return the refusal of a digest that is none."""
    return RequestRefusedError(400, "DIGEST_INVALID", f"imagekit gate: {message}")


def not_allowed() -> RequestRefusedError:
    """Return the refusal of a method."""
    # RFC 9110 section 15.5.6: the answer 405 names the methods that are allowed.
    return RequestRefusedError(
        405,
        "UNSUPPORTED",
        "imagekit gate: only GET and HEAD are served here; push to the registry itself",
        headers={"Allow": "GET, HEAD"},
    )


def unknown_blob(digest: Digest) -> RequestRefusedError:
    """Return the refusal of a blob that no allowed manifest consists of."""
    # The same whether the upstream has it or not: who is not served learns nothing of it.
    message = f"imagekit gate: no image that is allowed here consists of {digest}"
    return RequestRefusedError(404, "BLOB_UNKNOWN", message)


def unknown_manifest(message: str) -> RequestRefusedError:
    """Return the answer for what the upstream does not have."""
    return RequestRefusedError(404, "MANIFEST_UNKNOWN", f"imagekit gate: {message}")


def unavailable(message: str, *, seconds: int = 5) -> RequestRefusedError:
    """Return the answer where nothing can be decided now."""
    # RFC 9110 section 15.6.4: Retry-After says when another try makes sense.
    return RequestRefusedError(
        503,
        # distribution's own code: the specification has some for statuses of 4xx only.
        "UNAVAILABLE",
        f"imagekit gate: {message}",
        headers={"Retry-After": str(seconds)},
    )


def too_many(message: str, *, seconds: float = 1) -> RequestRefusedError:
    """Return the answer for who asks for more than is done for one client."""
    # RFC 6585 section 4, and distribution-spec, "Error Codes".
    return RequestRefusedError(
        429,
        "TOOMANYREQUESTS",
        f"imagekit gate: {message}; try again later",
        headers={"Retry-After": str(max(1, math.ceil(seconds)))},
    )
