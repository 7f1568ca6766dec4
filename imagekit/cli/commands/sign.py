r"""Sign an image that something else built, by its digest, in both forms that verifiers read.

  imagekit sign registry.example.org/apps/solver:2.1 --key imagekit.key
  imagekit sign oci:images:apps/solver:2.1 --key imagekit.key --sbom
  imagekit sign registry.example.org/apps/solver:2.1 --keyless
  imagekit sign registry.example.org/apps/solver:2.1 --key imagekit.key --provenance \
      --builder https://ci.example.org --material https://git.example.org/solver@sha256:...

By a tag, it is signed for that tag; by a digest, for its repository. Of an index, the index and
the image of every platform are signed. What the key has signed already is not signed again.
"""

import argparse
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.options import add_registry_options, add_signer_options, registry_of, signer_of
from imagekit.errors import UsageError

if TYPE_CHECKING:
    from imagekit.build.image import Material
    from imagekit.sign.provenance import Stated


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the command."""
    parser.add_argument("reference", metavar="REFERENCE", help="the image to sign")
    parser.add_argument(
        "--sbom", action="store_true", help="make the image's SBOM, attach it and attest to it"
    )
    parser.add_argument(
        "--provenance",
        action="store_true",
        help="attest how it was built as you state it, marked so: by --builder, from --material",
    )
    parser.add_argument("--builder", default="", metavar="URI", help="what built the image")
    parser.add_argument(
        "--material",
        action="append",
        default=[],
        metavar="URI[@DIGEST]",
        help="what it was built from; may be repeated",
    )
    add_signer_options(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Sign.

    Raises:
        UsageError: the provenance has no builder, or a builder is named for none.
        ImagekitError: the key does not open, or the image cannot be read or signed.
    """
    from imagekit.oci.location import parse_located
    from imagekit.sign.sign import sign_reference

    stated = _stated(arguments)
    wanted = parse_located(arguments.reference)
    done = sign_reference(
        wanted,
        signer=signer_of(arguments),
        options=registry_of(arguments),
        sbom=arguments.sbom,
        stated=stated,
        progress=console.progress,
    )
    shown = wanted.location.shown(str(done.reference))
    console.result(
        shown,
        {
            "schema": 1,
            "reference": shown,
            "digest": str(done.reference.digest),
            "attached": [
                {
                    "image": str(target.digest),
                    "what": artifact.kind,
                    "digest": str(artifact.reference.digest),
                    "new": artifact.new,
                }
                for target, artifact in done.attached
            ],
        },
    )
    return 0


def _stated(arguments: argparse.Namespace) -> "Stated | None":
    if not arguments.provenance:
        if arguments.builder or arguments.material:
            raise UsageError("--builder and --material belong to --provenance", hint="add it")
        return None
    if not arguments.builder:
        raise UsageError("--provenance needs --builder URI", hint="say what built the image")
    from imagekit.sign.provenance import Stated

    for uri in (arguments.builder, *arguments.material):
        if ":" not in uri or not uri.isprintable() or " " in uri:
            raise UsageError(f"{uri!r:.120} is not a URI", hint="write SCHEME:..., such as https:")
    return Stated(
        builder=arguments.builder,
        materials=tuple(_material(text) for text in arguments.material),
    )


def _material(text: str) -> "Material":
    from imagekit.build.image import Material
    from imagekit.oci.digest import Digest

    uri, at, digest = text.rpartition("@")
    if not at or not digest.startswith("sha256:"):
        return Material(uri=text)
    return Material(uri=uri, digest=Digest.parse(digest))
