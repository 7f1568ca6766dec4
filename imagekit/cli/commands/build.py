"""Build recipes, run their tests, and put the images into the local image store.

Where the image contradicts what the recipe says of its `needs`, that is an error, too.

Prints the image's reference, which every other command takes:

  imagekit build recipes/hello-mpi
  imagekit inspect "$(imagekit build recipes/hello-mpi --quiet)"
  imagekit build recipes/ --changed-since main
  imagekit build recipes/hello --platform linux/arm64

Many recipes are built as `publish` does it: several at once, each when what it stands on is built.

--plain-http and --ca-file are for the registries of base images.
"""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from imagekit.cli.base_lines import bases_of, tell_bases
from imagekit.cli.console import Console
from imagekit.cli.graph_options import (
    add_graph_options,
    add_jobs,
    graph_for,
    jobs_of,
    tell_nothing,
    tell_why,
)
from imagekit.cli.options import (
    add_cache_from,
    add_lock_options,
    add_mirrors,
    add_recipes,
    add_registry_options,
    cache_from,
    configured,
    destination_of,
    lock_wish,
    mirrors_of,
    platform_of,
    recipes_of,
    registry_of,
)
from imagekit.oci.registry.options import RegistryOptions
from imagekit.recipe.recipe import BootstrapBase, Recipe, ScratchBase

if TYPE_CHECKING:
    from collections.abc import Callable

    from imagekit.build.build import BuildOptions
    from imagekit.cli.outcomes import RecipeResult
    from imagekit.oci.digest import Digest
    from imagekit.progress import Progress
    from imagekit.recipe import Recipes


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "recipe", type=Path, nargs="+", metavar="RECIPE", help="recipes, or folders of recipes"
    )
    add_jobs(add_graph_options(parser))
    add_build_options(parser)
    parser.add_argument(
        "--platform",
        metavar="OS/ARCHITECTURE",
        help="build for this platform, such as linux/arm64: emulated where it is not the host's",
    )
    add_registry_options(parser)


def add_build_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that build and publish share."""
    group = parser.add_argument_group("build")
    group.add_argument("--no-test", action="store_true", help="do not run the recipe's tests")
    group.add_argument(
        "--no-cache", action="store_true", help="make every layer anew, whatever was made before"
    )
    add_recipes(group)
    add_mirrors(group)
    add_lock_options(group)
    add_cache_from(group)
    group.add_argument(
        "--isolation",
        choices=("auto", "oci", "chroot"),
        help="how steps are contained: by an OCI runtime, or by chroot, which contains less "
        "(default: auto, the best that works on this host)",
    )


def build_options(
    arguments: argparse.Namespace,
    recipes: "Recipes",
    registry: RegistryOptions,
    *,
    progress: "Progress",
) -> "BuildOptions":
    """Return what ``add_build_options`` declared.

    Args:
        arguments: of the command line.
        recipes: where bases are looked for.
        registry: how registries of base images are reached.
        progress: told of what the host lacks.
    """
    from imagekit.build.build import BuildOptions

    return BuildOptions(
        test=not arguments.no_test,
        use_cache=not arguments.no_cache,
        isolation=configured(arguments, "isolation") or "auto",
        lock=lock_wish(arguments),
        cache_from=cache_from(arguments),
        registry=registry,
        recipes=recipes,
        published=destination_of(arguments),
        mirrors=mirrors_of(arguments),
        preflight=preflight_once(progress),
    )


def preflight_once(progress: "Progress") -> "Callable[[Recipe], None]":
    """Return what looks at the host before a recipe is built, once for each."""
    looked: set[Path] = set()

    def look(recipe: Recipe) -> None:
        from imagekit.hosts.preflight import preflight
        from imagekit.process import Runner

        if recipe.file in looked:
            return
        looked.add(recipe.file)
        bases = [recipe.base, *(stage.base for stage in recipe.stages)]
        systems = {base.distribution for base in bases if isinstance(base, BootstrapBase)}
        vital = {"mmdebstrap", "subuids"} if systems else set()
        # Other distributions have keyrings of their own.
        vital |= {"keyring"} if "debian" in systems else set()
        bare = all(isinstance(base, ScratchBase | None) for base in bases)
        skipped = {"subuids"} if bare and not recipe.containerfile else set()
        preflight("build", Runner(), progress=progress, vital=vital, skipped=skipped)

    return look


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Build and print the reference, or those of many."""
    from imagekit.cli.recipe_work import RecipeWork

    began = time.monotonic()
    jobs = jobs_of(arguments)
    tree = recipes_of(arguments)
    recipes, why = graph_for(arguments, arguments.recipe, tree)
    if not recipes.graph.needs:
        return tell_nothing(arguments, console, title="built")
    made: set[Digest] = set()
    options = build_options(arguments, tree, registry_of(arguments), progress=console.progress)
    options = replace(options, made=made, platform=platform_of(arguments.platform))
    bases = {key: bases_of(recipes.recipes[key], tree) for key in recipes.graph.needs}

    def do(recipe: Recipe, progress: "Progress") -> "RecipeResult":
        # What the host lacks is said of the recipe that needs it.
        result = _built(recipe, progress, replace(options, preflight=preflight_once(progress)))
        made.update(base.digest for base in tree.with_bases(recipe))
        return result

    tell_why(recipes, why, console)
    if len(recipes.graph.needs) > 1:
        work = RecipeWork(recipes=recipes, bases=bases, do=do, title="built", console=console)
        return work.all(jobs)
    (key,) = recipes.graph.needs
    recipe = recipes.recipes[key]
    console.note(f"  {recipe.name} {recipe.version}")
    tell_bases(bases[key], console)
    result = do(recipe, console.progress)
    seconds = round(time.monotonic() - began, 1)
    document = {"schema": 1, **result.document, "bases": bases[key], "seconds": seconds}
    console.result(result.reference, document)
    return 0


def _built(recipe: Recipe, progress: "Progress", options: "BuildOptions") -> "RecipeResult":
    """Build and test one."""
    from imagekit.check.check import build_tested
    from imagekit.cli.outcomes import RecipeResult
    from imagekit.sbom.complete_needs import check_needs

    image = build_tested(recipe, progress=progress, options=options)
    check_needs(image, recipe, progress=progress)
    reference = f"oci:{image.layout}:{image.name}@{image.manifest.digest}"
    return RecipeResult(
        status="built",
        reference=reference,
        document={
            "reference": reference,
            "name": image.name,
            "version": image.version,
            "digest": str(image.manifest.digest),
            "platform": str(image.platform),
            "isolation": list(image.isolations),
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
        },
    )
