"""Build a recipe, run its tests, and put the image into the local image store.

Prints the image's reference, which every other command takes:

  imagekit build recipes/hello-mpi
  imagekit inspect "$(imagekit build recipes/hello-mpi --quiet)"
"""

import argparse
import time
from pathlib import Path

from imagekit.cli.console import Console


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a recipe's folder or file")
    add_build_options(parser)


def add_build_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that build and publish share."""
    group = parser.add_argument_group("build")
    group.add_argument("--no-test", action="store_true", help="do not run the recipe's tests")
    group.add_argument(
        "--no-cache", action="store_true", help="make every layer anew, whatever was made before"
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Build and print the reference."""
    from imagekit.pipeline.build import BuildOptions, build
    from imagekit.recipe import load

    began = time.monotonic()
    recipe = load(arguments.recipe)
    console.note(f"  {recipe.name} {recipe.version}")
    options = BuildOptions(test=not arguments.no_test, use_cache=not arguments.no_cache)
    image = build(recipe, progress=console.progress, options=options)
    reference = f"oci:{image.layout}:{image.name}@{image.manifest.digest}"
    console.result(
        reference,
        {
            "schema": 1,
            "reference": reference,
            "name": image.name,
            "version": image.version,
            "digest": str(image.manifest.digest),
            "platform": str(image.platform),
            "tested": options.test and bool(recipe.tests),
            "layers": [
                {
                    "digest": str(layer.descriptor.digest),
                    "diff_id": str(layer.diff_id),
                    "size": layer.descriptor.size,
                    "origin": str(layer.origin),
                }
                for layer in image.layers
            ],
            "seconds": round(time.monotonic() - began, 1),
        },
    )
    return 0
