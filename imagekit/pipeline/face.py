"""The one decision behind the faces of runtimes: by the host's configuration, and in time."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from imagekit.adapters.memory import SqliteMemory
from imagekit.errors import InputError, ToolTimeoutError
from imagekit.model.face import FaceConfig
from imagekit.model.policy import Policy
from imagekit.model.reference import Reference
from imagekit.model.registry import RegistryOptions
from imagekit.model.verdict import Verdict
from imagekit.runtime.faceconfig import DEFAULT, MAX_CONFIG, VARIABLE, parse_config


def load_face(path: Path | None = None) -> FaceConfig:
    """Read the host's configuration.

    Args:
        path: the file; that of IMAGEKIT_VERIFIER_CONFIG, else /etc/imagekit/verifier.yaml.

    Raises:
        InputError: it cannot be read or accepted.
    """
    file = path or Path(os.environ.get(VARIABLE) or DEFAULT)
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_CONFIG)
    except OSError as error:
        raise InputError(
            f"{file} cannot be read: {error.strerror}",
            hint="write: policy: /etc/imagekit/policy.yaml",
            code="verifier/unreadable",
        ) from error
    return parse_config(raw, file=str(file))


def policy_of(config: FaceConfig) -> Policy:
    """Return the policy that the configuration names.

    Raises:
        PolicyError: it, or a key, cannot be accepted.
    """
    from imagekit.adapters.keys import read_public_key
    from imagekit.model.policy import Authority
    from imagekit.pipeline.policy import open_policy
    from imagekit.verify.signed import PolicySigners

    keys = tuple(
        Authority(name=file.stem, key=read_public_key(file)) for file in config.policy_keys
    )
    signers = PolicySigners(authorities=keys) if keys else None
    return open_policy(config.policy, signers=signers, memory=SqliteMemory(config.state))


def judge(config: FaceConfig, reference: Reference, *, policy: Policy | None = None) -> Verdict:
    """Judge an image as the host's configuration says.

    Raises:
        ImagekitError: there is no verdict; whoever asks refuses.
    """
    from imagekit.pipeline.verify import verify

    options = RegistryOptions(
        plain_http=config.plain_http,
        ca_file=config.ca_file,
        connect_seconds=min(5.0, config.seconds),
        read_seconds=config.seconds,
        deadline_seconds=config.seconds,
        attempts=2,
    )
    return verify(
        reference,
        policy=policy or policy_of(config),
        options=options,
        memory=SqliteMemory(config.state),
    )


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """End what takes longer by an exception: a runtime that waits must hear a reason.

    Raises:
        ToolTimeoutError: it took longer.
    """

    def late(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise ToolTimeoutError(f"there was no verdict within {seconds:g} seconds")

    before: Callable[[int, FrameType | None], object] | int | None
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def stdin_bytes(limit: int) -> bytes:
    """Return what stands on stdin, and one byte more than the limit at most."""
    return sys.stdin.buffer.read(limit + 1)
