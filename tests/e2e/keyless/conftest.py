"""The private Sigstore and cosign, for the tests of keyless signatures."""

import os
from collections.abc import Iterator

import pytest

from tests.support.sigstore_stack import Sigstore, is_built, running

_AMBIENT = ("GITHUB_", "ACTIONS_", "GITLAB_", "SIGSTORE_", "CI_", "COSIGN_", "TUF_")


@pytest.fixture(scope="session")
def sigstore() -> Iterator[Sigstore]:
    """Fulcio, its log, both Rekors, timestamps and issuers on loopback; skips if not built."""
    if not is_built():
        pytest.skip("`scripts/sigstore build` has not been run on this machine")
    with running() as stack:
        yield stack


@pytest.fixture(autouse=True)
def _no_ambient_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the identity of the machine that runs the tests: CI has one of its own."""
    for name in [name for name in os.environ if name.startswith(_AMBIENT)]:
        monkeypatch.delenv(name)
