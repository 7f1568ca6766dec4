"""Show what an SBOM, an image or a folder lists.

  imagekit sbom show solver.cdx.json                     a table
  imagekit sbom show registry.example.org/apps/solver:2.1 --by licence
  imagekit sbom show /srv/rootfs --by tree               what needs what

A file is CycloneDX in JSON, of this or of any other tool.
"""

import argparse
import sys

from imagekit.cli.console import Console
from imagekit.cli.sbom_source import LISTED_HELP, LISTED_WORD, add_source_options, listed

_VIEWS = ("table", "licence", "origin", "tree")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the verb."""
    parser.add_argument("image", metavar=LISTED_WORD, help=LISTED_HELP)
    parser.add_argument(
        "--by",
        choices=_VIEWS,
        default=_VIEWS[0],
        help="a table (default), by licence, by part of the recipe, or as a tree of needs",
    )
    add_source_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Show it.

    Raises:
        ImagekitError: it cannot be read.
    """
    from imagekit.cli.table import table
    from imagekit.sbom import sbom_views as views

    sbom = listed(arguments.image, arguments, console)
    document = {
        "schema": 1,
        "subject": sbom.title,
        "components": [
            {
                "type": each.type,
                "name": each.name,
                "version": each.version,
                "licences": list(each.licences),
                "origin": each.step or None,
            }
            for each in sbom.components
        ],
    }
    match arguments.by:
        case "licence":
            text = "\n".join(views.group_lines(views.by_licence(sbom)))
        case "origin":
            text = "\n".join(views.group_lines(views.by_origin(sbom)))
        case "tree":
            text = "\n".join(views.tree_lines(sbom))
        case _:
            text = table(views.HEADS, list(views.rows(sbom)), terminal=sys.stdout.isatty())
    if text or console.json:
        console.copied(f"{text}\n", document)
    else:
        console.note(f"{sbom.title}: no components")
    return 0
