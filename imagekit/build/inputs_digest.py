"""What decides an image, as one digest that is known before anything is built.

Two builds with the same one make the same image where the recipe is locked. Without a lock the
packages of the day take part, which it does not have.
"""

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct, field

from imagekit.build.compression import compressor
from imagekit.build.job import UsedLock
from imagekit.build.plan import FORMAT
from imagekit.documents import strictjson
from imagekit.oci.digest import Digest
from imagekit.oci.types import Platform
from imagekit.recipe.recipe import Recipe
from imagekit.recipe.tree import Recipes

LockOf = Callable[[Recipe], UsedLock | None]
"""Returns the lock that a recipe is built from, if it is."""
_VERSION = 1
_BUILD_DIGITS = 8


class DecidingInputs(Struct, frozen=True, kw_only=True):
    """What decides something before it is built, as a document."""

    @property
    def document(self) -> dict[str, object]:
        """All of it as JSON's types."""
        return {"version": _VERSION}

    @property
    def digest(self) -> Digest:
        """The SHA-256 of ``document`` as canonical JSON: sorted keys, no spaces, UTF-8."""
        return Digest.of(strictjson.dumps(self.document))

    @property
    def build(self) -> str:
        """What stands for ``{build}`` in tags."""
        return self.digest.hex[:_BUILD_DIGITS]


class Inputs(DecidingInputs, frozen=True, kw_only=True):
    """All that decides an image, by digests and versions."""

    recipe: Digest
    platform: str
    bases: Mapping[str, Digest]
    """What it stands on, by the recipes' names: the image that the lock has, else the digest of
    what decides that. An image of a registry stands in the recipe by its digest."""
    lock: Digest | None = None
    compressor: str = field(default_factory=lambda: " ".join(compressor()))
    """Name, version and level; without a recipe that says it, that of gzip."""
    layers: int = FORMAT

    @property
    def document(self) -> dict[str, object]:
        """All of it as JSON's types."""
        return super().document | {
            "layers": self.layers,
            "recipe": str(self.recipe),
            "lock": None if self.lock is None else str(self.lock),
            "bases": {name: str(digest) for name, digest in self.bases.items()},
            "platform": self.platform,
            "compressor": self.compressor,
        }

    def moved(self, before: Mapping[str, object]) -> tuple[str, ...]:
        """Return what is another one than in an earlier ``document``, in words."""
        return tuple(_moved(before, self.document))


class IndexInputs(DecidingInputs, frozen=True, kw_only=True):
    """All that decides the images of several platforms, and so the index that names them."""

    recipe: Digest
    platforms: Mapping[str, Inputs]
    """What decides each image, by its platform."""

    @property
    def document(self) -> dict[str, object]:
        """All of it as JSON's types."""
        return super().document | {
            "recipe": str(self.recipe),
            "platforms": {name: inputs.document for name, inputs in self.platforms.items()},
        }

    def moved(self, before: Mapping[str, object]) -> tuple[str, ...]:
        """Return what is another one than in an earlier ``document``, in words."""
        old = before.get("platforms")
        if not isinstance(old, dict) or old.keys() != self.platforms.keys():
            return ("the platforms",)
        moved = (self.platforms[name].moved(old[name]) for name in sorted(old))
        return tuple(dict.fromkeys(word for words in moved for word in words))


def inputs_of(recipe: Recipe, platform: Platform, *, recipes: Recipes, lock_of: LockOf) -> Inputs:
    """Return what decides the image of a recipe; nothing is built.

    Args:
        recipe: the recipe.
        platform: what it is built for.
        recipes: where those are found that it stands on.
        lock_of: returns the lock that each is built from.

    Raises:
        RecipeError: a base is missing or faulty.
    """
    lock = lock_of(recipe)
    published = {} if lock is None else lock.platform.published
    bases = {}
    for need in recipe.recipes_below:
        if need.name in published:
            bases[need.name] = published[need.name]
        else:
            base = recipes.base(recipe, need)
            below = inputs_of(base, platform, recipes=recipes, lock_of=lock_of)
            bases[need.name] = below.digest
    return Inputs(
        recipe=recipe.digest,
        platform=str(platform),
        bases=bases,
        lock=None if lock is None else lock.digest,
        compressor=" ".join(compressor(recipe.compression)),
    )


def _moved(before: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    bases, old = now["bases"], before.get("bases")
    if isinstance(bases, dict) and isinstance(old, dict):
        for name in sorted(bases.keys() | old.keys()):
            if bases.get(name) != old.get(name):
                yield f"the base {name}"
    for name, title in (
        ("lock", "the lock"),
        ("platform", "the platform"),
        ("compressor", "the compressor"),
        ("layers", "the form of layers"),
        ("recipe", "the recipe"),
    ):
        if now[name] != before.get(name):
            yield title
