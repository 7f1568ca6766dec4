"""Verify an image, then pull it by its digest into Podman's storage.

  imagekit pull registry.example.org/apps/solver:2.1 --policy /etc/imagekit/policy.yaml

Ends with 3, and pulls nothing, where the policy says no.
"""

import argparse
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_policy_option,
    add_registry_options,
    memory_of,
    policy_of,
    registry_of,
)
from imagekit.errors import DeniedError
from imagekit.oci.location import LocatedReference, Location
from imagekit.oci.reference import Reference
from imagekit.verify.verdict import Judge, Verdict

if TYPE_CHECKING:
    from imagekit.build.tools.podman import Podman
    from imagekit.needs.compare import FindLacks


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "reference",
        metavar="REFERENCE",
        help="HOST/NAME:TAG, HOST/NAME@sha256:... or oci:FOLDER:NAME:TAG",
    )
    add_policy_option(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Verify and pull."""
    from imagekit.hosts.podman_setup import podman
    from imagekit.hosts.run import pull
    from imagekit.oci.location import parse_located
    from imagekit.verify.verdict_text import document, text

    wanted = parse_located(arguments.reference)
    registry = registry_of(arguments).of(wanted.reference.repository.host)

    def show(verdict: Verdict) -> None:
        if verdict.allowed:
            console.note(text(verdict))

    def make_podman() -> "Podman":
        return podman(
            registry,
            location=wanted.location,
            network="",
            progress=console.progress,
            draws_on=console.drawable,
        )

    judge = make_judge(arguments, wanted.location)
    pulled = pull(wanted.reference, judge=judge, make_podman=make_podman, show=show)
    report = dict(document(pulled.verdict))
    if pulled.reference is None:
        console.result(text(pulled.verdict), report)
        return DeniedError.exit_code
    console.result(wanted.location.shown(str(pulled.reference)), report | {"image": pulled.image})
    return 0


def make_judge(
    arguments: argparse.Namespace, location: Location, *, find_lacks: "FindLacks | None" = None
) -> Judge:
    """Return what judges an image of the location by the policy of the command line.

    Args:
        arguments: of the command line.
        location: where the image is.
        find_lacks: compares this node, where it is to run the image.

    Raises:
        PolicyError: the policy cannot be accepted.
    """
    from imagekit.verify.verify import verify

    memory = memory_of(arguments)
    policy = policy_of(arguments, memory=memory)
    options = registry_of(arguments)

    def judge(reference: Reference) -> Verdict:
        located = LocatedReference(location, reference)
        return verify(located, policy=policy, options=options, memory=memory, find_lacks=find_lacks)

    return judge
