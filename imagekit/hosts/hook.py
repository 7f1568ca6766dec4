"""The one decision behind the hooks of runtimes: by the host's configuration, and in time.

What judges by a policy is imported only where one judges: asking a gate does not wait for it.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from imagekit.errors import InputError, ToolTimeoutError
from imagekit.hosts.containerd import reason
from imagekit.hosts.hook_config import DEFAULT, MAX_CONFIG, VARIABLE, parse_config
from imagekit.hosts.hook_types import HookConfig, HookDecision
from imagekit.inputs import read_regular
from imagekit.oci.reference import Reference

if TYPE_CHECKING:
    from imagekit.hosts.hook_types import ImageJudge
    from imagekit.policy.ruleset import OpenedPolicy


def load_hook_config(path: Path | None = None) -> HookConfig:
    """Read the host's configuration.

    Args:
        path: the file; that of IMAGEKIT_VERIFIER_CONFIG, else /etc/imagekit/verifier.yaml.

    Raises:
        InputError: it cannot be read or accepted.
    """
    file = path or Path(os.environ.get(VARIABLE) or DEFAULT)
    try:
        raw = read_regular(file, limit=MAX_CONFIG)
    except OSError as error:
        raise InputError(
            f"{file} cannot be read: {error.strerror}",
            hint="write: policy: /etc/imagekit/policy.yaml, or gate: https://HOST:PORT",
            code="verifier/unreadable",
        ) from error
    return parse_config(raw, file=str(file))


def policy_of(config: HookConfig) -> "OpenedPolicy":
    """Return the policy that the configuration names.

    Raises:
        InputError: it names a gate, and no policy.
        PolicyError: it, or a key, cannot be accepted.
    """
    from imagekit.policy.signers import PolicySigners
    from imagekit.signatures.authority import Authority
    from imagekit.signatures.keys.key_files import read_public_key
    from imagekit.verify.policies import open_policy
    from imagekit.verify.rollback import SqliteRollbackStore

    if config.policy is None:
        raise InputError(
            "the verifier's configuration names a gate, and receipts are checked by a policy",
            hint="write policy: in the place of gate: on hosts with staged images",
            code="verifier/no-policy",
        )
    keys = tuple(
        Authority(name=file.stem, key=read_public_key(file)) for file in config.policy_keys
    )
    signers = PolicySigners(authorities=keys) if keys else None
    return open_policy(config.policy, signers=signers, memory=SqliteRollbackStore(config.state))


def judge_of(config: HookConfig) -> "ImageJudge":
    """Return what judges images on this host: its policy, or the gate.

    Raises:
        InputError: the policy, a key, or the gate's authorities cannot be used.
    """
    if config.gate is not None:
        from imagekit.hosts.ask_gate import GateJudge

        return GateJudge(config.gate, seconds=config.seconds)
    return _by_policy(config)


def _by_policy(config: HookConfig) -> "ImageJudge":
    from imagekit.hosts.read_node import find_lacks_here
    from imagekit.oci.registry.options import RegistryOptions
    from imagekit.verify.rollback import SqliteRollbackStore
    from imagekit.verify.verify import verify

    policy = policy_of(config)
    options = RegistryOptions(
        plain_http=config.plain_http,
        ca_file=config.ca_file,
        realms=config.realms,
        connect_seconds=min(5.0, config.seconds),
        read_seconds=config.seconds,
        deadline_seconds=config.seconds,
        attempts=2,
    )

    def judge(reference: Reference) -> HookDecision:
        memory = SqliteRollbackStore(config.state)
        verdict = verify(
            reference,
            policy=policy,
            options=options,
            memory=memory,
            # The runtime that asks runs the image on this node.
            find_lacks=find_lacks_here,
        )
        # The runtime chooses a manifest of an index later, by itself.
        whole = verdict.allowed and not verdict.unread
        return HookDecision(allowed=whole, digest=verdict.digest, reason=reason(verdict))

    return judge


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """End what takes longer by an exception: a runtime that waits must get a reason.

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
