"""Build, test, push, attest, sign and verify recipes, and only then write their tags.

Prints the pinned reference of each image, and nothing else, on stdout:

  imagekit publish recipes/hello-mpi --to registry.example.org/apps --key imagekit.key
  imagekit publish recipes/* --to oci:images --key imagekit.key
  imagekit publish recipes/hello-mpi --to registry.example.org/apps --keyless

It may be run again at any time: what is there already is not done twice, and what a killed run
left out is completed. A version that was published from another state of the recipe is refused, and
so is the slower of two that publish it at the same time (exit 2): its image gets no tag.

--ca-file is for the registries of base images, too. So is --plain-http where the destination needs
no such option (oci:FOLDER, a registry on loopback); else it is for the destination's registry only.
"""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.commands.build import add_build_options, bases_of, build_options, tell_bases
from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_registry_options,
    add_signer_options,
    configured,
    needed,
    recipes_of,
    registry_of,
    signer_of,
)
from imagekit.oci.hostname import is_loopback
from imagekit.publish.published import PublishedImage

if TYPE_CHECKING:
    from imagekit.oci.destination import Destination


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("recipe", type=Path, nargs="+", metavar="RECIPE", help="folders or files")
    parser.add_argument(
        "--to",
        metavar="DESTINATION",
        help="HOST[:PORT]/PREFIX, or oci:FOLDER for an OCI image layout on disk",
    )
    parser.add_argument(
        "--as",
        dest="alias",
        default="",
        metavar="HOST/PREFIX",
        help="with oci:FOLDER, the registry that the layout will be copied to: images are "
        "signed for names there",
    )
    parser.add_argument(
        "--builder", default="", metavar="URI", help="the builder that the provenance names"
    )
    add_signer_options(parser)
    add_build_options(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Publish every recipe, in the order given."""
    from imagekit.oci.destination import Destination
    from imagekit.publish.publish import PublishOptions, publish

    destination = Destination.parse(
        needed(arguments, "to", metavar="DESTINATION"), alias=configured(arguments, "as") or ""
    )
    # All recipes are read before the first is built: a fault in the last one costs no hour.
    tree = recipes_of(arguments)
    recipes = [tree.load(path) for path in arguments.recipe]
    bases = {recipe.file: bases_of(recipe, tree) for recipe in recipes}
    signer = signer_of(arguments)
    options = PublishOptions(
        registry=registry_of(arguments),
        build=build_options(
            arguments,
            tree,
            registry_of(arguments, plain_hosts=_plain_hosts(destination)),
            progress=console.progress,
        ),
        builder=configured(arguments, "builder") or "",
    )
    done: list[dict[str, object]] = []
    # Whatever ends this run: what was published before stays published, and is in the document.
    console.partial = {"published": done}
    for recipe in recipes:
        began = time.monotonic()
        console.note(f"  {recipe.name} {recipe.version}")
        tell_bases(bases[recipe.file], console)
        done.append({"name": recipe.name, "version": recipe.version, "status": "failed"})
        image = publish(
            recipe, to=destination, signer=signer, progress=console.progress, options=options
        )
        done[-1] = _document(image, bases[recipe.file])
        if not console.json:
            console.result(_shown(image), {})
        console.note(f"  {image.status} in {time.monotonic() - began:.1f} s")
    if console.json:
        console.result("", {"schema": 1, "published": done})
    return 0


def _plain_hosts(destination: "Destination") -> frozenset[str] | None:
    """Return the registries of base images that ``--plain-http`` is for; None for all."""
    needless = not destination.location.is_remote or is_loopback(destination.host)
    return None if needless else frozenset({destination.host})


def _shown(image: PublishedImage) -> str:
    return image.location.shown(str(image.reference))


def _document(image: PublishedImage, bases: list[dict[str, str]]) -> dict[str, object]:
    return {
        "name": image.name,
        "version": image.version,
        "reference": _shown(image),
        "digest": str(image.reference.digest),
        "tags": list(image.tags),
        "status": image.status,
        "written": list(image.written),
        "bases": bases,
    }
