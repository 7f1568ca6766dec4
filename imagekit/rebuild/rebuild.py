"""Building a published image once more from its recipe, and comparing the two.

Nothing of the cache is used, so that equality says something about the recipe. A base that the lock
names as a published image is not built: it is a material like any other, and rebuilt by itself. The
image's time comes from the image itself, as a checkout without history knows no other. What the
published image's provenance claims decides nothing: it only shows early that another recipe was
given.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from imagekit.build.build import BuildOptions, build
from imagekit.build.local_store import store_in_use
from imagekit.build.tools.storage import Folders
from imagekit.errors import DocumentError, InputError
from imagekit.oci.codec import parse_config
from imagekit.oci.destination import Destination
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.location import LocatedReference
from imagekit.oci.reference import PinnedReference, Repository
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.registry.snapshot import RegistrySnapshot
from imagekit.progress import Done, Note, Progress, Started, silent
from imagekit.publish.claims import ProvenanceClaim, provenance_claims
from imagekit.rebuild.comparison import Comparison, OpenedImage, compare, opened
from imagekit.recipe.recipe import Recipe


class Rebuilt(Struct, frozen=True, kw_only=True):
    """What came of a rebuild."""

    image: PinnedReference
    """The published image, of this host's platform."""
    comparison: Comparison
    claims: tuple[ProvenanceClaim, ...]
    """What is said of the first build; not verified."""


def rebuild(
    wanted: LocatedReference,
    recipe: Recipe,
    *,
    reader: RegistryReader,
    builder: str = "",
    progress: Progress = silent,
    options: BuildOptions | None = None,
) -> Rebuilt:
    """Build a recipe without any cache, and compare it with a published image.

    Args:
        wanted: the published image.
        recipe: what it was built of.
        reader: reads it.
        builder: the second builder, where it is to say that both agree; else empty.
        progress: told of everything that happens.
        options: how it is built.

    Raises:
        InputError: the image was built of another recipe, by all that is said of it; or what is to
            be the second builder is the first, or that is not known.
        BuildError: a step failed.
        RegistryError: the registry did not answer.
        DocumentError: it is no image that can be compared.
    """
    look = RegistrySnapshot(reader)
    published = opened(look, wanted.reference)
    _check_platform(published)
    claims = provenance_claims(look, published.reference)
    _check_recipe(recipe, claims, progress)
    if builder:
        _check_builder(builder, {claim.builder for claim in claims}, published.reference)
    options = options or BuildOptions()
    options = replace(
        options,
        use_cache=False,
        test=False,
        published=_beside(wanted, recipe) or options.published,
    )
    recipe = replace(recipe, date=_created(published))
    _check_time(recipe, options.env)
    with store_in_use(Folders.of(options.env)):
        built = build(recipe, progress=progress, options=options)
        local = LayoutRegistry(LayoutStore(built.layout))
        reference = PinnedReference(
            Repository.parse(f"localhost/{built.name}"), built.manifest.digest
        )
        comparison = _compared(published, opened(local, reference), progress)
    return Rebuilt(image=published.reference, comparison=comparison, claims=claims)


def _beside(image: LocatedReference, recipe: Recipe) -> Destination | None:
    """Return where the image was published, with what it stands on; None where it has no such name.

    A base that its lock names by a digest is read there: which image that is, the lock says.
    """
    repository = image.reference.repository
    prefix = repository.path.removesuffix(recipe.name)
    if prefix == repository.path or (prefix and not prefix.endswith("/")):
        return None
    return Destination(repository.host, prefix.rstrip("/"), image.location)


def _compared(first: OpenedImage, other: OpenedImage, progress: Progress) -> Comparison:
    progress(Started(stage="compare"))
    began = time.monotonic()
    comparison = compare(first, other)
    progress(Done(stage="compare", summary=comparison.summary, seconds=time.monotonic() - began))
    return comparison


def _check_platform(published: OpenedImage) -> None:
    """Refuse an image of another platform, before one of this host's is built beside it.

    Raises:
        InputError: it is.
    """
    platform, here = parse_config(published.config).platform, host_platform()
    if replace(platform, variant="") != here:
        raise InputError(
            f"{published.reference} is for {platform}, and this host is {here}",
            hint="build it again on such a host",
            code="rebuild/other-platform",
        )


def _check_recipe(recipe: Recipe, claims: Sequence[ProvenanceClaim], progress: Progress) -> None:
    """Refuse a recipe where all that is said of the image names other ones.

    Raises:
        InputError: that is so.
    """
    named = {claim.recipe: claim for claim in claims}
    if not named:
        progress(
            Note(message="nothing says of which recipe the image was built: it may be another one")
        )
    elif recipe.digest not in named:
        claim = next(iter(named.values()))
        raise InputError(
            f"{recipe.file} is {recipe.digest}, and the image was built of {claim.path} of "
            f"{claim.name} {claim.version}, {claim.recipe}",
            hint="check out the state of the recipe that it was built of, with nothing else beside",
            code="rebuild/other-recipe",
        )


def _check_builder(builder: str, first: Collection[str], image: PinnedReference) -> None:
    """Refuse to be the second builder where that shows nothing.

    Raises:
        InputError: that is so.
    """
    if not first:
        raise InputError(
            f"{image} has no provenance of imagekit, so that its first builder is not known",
            hint="compare it without --attest",
            code="rebuild/no-first-builder",
        )
    if builder in first:
        raise InputError(
            f"{builder} has built the image first, and cannot agree with itself",
            hint="name this builder, if it is another one: --builder URI",
            code="rebuild/same-builder",
        )


def _check_time(recipe: Recipe, env: Mapping[str, str]) -> None:
    """Refuse a time of the environment that is not the image's, as no file would be the same.

    Raises:
        InputError: it is another one.
    """
    stated = env.get("SOURCE_DATE_EPOCH")
    if stated is not None and stated != str(recipe.date):
        raise InputError(
            f"SOURCE_DATE_EPOCH is {stated[:40]!r}, and the image was created at {recipe.date}",
            hint="unset it; where it was set for the first build, set it to this time, as it was "
            "that of the bases, too",
            code="rebuild/other-time",
        )


def _created(image: OpenedImage) -> int:
    """Return the image's time, in seconds since 1970.

    Raises:
        DocumentError: it says none (image-spec config.md, ``created``).
    """
    text = parse_config(image.config).created
    try:
        stated = datetime.fromisoformat(text)
    except ValueError:
        stated = None
    if stated is None or stated.tzinfo is None:
        raise DocumentError(
            f"{image.reference} does not say when it was created: {text!r:.60}",
            hint="imagekit did not build it, so that its time is not known",
            code="BAD_DOCUMENT",
        )
    return int(stated.timestamp())
