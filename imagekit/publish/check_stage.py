"""The check as a stage of publish: what is found in the image is told, and signed."""

import time
from typing import TYPE_CHECKING

from msgspec import Struct

from imagekit.clock import Clock
from imagekit.errors import RecipeError
from imagekit.progress import Done, Note, Progress
from imagekit.recipe.recipe import Recipe
from imagekit.sign.signing import SigningSession, subjects
from imagekit.signatures.intoto import SELF_CONTAINED

if TYPE_CHECKING:
    from imagekit.build.image import BuiltImage
    from imagekit.check.static.image_tree import ImageTree
    from imagekit.check.static.static_check import CheckedImage

_MOST_CAUSES = 20
REFUSED = "publish/not-self-contained"


class TimedCheck(Struct, frozen=True, kw_only=True):
    """What was found in an image, and how long that took."""

    checked: "CheckedImage"
    seconds: float


def check_built(image: "BuiltImage", recipe: Recipe) -> TimedCheck:
    """Return what is found in an image that was built here.

    Raises:
        DocumentError: a layer is not one.
        IntegrityError: the layout's bytes are not what the image says.
    """
    from imagekit.check.static.read_tree import tree_of_image

    began = time.monotonic()
    checked = _checked(tree_of_image(image), recipe)
    return TimedCheck(checked=checked, seconds=time.monotonic() - began)


def tell_check(timed: TimedCheck, recipe: Recipe, progress: Progress) -> None:
    """Tell what was found.

    Raises:
        RecipeError: the recipe has `check`, and does not except all of it.
    """
    from imagekit.check.static.told import exception_lines, finding_lines, plain, summary

    checked, demand = timed.checked, recipe.check
    if demand is not None and not checked.passed:
        finding = checked.findings[0]
        message = f"{recipe.name}: {summary(checked)}: {finding.code} {finding.path}"
        diagnostic = demand.place.diagnostic(
            REFUSED, plain(message), hint=f"{finding.hint}; all of it: imagekit check"
        )
        for line in finding_lines(checked, most=_MOST_CAUSES):
            progress(Note(message=line))
        raise RecipeError(plain(message), code=REFUSED, diagnostics=(diagnostic,))
    for line in (*finding_lines(checked, most=_MOST_CAUSES), *exception_lines(checked)):
        progress(Note(message=line))
    progress(Done(stage="check", summary=summary(checked), seconds=timed.seconds))


def attest_check(session: SigningSession, checked: "CheckedImage", clock: Clock) -> None:
    """Sign what was found.

    Raises:
        RegistryError: the registry did not answer.
    """
    from imagekit.sign.contained import contained_statement

    about = subjects(session.image, ())
    session.attest(contained_statement(checked, subjects=about, finished=clock.now()))


def check_again(session: SigningSession, recipe: Recipe, clock: Clock) -> None:
    """Check a published image again where the attestation was lost, or never written.

    Raises:
        RegistryError: the registry did not answer.
    """
    if any(own.statement.predicate_type == SELF_CONTAINED for own in session.own):
        return
    from imagekit.check.static.read_tree import tree_of_reference

    _, tree = tree_of_reference(session.look, session.image)
    attest_check(session, _checked(tree, recipe), clock)


def _checked(tree: "ImageTree", recipe: Recipe) -> "CheckedImage":
    from imagekit.check.static.static_check import check_tree, with_exceptions

    return with_exceptions(check_tree(tree), recipe.check.exceptions if recipe.check else ())
