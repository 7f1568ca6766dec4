"""Reading policies: strict, whole or not at all."""

from dataclasses import replace
from pathlib import Path

from imagekit.errors import PolicyError
from imagekit.formats import strictyaml
from imagekit.formats.report import Report
from imagekit.formats.shape import INVALID
from imagekit.model.digest import Digest
from imagekit.model.policy import Policy
from imagekit.verify.schema import POLICY


def load_policy(path: Path | str) -> Policy:
    """Read a policy and the keys that it names.

    Args:
        path: the file; paths in it are relative to its folder.

    Raises:
        PolicyError: it cannot be read or accepted, with the place of every fault.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            raw = stream.read(strictyaml.MAX_BYTES + 1)
    except OSError as error:
        raise PolicyError(
            f"the policy {file} cannot be read: {error.strerror or type(error).__name__}",
            hint="write one: imagekit policy new --image GLOB --key PUBLIC",
            code="policy/unreadable",
        ) from error
    return parse_policy(raw, file=str(file), folder=file.parent)


def parse_policy(raw: bytes, *, file: str, folder: Path | None = None) -> Policy:
    """Read a policy from its exact bytes.

    Args:
        raw: the YAML document.
        file: its name, for messages.
        folder: what paths of keys are relative to; without it only inline keys can be read.

    Raises:
        PolicyError: it cannot be accepted, with the place of every fault.
    """
    report = Report(file, "policy", folder=folder)
    policy = POLICY.read(strictyaml.compose(raw, report), report)
    report.check(PolicyError, what="the policy")
    if policy is INVALID:
        raise PolicyError(f"the policy {file} cannot be accepted", code="policy/invalid")
    return replace(policy, digest=Digest.of(raw))
