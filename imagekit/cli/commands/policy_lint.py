"""Check policies and show every fault with its place; no registry is asked.

A FILE is a policy, or a folder of policies. Besides what keeps a policy from loading, errors are a
policy that has expired, and rules that no image can pass any more. Warnings are what is easily
overlooked: rules that may match one name equally well (every image of it is refused) or never hold,
patterns that match too much, dates that end soon.

  imagekit policy lint policies/
  imagekit policy lint site.yaml --strict      in CI: warnings fail, too

Ends with 2 where there are errors; with warnings alone only under --strict.
"""

import argparse
from pathlib import Path

from imagekit.cli.console import Console, diagnostic_document
from imagekit.documents.quantity import count
from imagekit.errors import PolicyError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the verb."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE", help="policy or folder")
    parser.add_argument("--strict", action="store_true", help="warnings fail, too")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Lint.

    Raises:
        PolicyError: a folder holds no policy.
    """
    from datetime import UTC, datetime

    from imagekit.policy.lint import lint

    linted = lint(arguments.paths, now=datetime.now(UTC))
    console.diagnostics(linted.diagnostics)
    document = {
        "schema": 1,
        "policies": linted.policies,
        "errors": linted.errors,
        "warnings": linted.warnings,
        "diagnostics": [diagnostic_document(diagnostic) for diagnostic in linted.diagnostics],
    }
    policies = count(linted.policies, "policy", "policies")
    if linted.errors:
        text = f"{count(linted.errors, 'error')} in {linted.faulty} of {policies}"
    else:
        text = f"{policies}, no errors"
    if linted.warnings:
        text += f", {count(linted.warnings, 'warning')}"
    console.result(text, document)
    failed = linted.errors or (arguments.strict and linted.warnings)
    return PolicyError.exit_code if failed else 0
