"""Write, show and compare what images are made of.

  imagekit sbom registry.example.org/apps/solver:2.1         the document, on stdout
  imagekit sbom oci:images:apps/solver:2.1 -o solver.cdx.json
  imagekit sbom show solver.cdx.json --by licence
  imagekit sbom diff registry.example.org/apps/solver:2.0 registry.example.org/apps/solver:2.1

Without a verb it is `write`. `imagekit sbom VERB --help` explains each of them.
"""

import argparse

from imagekit.cli.console import Console
from imagekit.cli.verbs import add_verbs, run_verb

DEFAULT_VERB = "write"
VERBS = {
    DEFAULT_VERB: "write the SBOM of an image or folder, as CycloneDX or SPDX",
    "show": "show what an SBOM, image or folder lists",
    "diff": "show what differs between two of them",
}
"""Each verb has a module of its own, ``sbom_VERB``, with ``configure`` and ``run``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the command."""
    add_verbs(parser, "sbom", VERBS)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    return run_verb("sbom", arguments, console)
