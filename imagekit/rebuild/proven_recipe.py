"""The recipe that is kept beside an image, believed only as far as a verified provenance names it.

1. The image of this host's platform is judged by the policy, by its digest.
2. Of the provenances that somebody signed whom the policy's rule trusts for it, and that are about
   this digest, one names the archive of the recipe by its digest.
3. The archive is looked for among what is attached to the image. Its bytes are compared with that
   digest before anything of it is read, and what it holds with the recipe's digest before it is
   built (``rebuild``).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from imagekit.clock import Clock, SystemClock
from imagekit.errors import DeniedError, DocumentError, IntegrityError, NotFoundError
from imagekit.lock.recipe_archive import MAX_ARCHIVE, RecipeArchive, unpack_recipe
from imagekit.oci.location import LocatedReference
from imagekit.oci.reference import PinnedReference
from imagekit.oci.registry.host_image import host_image
from imagekit.oci.registry.ports import RegistryReader
from imagekit.oci.registry.snapshot import RegistrySnapshot
from imagekit.policy.ruleset import OpenedPolicy
from imagekit.publish.kept_recipe import attached_archives
from imagekit.recipe.recipe import Recipe
from imagekit.recipe.tree import Recipes
from imagekit.sign.provenance import recipe_archive_of
from imagekit.signatures.intoto import Statement
from imagekit.verify.context import VerifyContext
from imagekit.verify.image_evidence import ImageEvidence, counted
from imagekit.verify.judge import judge
from imagekit.verify.ports import RollbackStore
from imagekit.verify.rollback import ReadOnlyRollbackStore
from imagekit.verify.verdict import Verdict

_GIVE = "give the folder of the recipe: --recipe FOLDER"


@contextmanager
def proven_recipe(
    wanted: LocatedReference,
    *,
    reader: RegistryReader,
    policy: OpenedPolicy,
    memory: RollbackStore,
    clock: Clock | None = None,
) -> Iterator[tuple[Recipe, Recipes]]:
    """Yield the recipe of an image, and the tree that it lies in, for as long as it is used.

    Args:
        wanted: the published image.
        reader: reads it.
        policy: decides whose provenance is believed.
        memory: what was seen before; it is only read.
        clock: the time; the system's where it is left out.

    Raises:
        DeniedError: the policy denies the image.
        NotFoundError: no provenance names a recipe, or the registry does not have it.
        DocumentError: it is no archive of recipes, or the reference is that of no image.
        IntegrityError: bytes differ from their digest.
        RecipeError: the recipe cannot be read.
        RegistryError: the registry did not answer.
    """
    from imagekit.signatures.sigstore.verifier import SigstoreVerifier

    look = RegistrySnapshot(reader)
    image, _, _ = host_image(look, wanted.reference)
    image = image.with_digest(image.digest)
    clock = clock or SystemClock()
    seen: list[ImageEvidence] = []
    context = VerifyContext(
        now=clock.now(),
        open_reader=lambda: look,
        location=wanted.location,
        certificates=SigstoreVerifier(clock),
        memory=ReadOnlyRollbackStore(memory),
        watch=seen.append,
    )
    _require(judge(image, policy, context))
    statements = (
        Statement(subjects=(), predicate_type=each.predicate_type, predicate=each.predicate)
        for evidence in seen
        for each in counted(evidence)
    )
    archives = [recipe_archive_of(statement) for statement in statements]
    archive, raw = _found(look, image, archives)
    with TemporaryDirectory(prefix="imagekit-rebuild-") as folder:
        file = unpack_recipe(raw, archive, Path(folder))
        recipes = Recipes(root=Path(folder))
        yield recipes.load(file), recipes


def _require(verdict: Verdict) -> None:
    if verdict.allowed:
        return
    faults = [finding for finding in verdict.findings if finding.severity == "error"]
    reasons = "; ".join(f"{fault.code}: {fault.message}" for fault in faults)
    raise DeniedError(
        f"the policy {verdict.policy} denies {verdict.located}, so that nothing that is said of "
        f"its recipe is believed: {reasons}",
        hint=f"imagekit verify shows the whole verdict; or {_GIVE}",
    )


def _found(
    look: RegistryReader, image: PinnedReference, archives: Iterable[RecipeArchive | None]
) -> tuple[RecipeArchive, bytes]:
    """Return the first of the archives that the registry has.

    Raises:
        NotFoundError: it has none.
    """
    named = {archive.digest: archive for archive in archives if archive is not None}
    if not named:
        raise NotFoundError(
            f"no provenance that the policy trusts names a recipe that is kept beside {image}",
            hint=f"locked recipes are kept when they are published; {_GIVE}",
        )
    for layer in attached_archives(look, image):
        with suppress(NotFoundError, DocumentError, IntegrityError):
            if layer.digest in named:
                return named[layer.digest], look.blob(image.repository, layer, limit=MAX_ARCHIVE)
    raise NotFoundError(
        f"the recipe of {image} is not there any more: {', '.join(map(str, named))}",
        hint=f"publish the recipe again, which attaches what was lost; or {_GIVE}",
    )
