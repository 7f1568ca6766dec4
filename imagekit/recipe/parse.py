"""Reads a recipe: recipe.yaml, the files beside it and their digest."""

import errno
import os
from pathlib import Path

from msgspec import Struct

from imagekit.documents import strictyaml
from imagekit.documents.report import Report, SourceSpan
from imagekit.documents.shape import INVALID, Invalid, Values
from imagekit.documents.strictyaml import Node
from imagekit.errors import RecipeError
from imagekit.inputs import read_regular
from imagekit.oci.digest import Digest
from imagekit.recipe.containerfile import read_containerfile
from imagekit.recipe.owner import check_owner
from imagekit.recipe.recipe import Containerfile, Recipe
from imagekit.recipe.recipe_digest import digest
from imagekit.recipe.whole import RECIPE, Where, make

FILE_NAME = "recipe.yaml"
_NO_DIGEST = Digest.of(b"")


class Composed(Struct, frozen=True, kw_only=True):
    """A recipe.yaml whose YAML was read, and nothing else yet."""

    file: Path
    node: Node
    report: Report
    """The faults of its YAML."""


def load(path: Path | str) -> Recipe:
    """Read a recipe and check it whole.

    Args:
        path: the recipe's folder, or the recipe.yaml in it.

    Returns:
        The recipe, with the digest of all its files.

    Raises:
        RecipeError: it cannot be read, or cannot be accepted; all faults at once, each with its
            place.
    """
    recipe, report = judge(Path(path))
    report.check(RecipeError, what="the recipe")
    if recipe is None:
        raise RecipeError(f"{path} cannot be read", code="recipe/invalid")
    return recipe


def judge(path: Path) -> tuple[Recipe | None, Report]:
    """Read a recipe and return all its faults, instead of raising them.

    Raises:
        RecipeError: there is no recipe, or its file cannot be read.
    """
    return judge_composed(compose(recipe_file(path)))


def compose(file: Path) -> Composed:
    """Read the YAML of a recipe.yaml.

    Raises:
        RecipeError: it is a link or a special file, too large, or cannot be read.
    """
    report = Report(str(file), "recipe", folder=file.parent)
    return Composed(file=file, node=strictyaml.compose(read_file(file), report), report=report)


def judge_composed(composed: Composed) -> tuple[Recipe | None, Report]:
    """Return all faults of a recipe whose YAML was read; once for each reading.

    Raises:
        RecipeError: a file beside it cannot be read.
    """
    file, report = composed.file, composed.report
    values = RECIPE.read(composed.node, report)
    script = _containerfile(values, file, report)
    whole = _digest(file.parent, report)
    if values is INVALID or report.failed:
        return None, report
    where = Where(folder=file.parent, file=file, digest=whole, script=script)
    return make(values, where), report


def recipe_file(path: Path) -> Path:
    """Return the recipe.yaml of a folder, or the path if it is one.

    Raises:
        RecipeError: there is none.
    """
    if path.is_dir():
        file = path / FILE_NAME
        if os.path.lexists(file):
            return file
        hint = f"a recipe is a folder with a {FILE_NAME}"
        if (path / "recipe.yml").exists():
            hint = f"rename recipe.yml to {FILE_NAME}"
        raise RecipeError(f"{path} holds no {FILE_NAME}", hint=hint, code="recipe/not-found")
    if path.name == FILE_NAME and os.path.lexists(path):
        return path
    if path.exists():
        hint = f"give the recipe's folder, or the {FILE_NAME} in it"
        raise RecipeError(f"{path} is not a {FILE_NAME}", hint=hint, code="recipe/not-found")
    raise RecipeError(f"there is no {path}", hint="give a recipe's folder", code="recipe/not-found")


def read_file(file: Path) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        RecipeError: it is a link or a special file, or cannot be read.
    """
    try:
        return read_regular(file, limit=strictyaml.MAX_BYTES, follow=False)
    except OSError as error:
        if error.errno == errno.EINVAL:
            message = f"{file} is not a regular file"
            raise RecipeError(message, code="recipe/special-file") from error
        message = f"cannot read {file}: {error.strerror}"
        hint = "it must be a file itself, not a link" if file.is_symlink() else ""
        raise RecipeError(message, hint=hint, code="recipe/unreadable") from error


def _containerfile(values: Values | Invalid, file: Path, report: Report) -> Containerfile | None:
    if values is INVALID or not values["containerfile"]:
        return None
    # The rule made sure that the path leads to a file in the folder, also by links.
    path = (file.parent / values["containerfile"]).resolve()
    own = Report(str(file.parent / values["containerfile"]), "recipe")
    if values["containerfile"].endswith(".in"):
        # Buildah would hand it to cpp, with what that includes from anywhere.
        hint = "write the file out, and give it a name without .in"
        own.error(
            SourceSpan(), "preprocessed", "a file NAME.in is made by a preprocessor", hint=hint
        )
    script = read_containerfile(read_file(path), values["build_args"], own)
    report.include(own)
    return script


def _digest(folder: Path, report: Report) -> Digest:
    try:
        return digest(folder, check_owner)
    except RecipeError as error:
        code = error.code.removeprefix("recipe/")
        report.error(SourceSpan(), code, error.message, hint=error.hint)
        return _NO_DIGEST
