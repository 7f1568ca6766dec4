"""Withdraw an image: sign a statement that it must not be used any more.

  imagekit withdraw registry.example.org/apps/solver:2.1 --key imagekit.key --reason "wrong results"

Who verifies the image and trusts the key for it is refused from then on. A registry can hide the
statement: put the digest, which is printed, into the deny list of your policies as well.
"""

import argparse

from imagekit.cli.console import Console
from imagekit.cli.options import add_registry_options, add_signer_options, registry_of, signer_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the command."""
    parser.add_argument("reference", metavar="REFERENCE", help="the image to withdraw")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why, for people to read")
    add_signer_options(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Withdraw.

    Raises:
        ImagekitError: the reason is empty, the key does not open, or the registry refuses.
    """
    from imagekit.errors import UsageError
    from imagekit.oci.location import parse_located
    from imagekit.sign.withdraw import withdraw
    from imagekit.signatures.release import MAX_REASON

    reason = " ".join(arguments.reason.split())
    if not reason or len(reason) > MAX_REASON or not reason.isprintable():
        raise UsageError(f"--reason is a text of at most {MAX_REASON} printable characters")
    wanted = parse_located(arguments.reference)
    image, attached = withdraw(
        wanted,
        signer=signer_of(arguments),
        reason=reason,
        options=registry_of(arguments),
    )
    console.note("  withdrawn; for policies, since a registry can hide the statement:")
    console.note(f"  deny: {{digests: [{image.digest}]}}")
    shown = wanted.location.shown(str(image))
    console.result(
        shown,
        {
            "schema": 1,
            "reference": shown,
            "digest": str(image.digest),
            "reason": reason,
            "statement": str(attached.reference.digest),
        },
    )
    return 0
