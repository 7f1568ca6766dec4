"""Judge an image by a policy: who signed it, for which name, and what is attested of it.

  imagekit verify registry.example.org/apps/solver:2.1 --policy policies/production.yaml
  imagekit verify oci:FOLDER:solver:2.1 --policy site.yaml --json

Ends with 0 where the policy allows the image, with 3 where it does not, and with 6 where no
verdict could be reached. Nothing is pulled.
"""

import argparse

from imagekit.cli.console import Console
from imagekit.cli.options import add_policy_option, add_registry_options
from imagekit.errors import DeniedError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the command."""
    parser.add_argument(
        "reference",
        metavar="REFERENCE",
        help="HOST/NAME:TAG, HOST/NAME@sha256:... or oci:FOLDER:NAME:TAG",
    )
    add_policy_option(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the verdict."""
    from imagekit.model.reference import parse_reference
    from imagekit.model.registry import RegistryOptions
    from imagekit.pipeline.verify import verify
    from imagekit.verify.explain import document, text
    from imagekit.verify.load import load_policy

    reference = parse_reference(arguments.reference)
    policy = load_policy(arguments.policy)
    options = RegistryOptions(plain_http=arguments.plain_http, ca_file=arguments.ca_file)
    verdict = verify(reference, policy=policy, options=options)
    console.result(text(verdict), document(verdict))
    return 0 if verdict.allowed else DeniedError.exit_code
