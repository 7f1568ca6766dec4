"""Compare this node with what an image needs of it: processor, kernel, devices, launcher.

  imagekit node check registry.example.org/apps/solver:2.1 --policy /etc/imagekit/policy.yaml
  imagekit node check oci:FOLDER:solver:2.1 --policy site.yaml --json

What the image needs stands in a statement that was signed when it was published, and is believed
as the policy believes the image. Any user may ask, and a prolog of Slurm's; nothing is pulled.

Ends with 0 where the node has everything, and with 3 where it lacks something, cannot show that it
has it, the image does not say what it needs, or the policy denies it.
"""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_policy_option,
    add_registry_options,
    memory_of,
    policy_of,
    registry_of,
)
from imagekit.errors import DeniedError

if TYPE_CHECKING:
    from imagekit.hosts.check_node import CheckedNode
    from imagekit.needs.needs import Needs


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the command."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="check")
    check = verbs.add_parser("check", help="say what this node lacks of what an image needs")
    check.add_argument(
        "reference",
        metavar="REFERENCE",
        help="HOST/NAME:TAG, HOST/NAME@sha256:... or oci:FOLDER:NAME:TAG",
    )
    add_policy_option(check)
    add_registry_options(check)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Compare, and print what is missing.

    Raises:
        ImagekitError: the policy cannot be accepted, or there is no verdict.
    """
    from imagekit.hosts.check_node import check_node
    from imagekit.hosts.read_node import find_lacks_here
    from imagekit.oci.location import parse_located

    memory = memory_of(arguments)
    checked = check_node(
        parse_located(arguments.reference),
        policy=policy_of(arguments, memory=memory),
        find_lacks=find_lacks_here,
        options=registry_of(arguments),
        memory=memory,
    )
    console.result(_text(checked), _document(checked))
    return 0 if checked.verdict.allowed else DeniedError.exit_code


def _text(checked: "CheckedNode") -> str:
    from imagekit.verify.verdict_text import text

    if not checked.verdict.allowed or checked.needs is None:
        remedies = [f"  {lack.need}: {lack.hint}" for lack in checked.lacks]
        return "\n".join([text(checked.verdict), *remedies])
    said = ", ".join(_words(checked.needs)) or "nothing"
    return f"this node has what {checked.verdict.located} needs: {said}"


def _words(needs: "Needs") -> list[str]:
    mpi = needs.mpi
    known = (
        f"{mpi.implementation} {mpi.version}".strip() if mpi else "",
        " or ".join(needs.pmi),
        needs.cpu,
        f"glibc {needs.glibc}" if needs.glibc else "",
        f"CUDA {needs.cuda}" if needs.cuda else "",
        f"Linux {needs.kernel.minimum}" if needs.kernel.minimum else "",
        *(f"CONFIG_{option}" for option in needs.kernel.config),
        *needs.devices,
    )
    return [word for word in known if word]


def _document(checked: "CheckedNode") -> Mapping[str, object]:
    from msgspec import to_builtins

    from imagekit.verify.verdict_text import document

    return {
        **document(checked.verdict),
        "needs": None if checked.needs is None else to_builtins(checked.needs),
        "missing": [
            {"need": lack.need, "message": lack.message, "hint": lack.hint}
            for lack in checked.lacks
        ],
    }
