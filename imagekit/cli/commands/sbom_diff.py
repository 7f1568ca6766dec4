"""Show what differs between two SBOMs, images or folders.

  imagekit sbom diff registry.example.org/apps/solver:2.0 registry.example.org/apps/solver:2.1
  imagekit sbom diff old.cdx.json new.cdx.json --format markdown

What was added, removed or changed, with versions and licences, by type and by the part of the
recipe that it came in by. A file is CycloneDX in JSON, of this or of any other tool; two tools may
find different things in one image, and this shows that, too.
"""

import argparse

from imagekit.cli.console import Console
from imagekit.cli.sbom_source import LISTED_HELP, LISTED_WORD, add_source_options, listed

_FORMATS = ("text", "markdown", "json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the verb."""
    for name in ("before", "after"):
        parser.add_argument(name, metavar=LISTED_WORD, help=f"{LISTED_HELP}: {name}")
    parser.add_argument(
        "--format", choices=_FORMATS, default=_FORMATS[0], help="how it is shown (default: text)"
    )
    add_source_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Compare them.

    Raises:
        ImagekitError: one of them cannot be read.
    """
    from imagekit.sbom.sbom_diff import diff_document, diff_markdown, diff_sboms, diff_text

    console.json = console.json or arguments.format == "json"
    before, after = (
        listed(text, arguments, console) for text in (arguments.before, arguments.after)
    )
    diff = diff_sboms(before, after)
    text = diff_markdown(diff) if arguments.format == "markdown" else diff_text(diff)
    console.copied(f"{text}\n", diff_document(diff))
    return 0
