"""Build, test, push, attest, sign and verify recipes, and only then write their tags.

Prints the pinned reference of each image, and nothing else, on stdout:

  imagekit publish recipes/hello-mpi --to registry.example.org/apps --key imagekit.key
  imagekit publish recipes/ --to oci:images --key imagekit.key --jobs 4
  imagekit publish recipes/hello-mpi --to registry.example.org/apps --keyless

Of several recipes each is begun when what it stands on is published, as many at once as there are
processors. Where one fails, all goes on that does not stand on it. What came of each is a table at
the end, and the exit code is the highest of any; with Ctrl-C, all that run are ended first.

It may be run again at any time: what is there already is not done twice, and what a killed run
left out is completed. A version that was published from another state of the recipe is refused, and
so is the slower of two that publish it at the same time (exit 2): its image gets no tag.

A recipe with several `platforms` is published for each, then their index, which gets the tags.
Where this host cannot run programs of one, each builder publishes its own, and one makes the index:

  imagekit publish recipes/hello --platform linux/arm64 ...    on a host of that platform
  imagekit publish recipes/hello --merge ...                   when all are there

--ca-file is for the registries of base images, too. So is --plain-http where the destination needs
no such option (oci:FOLDER, a registry on loopback); else it is for the destination's registry only.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from imagekit.cli.base_lines import bases_of
from imagekit.cli.commands.build import add_build_options, build_options, preflight_once
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
    add_registry_options,
    add_signer_options,
    configured,
    needed,
    platform_of,
    recipes_of,
    registry_of,
    signer_of,
)
from imagekit.cli.sbom_source import sbom_options_of
from imagekit.oci.destination import Destination
from imagekit.oci.hostname import is_loopback

if TYPE_CHECKING:
    from imagekit.cli.outcomes import RecipeResult
    from imagekit.oci.digest import Digest
    from imagekit.progress import Progress
    from imagekit.publish.consumers import Consumer
    from imagekit.publish.published import PublishedImage
    from imagekit.recipe.recipe import Recipe


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "recipe", type=Path, nargs="+", metavar="RECIPE", help="recipes, or folders of recipes"
    )
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
    parser.add_argument(
        "--without-recipe",
        action="store_true",
        help="keep no copy of a locked recipe beside its image: its files are for nobody else",
    )
    parser.add_argument(
        "--consumers",
        type=Path,
        metavar="FILE",
        help="who must accept an image before any of its tags is written (docs/consumers.md)",
    )
    platforms = parser.add_mutually_exclusive_group()
    platforms.add_argument(
        "--platform",
        default="all",
        metavar="all|OS/ARCHITECTURE",
        help="of a recipe with several `platforms`: all, emulated where they are not the host's, "
        "and their index; or the image of one, without the index (default: all)",
    )
    platforms.add_argument(
        "--merge",
        action="store_true",
        help="make the index of a recipe with several `platforms`, whose images are there",
    )
    add_jobs(add_graph_options(parser))
    add_signer_options(parser)
    add_build_options(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Publish every recipe, each when what it stands on is published."""
    destination = Destination.parse(
        needed(arguments, "to", metavar="DESTINATION"), alias=configured(arguments, "as") or ""
    )
    jobs = jobs_of(arguments)
    # All recipes are read before the first is built: a fault in the last one costs no hour.
    tree = recipes_of(arguments)
    recipes, why = graph_for(arguments, arguments.recipe, tree)
    if not recipes.graph.needs:
        return tell_nothing(arguments, console, title="published")
    from imagekit.cli.recipe_work import RecipeWork
    from imagekit.publish.publish import PublishOptions
    from imagekit.publish.publish_platforms import publish_recipe
    from imagekit.sign.shared_signer import SharedSigner

    several = len(recipes.graph.needs) > 1
    # The password of one key is asked for where it is needed, and of several recipes at once before
    # their lines are drawn.
    signer = signer_of(arguments, later=not several)
    signer = SharedSigner(signer) if several else signer
    made: set[Digest] = set()
    build = build_options(
        arguments,
        tree,
        registry_of(arguments, plain_hosts=_plain_hosts(destination)),
        progress=console.progress,
    )
    only = None if arguments.platform == "all" else platform_of(arguments.platform)
    build = replace(build, made=made, platform=only)
    options = PublishOptions(
        registry=registry_of(arguments),
        build=build,
        builder=configured(arguments, "builder") or "",
        sbom=sbom_options_of(arguments),
        merge=arguments.merge,
        keep_recipe=not arguments.without_recipe,
        consumers=_consumers(arguments),
    )

    def do(recipe: "Recipe", progress: "Progress") -> "RecipeResult":
        # What the host lacks is said of the recipe that needs it.
        own = replace(options, build=replace(build, preflight=preflight_once(progress)))
        image = publish_recipe(
            recipe, to=destination, signer=signer, progress=progress, options=own
        )
        if image.status == "published":
            made.update(base.digest for base in tree.with_bases(recipe))
        return _result(image)

    tell_why(recipes, why, console)
    work = RecipeWork(
        recipes=recipes,
        bases={key: bases_of(recipes.recipes[key], tree) for key in recipes.graph.needs},
        do=do,
        title="published",
        console=console,
    )
    return work.all(jobs) if several else work.only_one()


def _consumers(arguments: argparse.Namespace) -> "tuple[Consumer, ...]":
    file = configured(arguments, "consumers")
    if file is None:
        return ()
    from imagekit.hosts.consumers.read_consumers import read_consumers

    return read_consumers(file, registry_of(arguments))


def _plain_hosts(destination: Destination) -> frozenset[str] | None:
    """Return the registries of base images that ``--plain-http`` is for; None for all."""
    needless = not destination.location.is_remote or is_loopback(destination.host)
    return None if needless else frozenset({destination.host})


def _result(image: "PublishedImage") -> "RecipeResult":
    from imagekit.cli.outcomes import RecipeResult

    reference = image.location.shown(str(image.reference))
    return RecipeResult(
        status=image.status,
        reference=reference,
        moved=image.moved,
        document={
            "reference": reference,
            "digest": str(image.reference.digest),
            "tags": list(image.tags),
            "status": image.status,
            "written": list(image.written),
            "moved": list(image.moved),
            "changes": image.changes,
        },
    )
