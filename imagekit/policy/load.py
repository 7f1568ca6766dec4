"""Reading policies: strict, whole or not at all."""

from pathlib import Path

from msgspec.structs import replace

from imagekit.documents import strictyaml
from imagekit.documents.report import Report
from imagekit.documents.shape import INVALID
from imagekit.documents.strictyaml import Node
from imagekit.errors import PolicyError
from imagekit.inputs import read_regular
from imagekit.oci.digest import Digest
from imagekit.policy.ruleset import Policy
from imagekit.policy.schema import POLICY


def load_policy(path: Path | str) -> Policy:
    """Read a policy and the keys that it names.

    Whether it is signed, and not older than one that was accepted before, is another question:
    ``imagekit.verify.policies.open_policy`` asks it.

    Args:
        path: the file; paths in it are relative to its folder.

    Raises:
        PolicyError: it cannot be read or accepted, with the place of every fault.
    """
    file = Path(path)
    return parse_policy(policy_bytes(file), file=str(file), folder=file.parent)


def policy_bytes(file: Path) -> bytes:
    """Read the bytes of a policy, and not many more than a policy may have.

    Raises:
        PolicyError: the file cannot be read.
    """
    try:
        return read_regular(file, limit=strictyaml.MAX_BYTES)
    except OSError as error:
        raise PolicyError(
            f"the policy {file} cannot be read: {error.strerror or type(error).__name__}",
            hint="write one: imagekit policy new --image GLOB --key PUBLIC"
            if isinstance(error, FileNotFoundError)
            else "name a plain file that you may read: ls -l shows whose it is",
            code="policy/unreadable",
        ) from error


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
    policy, _ = read_policy(raw, report)
    report.check(PolicyError, what="the policy")
    if policy is None:
        raise PolicyError(f"the policy {file} cannot be accepted", code="policy/invalid")
    return policy


def read_policy(raw: bytes, report: Report) -> tuple[Policy | None, Node]:
    """Read a policy as far as it goes.

    Args:
        raw: the YAML document.
        report: takes every fault.

    Returns:
        The policy, or None where it has faults; and the document, for the places in it.
    """
    node = strictyaml.compose(raw, report)
    policy = POLICY.read(node, report)
    if policy is INVALID or report.failed:
        return None, node
    files = tuple((path, Digest("sha256", digits)) for path, digits in report.files)
    return replace(policy, digest=Digest.of(raw), files=files), node
