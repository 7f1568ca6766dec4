"""Explain a verdict: every check with its reason, and what would have to change.

  imagekit policy explain registry.example.org/apps/solver:2.1 --policy site.yaml
  imagekit policy explain registry.example.org/apps/solver:2.1 --policy site.yaml --evidence saved

Shows which rule applies and why no other does; all checks, also those that passed without a finding
(✓), that the rule does not ask for (-) and that were not reached (·); and of each signature and
attestation of the image who signed it, what it counts for, and why not.

Judges as `imagekit verify` does and ends as it does, with 0 or 3; nothing is recorded.
"""

import argparse
from pathlib import Path

from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_policy_option,
    add_registry_options,
    memory_of,
    policy_of,
    registry_of,
)
from imagekit.errors import DeniedError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the verb."""
    parser.add_argument(
        "reference",
        metavar="REFERENCE",
        help="HOST/NAME:TAG, HOST/NAME@sha256:... or oci:FOLDER:NAME:TAG",
    )
    parser.add_argument(
        "--evidence",
        type=Path,
        metavar="FOLDER",
        help="read what `imagekit policy save` wrote instead of the registry",
    )
    add_policy_option(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Explain.

    Raises:
        ImagekitError: the policy cannot be accepted, or there is no verdict.
    """
    from imagekit.oci.location import parse_located
    from imagekit.verify.explain import explain
    from imagekit.verify.explanation_text import account_document, account_text
    from imagekit.verify.rollback import ReadOnlyRollbackStore
    from imagekit.verify.sources import saved_reader

    image = parse_located(arguments.reference)
    memory = ReadOnlyRollbackStore(memory_of(arguments))
    policy = policy_of(arguments, memory=memory)
    account = explain(
        image,
        policy=policy,
        memory=memory,
        reader=saved_reader(arguments.evidence) if arguments.evidence else None,
        options=registry_of(arguments),
    )
    console.result(account_text(account, policy), account_document(account, policy))
    return 0 if account.verdict.allowed else DeniedError.exit_code
