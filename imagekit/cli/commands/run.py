"""Verify an image, then run it by its digest with Podman.

  imagekit run registry.example.org/apps/solver:2.1 --policy /etc/imagekit/policy.yaml
  imagekit run oci:images:hello-mpi:1.2.0 --policy policy.yaml -- -n 4 hello-mpi
  imagekit run --staged /srv/images/solver --policy /etc/imagekit/nodes.yaml

What stands behind `--` goes to the image's entrypoint. The root of the container is read-only and
/tmp is its own; it is gone when it ends. With --staged the receipt is checked, offline, and what
was staged there runs. Ends with 3, and starts nothing, where the policy says no; else with the
container's own exit code. One of several tasks of srun or mpirun is refused: MPI could not find
the others.
"""

import argparse
import os
from pathlib import Path

from imagekit.cli.commands.pull import make_judge, make_podman
from imagekit.cli.console import Console
from imagekit.cli.options import add_policy_option, add_registry_options, policy_of
from imagekit.errors import DeniedError, UsageError
from imagekit.verify.verdict import Verdict


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "reference",
        nargs="?",
        default="",
        metavar="REFERENCE",
        help="HOST/NAME:TAG, HOST/NAME@sha256:... or oci:FOLDER:NAME:TAG",
    )
    parser.add_argument(
        "--staged",
        type=Path,
        metavar="PATH",
        help="run what imagekit stage wrote there: podman-store, oci or bundle; REFERENCE says "
        "which image it must be, and is needed where a store has several",
    )
    parser.add_argument(
        "--network",
        default="host",
        metavar="MODE",
        help="the container's network, as Podman's --network has it: host (the default, as "
        "Apptainer does, so that MPI reaches other nodes), none, ...",
    )
    add_policy_option(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Verify and run."""
    from imagekit.hosts.tasks import refuse_tasks

    refuse_tasks(os.environ)
    if arguments.staged is not None:
        return _staged(arguments, console)
    if not arguments.reference:
        raise UsageError("no image is named", hint="name a REFERENCE, or what is --staged")
    from imagekit.hosts.run import run as run_verified
    from imagekit.oci.location import parse_located
    from imagekit.verify.verdict_text import document, text

    def show(verdict: Verdict) -> None:
        if not verdict.allowed:
            console.result(text(verdict), document(verdict))
        elif console.verbose:
            console.note(text(verdict))

    wanted = parse_located(arguments.reference)
    ran = run_verified(
        wanted.reference,
        arguments.passed,
        judge=make_judge(arguments, wanted.location),
        podman=make_podman(arguments, console, wanted.location, network=arguments.network),
        show=show,
    )
    return DeniedError.exit_code if ran.status is None else ran.status


def _staged(arguments: argparse.Namespace, console: Console) -> int:
    from imagekit.hosts.podman_setup import podman
    from imagekit.hosts.run_staged import run_staged
    from imagekit.oci.location import parse_located
    from imagekit.oci.registry.options import RegistryOptions
    from imagekit.offline.check_receipt import Asked, check
    from imagekit.verify.verdict_text import document, text

    # What is staged is compared by name, wherever it came from.
    wanted = parse_located(arguments.reference).reference if arguments.reference else None
    policy = policy_of(arguments)
    checked = check(arguments.staged, policy=policy, asked=Asked(reference=wanted))
    if len(checked) != 1:
        raise UsageError(
            f"{arguments.staged} holds {len(checked)} images",
            hint=f"say which: imagekit run REFERENCE --staged {arguments.staged} ...",
        )
    verdict = checked[0].verdict
    if not verdict.allowed:
        console.result(text(verdict), document(verdict))
        return DeniedError.exit_code
    if console.verbose:
        console.note(text(verdict))
    runtime = podman(RegistryOptions(), network=arguments.network, progress=console.progress)
    return run_staged(checked[0], arguments.passed, podman=runtime)
