r"""Build a published image once more from its recipe, and show whether it comes out the same.

  imagekit rebuild registry.example.org/apps/solver:2.1 --policy site.yaml
  imagekit rebuild registry.example.org/apps/solver:2.1 --recipe recipes/solver
  imagekit rebuild registry.example.org/apps/solver:2.1 --policy site.yaml \
      --attest --key second.key --builder https://ci.example.org/second

A locked recipe is kept beside its image. It is believed only as far as a provenance names it that
the policy trusts; --recipe gives another copy of it. Nothing of the cache is used, and bases are
built anew as well, but for those that the lock names as published images. Where the two differ,
each layer, file and field is shown with what it probably comes from, and the exit code is 5. Where
only the compressed form of layers differs, as another version of the compressor made them, the
images hold the same, and that counts as equal. With --attest, a second builder signs that the
builds agree; a policy can demand it (`attestations: [{type: rebuild}]`).
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.commands.build import add_build_options, build_options
from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_policy_option,
    add_registry_options,
    add_signer_options,
    configured,
    memory_of,
    policy_of,
    recipes_of,
    registry_of,
    signer_of,
)
from imagekit.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from imagekit.oci.location import LocatedReference
    from imagekit.oci.registry.ports import RegistryReader
    from imagekit.rebuild.comparison import Difference
    from imagekit.rebuild.rebuild import Rebuilt
    from imagekit.recipe import Recipes
    from imagekit.recipe.recipe import Recipe
    from imagekit.signatures.ports import Signer

_MOST_SHOWN = 40


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("reference", metavar="REFERENCE", help="the published image")
    parser.add_argument(
        "--recipe",
        type=Path,
        metavar="RECIPE",
        help="the folder of the recipe that it was built of (default: the recipe that is kept "
        "beside the image, as a provenance names it that --policy trusts)",
    )
    parser.add_argument(
        "--attest",
        action="store_true",
        help="where they agree, sign that this builder built it again, and attach that",
    )
    parser.add_argument(
        "--builder", default="", metavar="URI", help="the builder that --attest names: this one"
    )
    add_policy_option(parser)
    add_signer_options(parser)
    add_build_options(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Build again and compare.

    Raises:
        UsageError: --attest has no builder.
        ImagekitError: the image cannot be read, the recipe not built, or the statement not signed.
    """
    from imagekit.oci.location import parse_located
    from imagekit.oci.registry import connect
    from imagekit.rebuild.rebuild import rebuild

    signer, builder = _attesting(arguments)
    wanted = parse_located(arguments.reference)
    registry = registry_of(arguments)
    reader = connect.reader(wanted.location, registry)
    with _recipe(arguments, wanted, reader) as (recipe, tree):
        rebuilt = rebuild(
            wanted,
            recipe,
            reader=reader,
            builder=builder,
            progress=console.progress,
            options=build_options(arguments, tree, registry, progress=console.progress),
        )
    attached = ""
    if signer is not None and rebuilt.comparison.agrees:
        attached = _attest(
            wanted, rebuilt, recipe, signer=signer, builder=builder, arguments=arguments
        )
    shown = wanted.location.shown(str(rebuilt.image))
    console.result("\n".join(_lines(rebuilt, shown)), _document(rebuilt, shown, attached))
    return 0 if rebuilt.comparison.agrees else IntegrityError.exit_code


@contextmanager
def _recipe(
    arguments: argparse.Namespace, wanted: "LocatedReference", reader: "RegistryReader"
) -> "Iterator[tuple[Recipe, Recipes]]":
    """Yield the recipe, and where its bases are looked for."""
    if arguments.recipe is not None:
        tree = recipes_of(arguments)
        yield tree.load(arguments.recipe), tree
        return
    from imagekit.rebuild.proven_recipe import proven_recipe

    memory = memory_of(arguments)
    policy = policy_of(arguments, memory=memory)
    with proven_recipe(wanted, reader=reader, policy=policy, memory=memory) as found:
        yield found


def _attesting(arguments: argparse.Namespace) -> "tuple[Signer | None, str]":
    """Return who signs that the builds agree, and the builder that is named."""
    if not arguments.attest:
        return None, ""
    builder = configured(arguments, "builder") or ""
    if ":" not in builder or not builder.isprintable() or " " in builder:
        raise UsageError(
            "--attest needs --builder URI",
            hint="name this builder: a policy demands another one than the first",
        )
    return signer_of(arguments), builder


def _attest(
    wanted: "LocatedReference",
    rebuilt: "Rebuilt",
    recipe: "Recipe",
    *,
    signer: "Signer",
    builder: str,
    arguments: argparse.Namespace,
) -> str:
    from imagekit.clock import SystemClock
    from imagekit.oci.registry import connect
    from imagekit.rebuild.statement import rebuild_statement
    from imagekit.sign.signing import attest, subjects

    clock = SystemClock()
    writer = connect.light(wanted.location, registry_of(arguments))
    statement = rebuild_statement(
        rebuilt,
        recipe,
        builder=builder,
        subjects=subjects(rebuilt.image, ()),
        now=clock.now(),
    )
    attached = attest(
        writer,
        signer,
        rebuilt.image,
        manifest=writer.manifest(rebuilt.image).descriptor,
        statement=statement,
        clock=clock,
    )
    return str(attached.reference.digest)


def _lines(rebuilt: "Rebuilt", shown: str) -> Iterator[str]:
    comparison = rebuilt.comparison
    yield f"{comparison.result:<12}  {shown}"
    if comparison.result != "identical":
        yield f"{'rebuilt':<12}  {comparison.rebuilt}"
    for difference in comparison.differences[:_MOST_SHOWN]:
        yield from _difference(difference)
    hidden = len(comparison.differences[_MOST_SHOWN:]) + comparison.more
    if hidden:
        yield f"              and {hidden} more (--json has {len(comparison.differences)})"


def _difference(difference: "Difference") -> Iterator[str]:
    where = "config" if difference.layer is None else f"layer {difference.layer}"
    yield f"{where:<12}  {_plain(difference.path)}: {difference.field}"
    yield f"              {_plain(difference.published)} -> {_plain(difference.rebuilt)}"
    if difference.cause:
        yield f"              {difference.cause}"


def _plain(text: str) -> str:
    """Replace what would move the terminal's cursor: a path is whatever the image says."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _document(rebuilt: "Rebuilt", shown: str, attached: str) -> dict[str, object]:
    comparison = rebuilt.comparison
    return {
        "schema": 1,
        "reference": shown,
        "result": comparison.result,
        "published": str(comparison.published),
        "rebuilt": str(comparison.rebuilt),
        "original_builders": sorted({claim.builder for claim in rebuilt.claims}),
        "attestation": attached or None,
        "differences": [
            {
                "layer": difference.layer,
                "path": difference.path,
                "field": difference.field,
                "published": difference.published,
                "rebuilt": difference.rebuilt,
                "cause": difference.cause,
            }
            for difference in comparison.differences
        ],
        "more": comparison.more,
    }
