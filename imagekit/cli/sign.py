"""Sign an image that something else built, by its digest, in both forms that verifiers read.

  imagekit sign registry.example.org/apps/solver:2.1 --key imagekit.key
  imagekit sign oci:images:apps/solver:2.1 --key imagekit.key --sbom
  imagekit sign registry.example.org/apps/solver:2.1 --keyless

By a tag, it is signed for that tag; by a digest, for its repository. Of an index, the index and
the image of every platform are signed. What the key has signed already is not signed again.
"""

import argparse

from imagekit.cli.console import Console
from imagekit.cli.options import add_registry_options, add_signer_options, signer_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the command."""
    parser.add_argument("reference", metavar="REFERENCE", help="the image to sign")
    parser.add_argument(
        "--sbom", action="store_true", help="make the image's SBOM, attach it and attest to it"
    )
    add_signer_options(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Sign.

    Raises:
        ImagekitError: the key does not open, or the image cannot be read or signed.
    """
    from imagekit.model.reference import parse_reference
    from imagekit.model.registry import RegistryOptions
    from imagekit.pipeline.sign import sign_reference

    done = sign_reference(
        parse_reference(arguments.reference),
        signer=signer_of(arguments),
        options=RegistryOptions(plain_http=arguments.plain_http, ca_file=arguments.ca_file),
        sbom=arguments.sbom,
        progress=console.progress,
    )
    console.result(
        str(done.reference),
        {
            "schema": 1,
            "reference": str(done.reference),
            "digest": str(done.reference.digest),
            "attached": [
                {
                    "image": str(target.digest),
                    "what": one.what,
                    "digest": str(one.reference.digest),
                    "new": one.new,
                }
                for target, one in done.attached
            ],
        },
    )
    return 0
