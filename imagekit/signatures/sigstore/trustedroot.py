"""Trusted roots as sigstore-python has them, and what it leaves out: who was valid when.

A log's key counts for entries that name that log, in the period that the root gives it, and for
nothing else: the library tries every log's key where a name is not of its own making.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from imagekit.documents import strictjson
from imagekit.errors import ImagekitError, VerificationError
from imagekit.signatures.authority import TrustRoot
from imagekit.signatures.logentry import BAD_TLOG_ENTRY

if TYPE_CHECKING:
    from sigstore.models import TrustedRoot

    from imagekit.signatures.sigstore.internals import RekorKeyring

_Result = TypeVar("_Result")
_SERVICES = ("tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities")


def load_root(root: TrustRoot) -> "TrustedRoot":
    """Read a trusted root; it may be without some kinds of services.

    Raises:
        VerificationError: the library cannot use it (``BAD_TRUST_ROOT``).
    """
    from sigstore.models import TrustedRoot
    from sigstore_models.trustroot.v1 import TrustedRoot as Document

    try:
        document = strictjson.loads_object(root.raw, what="the trusted root")
        # ProtoJSON leaves out empty lists, and the library's model requires most of them.
        missing: dict[str, object] = {
            service: [] for service in _SERVICES if document.get(service) is None
        }
        return TrustedRoot(Document.from_json(strictjson.dumps(document | missing)))
    except Exception as error:  # the library raises what its parsers raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise VerificationError(
            f"the policy's trusted root {root.name} cannot be used: {reason:.300}",
            hint="get trusted_root.json anew from whoever runs that Sigstore",
            code="BAD_TRUST_ROOT",
        ) from error


def knows_log(trusted: "TrustedRoot", log_id: bytes) -> bool:
    """Return whether a log of that name is in the trusted root."""
    return bool(_logs(trusted, log_id))


def log_keys(trusted: "TrustedRoot", log_id: bytes, times: Iterable[datetime]) -> "RekorKeyring":
    """Return the keys of a log that the trusted root has for valid at all of these times.

    Raises:
        VerificationError: it has none (``BAD_TLOG_ENTRY``), or does not know the log
            (``UNKNOWN_LOG``).
    """
    from imagekit.signatures.sigstore.internals import log_keyring

    logs = _logs(trusted, log_id)
    if not logs:
        raise VerificationError(
            "the log entry is of a log that the trusted root does not know", code="UNKNOWN_LOG"
        )
    for time in times:
        logs = [log for log in logs if within(log.public_key.valid_for, time)]
        if not logs:
            raise VerificationError(
                f"the log was not valid at {time.isoformat()}, as the trusted root says",
                code=BAD_TLOG_ENTRY,
            )
    return log_keyring([log.public_key for log in logs])


def within(period: Any, time: datetime) -> bool:
    """Return whether a time is in a period, of which the end may be open; no period has none."""
    # sigstore_common.proto, TimeRange: it includes both ends.
    if period is None or period.start is None:
        return False
    return bool(period.start <= time and (period.end is None or time <= period.end))


def guarded(verify: Callable[[], _Result], *, code: str) -> _Result:
    """Turn every error into a refusal.

    Untrusted bytes go through other libraries' parsers here: whatever one of these raises means
    that the signature does not hold.

    Args:
        verify: verifies one part of it.
        code: which part that is.

    Raises:
        VerificationError: it does not hold.
    """
    try:
        return verify()
    except VerificationError:
        raise
    except ImagekitError as error:
        raise VerificationError(error.message, hint=error.hint, code=error.code) from error
    except Exception as error:  # see above
        reason = " ".join(str(error).split()) or type(error).__name__
        raise VerificationError(f"{reason:.300}", code=code) from error


def _logs(trusted: "TrustedRoot", log_id: bytes) -> list[Any]:
    from imagekit.signatures.sigstore.internals import root_message

    # RFC 6962, section 3.2, LogID: the SHA-256 of the key. A log may be there more than once, for
    # other times (sigstore_trustroot.proto, TrustedRoot: overlapping ones must be accepted).
    return [log for log in root_message(trusted).tlogs if bytes(log.log_id.key_id) == bytes(log_id)]
