"""What a person at the podman prompt reads when an image is refused: which check, and whom to ask.

One line, since clients print it as one; the detail is for programs.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from imagekit.errors import AuthError, ImagekitError, NotFoundError, RegistryError
from imagekit.gate.answers import RequestRefusedError, unavailable, unknown_manifest
from imagekit.gate.decisions.decision import Decision
from imagekit.oci.registry.protocol import TRANSIENT
from imagekit.policy.findings import Finding, plain

# podman, skopeo and docker show the message of this status, and containerd asks once more to show
# it. After 404 older containerd looks for the manifest among the blobs; 5xx is asked again, and its
# text is hidden.
_FORBIDDEN = 403


class DenialError(RequestRefusedError):
    """An image is denied: the contact is added where the answer is written."""

    def __init__(self, decision: Decision) -> None:
        errors = [finding for finding in decision.findings if finding.severity == "error"]
        super().__init__(
            _FORBIDDEN,
            "DENIED",
            _denial_text(decision, errors),
            detail={
                "reference": decision.reference.full,
                "digest": str(decision.digest) if decision.digest else None,
                "policy": decision.policy_name,
                "findings": [
                    {"check": finding.check, "code": finding.code, "message": finding.message}
                    for finding in errors
                ],
            },
        )
        self.decision = decision


def denial(decision: Decision) -> DenialError:
    """Return the refusal of a denied image."""
    return DenialError(decision)


def is_outage(error: ImagekitError) -> bool:
    """Return whether the upstream cannot be asked now, as against having said something."""
    if not isinstance(error, RegistryError) or isinstance(error, (NotFoundError, AuthError)):
        return False
    if error.http_status is None:
        return error.code in {"CONNECTION", "TIMEOUT"}
    return error.http_status in TRANSIENT


@contextmanager
def refusing(missing: RequestRefusedError | None = None) -> Iterator[None]:
    """Turn errors of an upstream into answers.

    Args:
        missing: the answer for what the upstream does not have.

    Raises:
        RequestRefusedError: for every other error of imagekit.
    """
    try:
        yield
    except RequestRefusedError:
        raise
    except NotFoundError as error:
        raise (missing or unknown_manifest(plain(error.message))) from error
    except ImagekitError as error:
        raise _undecided(error, outage=is_outage(error)) from error


def _undecided(error: ImagekitError, *, outage: bool) -> RequestRefusedError:
    """Return the answer where an upstream leads to no verdict: never an image."""
    reason = plain(error.message)
    if outage:
        return unavailable(f"the upstream registry cannot be asked: {reason}")
    message = (
        f"imagekit: nothing can be said for it, so it is refused: {error.code or 'ERROR'}: {reason}"
    )
    return RequestRefusedError(_FORBIDDEN, "DENIED", message, detail={"code": error.code})


def _denial_text(decision: Decision, errors: Iterable[Finding]) -> str:
    # The remedy is for the publisher; whoever pulls is shown the contact.
    findings = [*errors]
    reasons = "; ".join(f"{finding.code}: {finding.message}" for finding in findings[:3])
    digest = f" ({decision.digest.short})" if decision.digest else ""
    return (
        f"imagekit: {decision.reference.full}{digest} is refused by policy "
        f"{decision.policy_name}: {reasons or 'no check passed'}"
    )
