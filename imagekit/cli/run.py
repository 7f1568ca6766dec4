"""Verify an image, then run it by its digest with Podman.

  imagekit run registry.example.org/apps/solver:2.1 --policy /etc/imagekit/policy.yaml
  imagekit run oci:images:hello-mpi:1.2.0 --policy policy.yaml -- -n 4 hello-mpi

What stands behind `--` goes to the image's entrypoint. The root of the container is read-only and
/tmp is its own; it is gone when it ends. Ends with 3, and starts nothing, where the policy says no;
else with the container's own exit code.
"""

import argparse

from imagekit.cli.console import Console
from imagekit.cli.options import add_policy_option, add_registry_options
from imagekit.cli.pull import make_judge, make_runtime
from imagekit.errors import DeniedError
from imagekit.model.verdict import Verdict


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "reference",
        metavar="REFERENCE",
        help="HOST/NAME:TAG, HOST/NAME@sha256:... or oci:FOLDER:NAME:TAG",
    )
    parser.add_argument(
        "--network",
        default="host",
        metavar="MODE",
        help="what the container sees of the network, in Podman's words: host (the default, as "
        "Apptainer does, so that MPI reaches other nodes), none, ...",
    )
    add_policy_option(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Verify and run."""
    from imagekit.model.reference import parse_reference
    from imagekit.pipeline.run import run as run_verified
    from imagekit.verify.explain import document, text

    def show(verdict: Verdict) -> None:
        if not verdict.allowed:
            console.result(text(verdict), document(verdict))
        elif console.verbose:
            console.note(text(verdict))

    ran = run_verified(
        parse_reference(arguments.reference),
        arguments.passed,
        judge=make_judge(arguments),
        runtime=make_runtime(arguments, console, network=arguments.network),
        show=show,
    )
    return DeniedError.exit_code if ran.status is None else ran.status
