"""Check what was staged by its receipt: offline, and before it runs.

  imagekit receipt check /srv/images/solver --policy /etc/imagekit/nodes.yaml
  imagekit receipt check /srv/images/solver.sqsh --policy nodes.yaml --reference HOST/solver:2.1
  imagekit receipt check /srv/images/store --policy nodes.yaml     (all images of a Podman store)
  imagekit receipt guard BUNDLE --policy nodes.yaml     (in oci.conf of Slurm: docs/slurm.md)

The policy of nodes says whose receipts count:

  images:
    - match: {glob: "registry.example.org/apps/**"}
      proof: vsa
      authorities: [{name: staging, key: {path: staging.pub}}]
      vsa: {verifierIds: ["urn:imagekit:stage"], maxAge: 30d}

Ends with 0 where everything is in order, with 3 where it is not, and with 2, 5 or 6 where there is
no receipt or it cannot be read: nothing may run then.
"""

import argparse
from pathlib import Path

from imagekit.cli.console import Console
from imagekit.cli.options import add_policy_option, policy_of
from imagekit.errors import DeniedError, InputError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "action",
        choices=("check", "guard"),
        help="check: judge what is staged; guard: what a workload manager made of it for a job",
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="what imagekit stage wrote to")
    parser.add_argument(
        "--reference", default="", metavar="REFERENCE", help="the image that it must be"
    )
    parser.add_argument(
        "--owner",
        action="append",
        default=[],
        metavar="USER",
        help="who else may own what is staged, besides root and the calling user",
    )
    parser.add_argument(
        "--read-all",
        action="store_true",
        help="read a squashfs or SIF file also where this node has read it, as it is, before",
    )
    add_policy_option(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Check."""
    from imagekit.oci.location import parse_located
    from imagekit.offline.check_bundle import guard
    from imagekit.offline.check_receipt import Asked, Checked, check
    from imagekit.offline.checked_files import CheckedFiles
    from imagekit.verify.verdict_text import document, text

    policy = policy_of(arguments)
    reference = parse_located(arguments.reference).reference if arguments.reference else None
    owners = frozenset(_user(name) for name in arguments.owner)
    files = None if arguments.read_all else CheckedFiles.of_this_user()
    asked = Asked(reference=reference, owners=owners, files=files)
    checked: tuple[Checked, ...]
    if arguments.action == "guard":
        checked = (guard(arguments.path, policy=policy, asked=asked),)
    else:
        checked = check(arguments.path, policy=policy, asked=asked)
    good = all(image.verdict.allowed for image in checked)
    console.result(
        "\n".join(text(image.verdict) for image in checked),
        {
            "schema": 1,
            "decision": "allow" if good else "deny",
            "path": str(arguments.path),
            "images": [
                dict(document(image.verdict)) | {"kind": str(image.kind), "image": image.image}
                for image in checked
            ],
        },
    )
    return 0 if good else DeniedError.exit_code


def _user(name: str) -> int:
    import pwd

    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError as error:
        raise InputError(f"there is no user {name!r} here") from error
