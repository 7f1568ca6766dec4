"""Build, test, push, attest, sign and verify recipes, and only then write their tags.

Prints the pinned reference of each image, and nothing else, on stdout:

  imagekit publish recipes/hello-mpi --to registry.example.org/apps --key imagekit.key
  imagekit publish recipes/* --to oci:images --key imagekit.key
  imagekit publish recipes/hello-mpi --to registry.example.org/apps --keyless

It may be run again at any time: what is there already is not done twice, and what a killed run
left out is completed. A version that was published from another state of the recipe is refused.
"""

import argparse
import time
from pathlib import Path

from imagekit.cli.build import add_build_options, bases_of, tell_bases
from imagekit.cli.console import Console
from imagekit.cli.options import add_registry_options, add_signer_options, signer_of
from imagekit.model.published import PublishedImage


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("recipe", type=Path, nargs="+", metavar="RECIPE", help="folders or files")
    parser.add_argument(
        "--to",
        required=True,
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
        "--builder", default="", metavar="URI", help="who the provenance names as the builder"
    )
    add_signer_options(parser)
    add_build_options(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Publish every recipe, in the order given."""
    from imagekit.model.reference import Destination
    from imagekit.model.registry import RegistryOptions
    from imagekit.pipeline.build import BuildOptions
    from imagekit.pipeline.publish import PublishOptions, publish
    from imagekit.recipe import Recipes

    destination = Destination.parse(arguments.to, alias=arguments.alias)
    # All recipes are read before the first is built: a fault in the last one costs no hour.
    tree = Recipes(arguments.recipes)
    recipes = [tree.load(path) for path in arguments.recipe]
    bases = {recipe.file: bases_of(recipe, tree) for recipe in recipes}
    signer = signer_of(arguments)
    options = PublishOptions(
        registry=RegistryOptions(plain_http=arguments.plain_http, ca_file=arguments.ca_file),
        build=BuildOptions(
            test=not arguments.no_test, use_cache=not arguments.no_cache, recipes=tree
        ),
        builder=arguments.builder,
    )
    done: list[dict[str, object]] = []
    # Whatever ends this run: what was published before is published, and the document says so.
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
            console.result(str(image.reference), {})
        console.note(f"  {image.status} in {time.monotonic() - began:.1f} s")
    if console.json:
        console.result("", {"schema": 1, "published": done})
    return 0


def _document(image: PublishedImage, bases: list[dict[str, str]]) -> dict[str, object]:
    return {
        "name": image.name,
        "version": image.version,
        "reference": str(image.reference),
        "digest": str(image.reference.digest),
        "tags": list(image.tags),
        "status": image.status,
        "written": list(image.written),
        "bases": bases,
    }
