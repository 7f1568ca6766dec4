"""New recipes: a commented folder that lints clean, builds and has a test."""

import os
import shutil
from pathlib import Path

from msgspec import Struct

from imagekit.errors import RecipeError
from imagekit.recipe.items import NAME
from imagekit.recipe.tree import MARKERS, declared

TEMPLATES = ("minimal", "mpi", "python", "containerfile", "binary")
_FOLDER = Path(__file__).with_name("templates")
_MARKER = (
    "# This folder is a tree of recipes: `localhost/NAME` is looked for here and nowhere else.\n"
)


class NewFile(Struct, frozen=True, kw_only=True):
    """A file of a new recipe."""

    path: str
    """Below the recipe's folder."""
    text: str
    executable: bool = False


def new_recipe(name: str, template: str, folder: Path) -> tuple[NewFile, ...]:
    """Return the files of a new recipe; nothing is written.

    Args:
        name: the recipe's name.
        template: one of ``TEMPLATES``.
        folder: where it is to be.

    Raises:
        RecipeError: the name is none of a recipe, or something has the folder's path.
    """
    if not NAME.matches(name):
        raise RecipeError(
            f"`{name[:60]}` is not {NAME.name}",
            hint=f"for example: {NAME.examples[0]}",
            code="recipe/bad-name",
        )
    if os.path.lexists(folder):
        raise RecipeError(
            f"{folder} is there already, and nothing of it was changed",
            hint="choose another name, or another folder by --to",
            code="recipe/exists",
        )
    source = _FOLDER / template
    # An installation compiles what is Python of them, beside it.
    paths = (path for path in sorted(source.rglob("*")) if "__pycache__" not in path.parts)
    files = [_file(path, source, name) for path in paths if path.is_file()]
    # A recipe beside it is found in a tree only; one that is there has its own marker.
    if any("/" in file.path for file in files) and not _is_in_tree(folder):
        files.append(NewFile(path=MARKERS[0], text=_MARKER))
    return tuple(files)


def write(files: tuple[NewFile, ...], folder: Path) -> None:
    """Write a new recipe, whole or not at all.

    Raises:
        RecipeError: the folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o755)
    except OSError as error:
        raise RecipeError(
            f"cannot make {folder}: {error.strerror}", code="recipe/unwritable"
        ) from error
    try:
        for file in files:
            path = folder / file.path
            path.parent.mkdir(exist_ok=True)
            path.write_text(file.text, encoding="utf-8")
            # Whatever the umask is: a recipe that others may write is refused.
            path.parent.chmod(0o755)
            path.chmod(0o755 if file.executable else 0o644)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise RecipeError(
            f"cannot write {error.filename}: {error.strerror}", code="recipe/unwritable"
        ) from error


def _file(path: Path, source: Path, name: str) -> NewFile:
    text = path.read_text(encoding="utf-8")
    program = name.rpartition("/")[2]
    return NewFile(
        path=path.relative_to(source).as_posix(),
        text=text.replace("@NAME@", name).replace("@PROGRAM@", program),
        # Not by its mode, which a wheel may have lost.
        executable=text.startswith("#!"),
    )


def _is_in_tree(folder: Path) -> bool:
    """Return whether a folder that is not there yet will lie in a tree of recipes."""
    above = next(parent for parent in folder.absolute().parents if parent.is_dir())
    try:
        declared(above.resolve())
    except RecipeError:
        return False
    return True
