"""The commands of ``imagekit``, and what ``imagekit --help`` prints."""

import os
import sys
from contextlib import suppress

COMMANDS = {
    "new": "write a new recipe that builds, with a test",
    "lint": "check recipes and show every fault with its place",
    "lock": "write which packages a recipe is made of, and review that",
    "plan": "show what building a recipe would do; nothing is done",
    "graph": "show what recipes stand on, and in which order they are built",
    "build": "build a recipe into the local image store",
    "cache": "keep the packages of locks in a registry, or take them from there",
    "shell": "open a shell in the working container of a recipe",
    "logs": "show the log of the last build",
    "images": "list the images of the local image store",
    "prune": "remove old images, layers, logs and downloads of builds",
    "sbom": "write, show and compare what images are made of",
    "check": "show what keeps an image from being self-contained",
    "scan": "find known vulnerabilities of an image, or of a whole registry",
    "publish": "build, test, push, attest, sign, verify, and only then tag",
    "ci": "let GitHub, GitLab, Slurm or Kubernetes publish many recipes",
    "rebuild": "build a published image again, and show whether it is the same",
    "sign": "sign an image that something else built",
    "withdraw": "sign that an image must not be used any more",
    "verify": "judge an image by a policy",
    "pull": "verify, then pull by digest into Podman's storage",
    "run": "verify, then run by digest, by Podman, Docker, Apptainer",
    "gate": "serve only images that a policy allows, in front of a registry",
    "webhook": "answer Kubernetes whether an object's images may run",
    "export": "verify, then write image, proofs and policy into one file",
    "import": "verify an exported file, then place the image",
    "stage": "verify, then lay out for nodes without a registry, with a receipt",
    "receipt": "check what was staged by its receipt, offline",
    "verifier": "answer containerd: its image verifier plugin",
    "authz-docker": "answer Docker: its authorization plugin",
    "oci-hook": "answer Podman before a container starts: an OCI hook",
    "inspect": "show what an image is, who signed it and what it is made of",
    "key": "generate and show signing keys",
    "policy": "write, check, test, explain and sign policies",
    "config": "show the settings that hold, and which variable or file says them",
    "completion": "print the completion script of bash, zsh or fish",
    "man": "print a man page, or write all of them",
    "schema": "print the JSON Schema of recipes, policies and their like",
    "node": "compare this node with what an image needs of it",
    "trust": "send this host's engines to the gate, and undo that",
    "doctor": "show what this host can do, and the remedy for what it cannot",
}

HELP_WORDS = frozenset({"--help", "-h"})
_WIDTH = 80
_ROWS = "\n".join(f"  {name:<12} {text}" for name, text in COMMANDS.items())
_HELP = f"""\
usage: imagekit COMMAND [OPTIONS] ...

Recipes to self-contained OCI images: built by Buildah, with SBOM and
signatures, verified before any runtime pulls them.

commands:
{_ROWS}

options:
  -h, --help  show this help message and exit
  --version   print the version

exit codes:
  0    done
  1    fault of imagekit
  2    bad recipe, policy, key or reference
  3    denied by the policy
  4    published image failed its own verification; lock --check: newer packages;
       check, scan --fail-on: something was found
  5    bytes differ from their digest
  6    a tool or registry failed
  64   wrong usage
  130  interrupted
  141  the output was closed before its end

`imagekit help COMMAND` explains a command, with examples.
"""


def print_help() -> None:
    """Print the help.

    Raises:
        OSError: stdout cannot be written.
    """
    sys.stdout.write(_fit(_HELP))
    sys.stdout.flush()


def _fit(text: str) -> str:
    """Return the text as it fits the terminal, if it goes to one that is narrow."""
    columns = 0
    with suppress(OSError, ValueError):
        # What is no terminal has no size.
        columns = os.get_terminal_size(sys.stdout.fileno()).columns
    if not 0 < columns < _WIDTH:
        return text
    from imagekit.cli.wrap import wrapped

    return wrapped(text, columns)
