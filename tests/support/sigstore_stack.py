"""The private Sigstore as tests use it: started once, shared by all workers, stopped at the end."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from tests.support.sigstore.issuer import EMAIL, REF, REPOSITORY, WORKFLOW
from tests.support.sigstore.processes import fetch
from tests.support.sigstore.programs import cache_folder, missing
from tests.support.sigstore.stack import load
from tests.support.sigstore.trust import Addresses

# Before any test has a HOME of its own.
CACHE = cache_folder()

_PROJECT = Path(__file__).resolve().parents[2]
_UP_SECONDS, _DOWN_SECONDS = 120, 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigstore:
    """A Sigstore that runs, both Rekors included."""

    folder: Path
    at: Addresses

    @property
    def trust_config(self) -> Path:
        """Trusted root and signing configuration in one (Rekor v2)."""
        return self.folder / "trust_config.json"

    @property
    def trusted_root(self) -> Path:
        """What a verifier needs (Rekor v2)."""
        return self.folder / "trusted_root.json"

    @property
    def signing_config(self) -> Path:
        """Where a signer goes (Rekor v2)."""
        return self.folder / "signing_config.json"

    @property
    def trust_config_v1(self) -> Path:
        """Trusted root and signing configuration in one, with Rekor v1 only."""
        return self.folder / "trust_config_v1.json"

    @property
    def trusted_root_v1(self) -> Path:
        """What a verifier needs, with Rekor v1 only."""
        return self.folder / "trusted_root_v1.json"

    @property
    def signing_config_v1(self) -> Path:
        """Where a signer goes, with Rekor v1 only."""
        return self.folder / "signing_config_v1.json"

    @property
    def fulcio_pem(self) -> Path:
        """The certificate of the authority, for skopeo's policy."""
        return self.folder / "fulcio.pem"

    @property
    def rekor1_pub(self) -> Path:
        """The public key of Rekor v1, for skopeo's policy."""
        return self.folder / "rekor1.pub"

    @property
    def ct_pub(self) -> Path:
        """The public key of the log of certificates, for cosign 2."""
        return self.folder / "ct.pub"

    @property
    def issuer(self) -> str:
        """The issuer of people, as certificates and policies name it."""
        return self.at.issuer

    @property
    def ci_issuer(self) -> str:
        """The issuer of workflows, as certificates and policies name it."""
        return self.at.ci_issuer

    def token(self, email: str = EMAIL, **choices: str) -> str:
        """Return a token of a person.

        Args:
            email: Who it is.
            **choices: ``seconds`` (negative: expired), ``aud``, ``email_verified`` ("false").
        """
        query = urlencode({"email": email, **choices})
        return fetch(f"{self.issuer}/token?{query}").decode()

    def github_environment(self, **choices: str) -> dict[str, str]:
        """Return the variables by which a job of GitHub Actions gets its token.

        Args:
            **choices: ``repository``, ``workflow`` (a path), ``ref``, ``event``, ``seconds``.
        """
        query = urlencode({"v": "1", **choices})
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-runner",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.ci_issuer}/gha?{query}",
        }

    def gitlab_environment(self, email: str = EMAIL) -> dict[str, str]:
        """Return the variables by which a job of GitLab has its token; the identity is a mail's."""
        return {"GITLAB_CI": "true", "SIGSTORE_ID_TOKEN": self.token(email)}

    @staticmethod
    def github_identity(
        repository: str = REPOSITORY, workflow: str = WORKFLOW, ref: str = REF
    ) -> str:
        """Return the subject that a workflow's certificate gets."""
        return f"https://github.com/{repository}/{workflow}@{ref}"


def is_built() -> bool:
    """Return whether ``scripts/sigstore build`` has been run on this machine."""
    return not missing(CACHE)


@contextmanager
def running() -> Iterator[Sigstore]:
    """Share the stack of this machine, started if need be; the last of the tests stops it.

    A stack that somebody has started by hand is used, and left as it is.
    """
    folder = CACHE / "stack"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".tests").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        _command("up", "--rekor1", "--owner", "tests", seconds=_UP_SECONDS)
        try:
            state = load(folder)
            assert state is not None
            yield Sigstore(folder=folder, at=state.addresses)
        finally:
            _leave(users.fileno(), folder)


def _leave(users: int, folder: Path) -> None:
    state = load(folder)
    if state is None or state.owner != "tests":
        return
    fcntl.flock(users, fcntl.LOCK_UN)
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # another worker's tests go on
    _command("down", seconds=_DOWN_SECONDS)


def _command(*words: str, seconds: float) -> None:
    """Run the script's program by this Python; its processes are then nobody's children here."""
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "tests.support.sigstore",
            *words,
            "--dir",
            str(CACHE / "stack"),
        ],
        env={**os.environ, "PYTHONPATH": str(_PROJECT), "IMAGEKIT_BENCH": str(CACHE.parent)},
        cwd=_PROJECT,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
