"""Write a policy: complete, strict and commented, with the public key inside.

  imagekit policy new --image 'registry.example.org/apps/**' --key imagekit.pub
  imagekit policy new --image 'localhost/**' --key imagekit.pub --require cyclonedx > site.yaml
  imagekit policy new --image 'a.example/**' --image 'b.example/**' --key imagekit.pub

It is printed on stdout; put it into a file and give that to `imagekit verify --policy`.
"""

import argparse
from pathlib import Path

from imagekit.cli.console import Console


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the command."""
    parser.add_argument(
        "--image",
        required=True,
        action="append",
        metavar="GLOB",
        help="repositories: `*` within a component, `**` for several; quote it for the shell; "
        "may be repeated, for a rule each",
    )
    parser.add_argument(
        "--key", type=Path, required=True, metavar="PUBLIC", help="public key that must have signed"
    )
    parser.add_argument(
        "--require",
        default="",
        metavar="TYPES",
        help="attestations that must be there: cyclonedx, slsaprovenance1 or URIs, by commas",
    )
    parser.add_argument("--name", default="site", help="name of the policy (default: site)")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the policy."""
    from datetime import UTC, datetime

    from imagekit.policy.load import parse_policy
    from imagekit.policy.new import new_policy
    from imagekit.signatures.keys.key_files import read_public_key

    key = read_public_key(arguments.key)
    require = [word.strip() for word in arguments.require.split(",") if word.strip()]
    text = new_policy(
        arguments.image[0],
        key,
        now=datetime.now(UTC),
        more=arguments.image[1:],
        require=require,
        name=arguments.name,
    )
    policy = parse_policy(text.encode(), file="the new policy")
    console.copied(
        text,
        {
            "schema": 1,
            "name": policy.name,
            "version": policy.version,
            "expires": policy.expires.isoformat(),
            "policy": text,
        },
    )
    return 0
