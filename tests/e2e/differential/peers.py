"""The verifiers of other people, each asked for its verdict on one image."""

import json
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

SECONDS = 120
"""How long one verifier may take for one image."""


class Verdict(StrEnum):
    """What a verifier says."""

    ACCEPTS = "accepts"
    REFUSES = "refuses"
    NOT_APPLICABLE = "n/a"
    """It does not read this form, or does not look at what was changed."""


class SigstoreJs:
    """sigstore-js in one process: its start takes twenty times as long as its answer."""

    def __init__(self, bench: Path) -> None:
        self._process = subprocess.Popen(
            [bench / "sigstore-js", "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lock = threading.Lock()

    def ask(self, words: Sequence[str]) -> tuple[int, str]:
        """Return how the program would have ended, and what it would have said."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Timer(SECONDS, self._process.kill)
        with self._lock:
            late.start()
            print(json.dumps(words), file=self._process.stdin, flush=True)
            answer = json.loads(self._process.stdout.readline())
            late.cancel()
        return answer["status"], answer["said"]

    def close(self) -> None:
        """End the process."""
        with self._process:
            self._process.kill()


@dataclass(frozen=True, kw_only=True)
class Question:
    """One image, and whom to trust."""

    reference: str
    """By tag."""
    digest: str
    legacy: bool
    """Whether the legacy form is asked about; bundles otherwise."""
    folder: Path
    """Of this question alone."""
    bench: Path
    js: SigstoreJs
    root: Path
    """Sigstore's trusted root; without a key it decides."""
    key: Path | None
    identity: str
    issuer: str
    fulcio: Path
    rekor: Path
    """The certificate of the authority and the key of the log, for skopeo."""
    level: str
    """Which manifests of an index our policy wants signed."""
    denied: str = ""
    """Which digest our policy denies."""
    neighbour: str = ""
    """What we judge before."""


@dataclass(frozen=True)
class Answer:
    """A verdict, and the last line that the verifier said."""

    verdict: Verdict
    said: str


# What is no verdict but a fault of the test: a peer that never looked at the image.
_FAULTS = (
    "connection refused",
    "no such file",
    "unknown flag",
    "flag provided but not defined",
    "usage:",
    "Cannot find module",
    "loading trusted root",
    "unshare:",
    "Invalid policy",
    "is not a directory",
)


def cosign(question: Question) -> Answer:
    """Ask cosign 3, which looks for bundles first."""
    words: list[str | Path] = [question.bench / "cosign", "verify", "--allow-http-registry"]
    words.append(f"--new-bundle-format={str(not question.legacy).lower()}")
    if question.key is not None:
        words += ["--key", question.key, "--insecure-ignore-tlog=true"]
    else:
        words += ["--trusted-root", question.root, "--certificate-identity", question.identity]
        words += ["--certificate-oidc-issuer", question.issuer]
    return _ask([*words, question.reference], question)


def skopeo(question: Question) -> Answer:
    """Ask skopeo of Debian 13 to copy the image under a policy; it reads the legacy form."""
    from tests.e2e.differential.policies import write_skopeo

    write_skopeo(question)
    # A mount namespace of its own wants root.
    root = [] if os.geteuid() == 0 else ["sudo", "-n", "--preserve-env=BENCH_SHARE"]
    words: list[str | Path] = [*root, question.bench / "skopeo-trixie"]
    words += ["--policy", question.folder / "policy.json"]
    words += ["--registries.d", question.folder / "registries.d"]
    words += ["--override-arch", "amd64", "--override-os", "linux"]
    words += ["copy", "--src-tls-verify=false", f"docker://{question.reference}"]
    return _ask([*words, f"dir:{question.folder / 'out'}"], question)


def sigstore_go(question: Question) -> Answer:
    """Ask sigstore-go about the bundle and the image's digest."""
    words: list[str | Path] = [question.bench / "sigstore-go-verification"]
    words += ["-artifact-digest", question.digest.partition(":")[2]]
    words += ["-trustedrootJSONpath", question.root]
    if question.key is not None:
        words += ["-publicKey", question.key, "-requireTlog=false", "-requireTimestamp=false"]
        words += ["-requireCTlog=false"]
    else:
        words += ["-expectedSAN", question.identity, "-expectedIssuer", question.issuer]
    return _ask([*words, question.folder / "bundle.json"], question)


def sigstore_js(question: Question) -> Answer:
    """Ask sigstore-js about the bundle; it compares no subject with an image."""
    words = [str(question.folder / "bundle.json"), str(question.root)]
    if question.key is not None:
        words += ["--key", str(question.key), "--tlogs", "0", "--timestamps", "0", "--scts", "0"]
    else:
        words += ["--identity", question.identity, "--issuer", question.issuer]
    return _answer(*question.js.ask(words))


PEERS: dict[str, Callable[[Question], Answer]] = {
    "cosign": cosign,
    "skopeo": skopeo,
    "sigstore-go": sigstore_go,
    "sigstore-js": sigstore_js,
}


def _ask(argv: list[str | Path], question: Question) -> Answer:
    home = {"HOME": str(question.folder), "BENCH_SHARE": str(question.folder)}
    done = subprocess.run(
        argv,
        env={**os.environ, **home, "TUF_ROOT": str(question.folder / "tuf")},
        cwd=question.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    return _answer(done.returncode, (done.stderr + done.stdout).decode(errors="replace"))


def _answer(status: int, said: str) -> Answer:
    if status == 0:
        return Answer(Verdict.ACCEPTS, "")
    fault = next((each for each in _FAULTS if each.lower() in said.lower()), None)
    assert fault is None, said
    assert status in {1, 2, 10, 11, 12}, (status, said)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return Answer(Verdict.REFUSES, lines[-1] if lines else "")
