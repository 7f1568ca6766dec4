"""What callers see of services that fail, or never answer, while something is signed keyless."""

import threading
from typing import NoReturn

import pytest
from sigstore import oidc

from imagekit.errors import ToolError
from imagekit.signatures.sigstore.deadline import within
from imagekit.signatures.sigstore.keyless import ambient_token


def test_a_failed_service_is_an_error_of_ours_with_both_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the library raises has no common base; its cause is what the service answered."""

    def failing() -> NoReturn:
        raise ValueError("no token\n was given") from OSError("HTTP 403")

    monkeypatch.setattr(oidc, "detect_credential", failing)

    with pytest.raises(ToolError) as caught:
        ambient_token()

    assert caught.value.message == "signing keyless failed: no token was given: HTTP 403"
    assert caught.value.code == "SIGSTORE"
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_interrupt_is_no_failure_of_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on as it is."""

    def interrupted() -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(oidc, "detect_credential", interrupted)

    with pytest.raises(KeyboardInterrupt):
        ambient_token()


def test_a_call_that_does_not_return_is_waited_for_so_long_only() -> None:
    """The library sets no limit of its own."""
    ended = threading.Event()

    with pytest.raises(TimeoutError, match="no answer"):
        within(0.05, ended.wait)

    ended.set()
