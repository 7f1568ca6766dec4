"""Policies: write, check, test, explain and sign them.

  imagekit policy new --image 'registry.example.org/apps/**' --key imagekit.pub > site.yaml
  imagekit policy lint site.yaml                      every fault, and what is easily overlooked
  imagekit policy test cases.yaml                     a table of images and the verdicts they get
  imagekit policy save REFERENCE --to evidence        an image's signatures, for such a table
  imagekit policy explain REFERENCE --policy site.yaml     every check, and why it ends as it does
  imagekit policy sign site.yaml --key admin.key      for verifiers that take signed policies only

`imagekit policy VERB --help` explains each of them. docs/policy-commands.md shows them at work.
"""

import argparse

from imagekit.cli.console import Console
from imagekit.cli.verbs import add_verbs, run_verb

VERBS = {
    "new": "print a policy for the images of a glob",
    "lint": "check policies and show every fault with its place",
    "test": "test policies by tables of cases",
    "save": "save an image's signatures, for such tables",
    "explain": "show every check of an image, and why it ends as it does",
    "export": "write a policy for Podman and its relatives, or as a page",
    "sign": "sign a policy, for verifiers that obey signed ones only",
}
"""Each verb has a module of its own, ``policy_VERB``, with ``configure`` and ``run``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the command."""
    add_verbs(parser, "policy", VERBS)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    return run_verb("policy", arguments, console)
