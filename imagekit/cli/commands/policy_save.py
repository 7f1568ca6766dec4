"""Save what a verifier reads of an image, for tests of policies: its evidence.

  imagekit policy save registry.example.org/apps/solver:2.1 --to evidence

The folder is an OCI image layout with the manifests, configurations, signatures and attestations,
in both forms, of the image and of its platforms. No layers: it is small enough for a repository.
Several images may go into one folder. Nothing is verified; `imagekit policy test` does that.
"""

import argparse
from pathlib import Path

from imagekit.cli.console import Console
from imagekit.cli.options import add_registry_options, registry_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the verb."""
    parser.add_argument("reference", metavar="REFERENCE", help="HOST/NAME:TAG or @sha256:...")
    parser.add_argument(
        "--to", type=Path, required=True, metavar="FOLDER", help="the folder; made where need be"
    )
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Save.

    Raises:
        ImagekitError: the registry does not answer, or the folder cannot be written.
    """
    from imagekit.oci.location import parse_located
    from imagekit.policy.findings import plain
    from imagekit.verify.save import save_evidence

    wanted = parse_located(arguments.reference)
    saved = save_evidence(
        wanted,
        arguments.to,
        options=registry_of(arguments),
    )
    console.note(f"  {saved.signatures} signatures and attestations in {arguments.to}")
    for text in (*(note.message for note in saved.notes), *saved.unread):
        console.note(f"  {console.paint('!', 'warn')} not as it should be: {plain(text)}")
    shown = wanted.location.shown(str(saved.reference))
    console.result(
        shown,
        {
            "schema": 1,
            "reference": shown,
            "digest": str(saved.reference.digest),
            "folder": str(arguments.to),
            "signatures": saved.signatures,
            "notes": [plain(text) for text in (*(n.message for n in saved.notes), *saved.unread)],
        },
    )
    return 0
