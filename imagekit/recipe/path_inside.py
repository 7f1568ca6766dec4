"""Files that a recipe names: they lie in its folder, and its digest covers them."""

from pathlib import Path

from imagekit.documents.report import Report, SourceSpan
from imagekit.recipe.recipe import is_excluded


def path_inside(text: str, folder: Path, *, report: Report, span: SourceSpan) -> Path | None:
    """Return the real path of what a recipe names; report what is missing or lies elsewhere.

    Args:
        text: the path below the folder.
        folder: the recipe's.
        report: of the file that names it.
        span: where it is named.
    """
    try:
        root = folder.resolve(strict=True)
        path = Path(root, text).resolve(strict=True)
    except FileNotFoundError:
        hint = f"it must lie in {folder}"
        message = f"there is no `{text}` in the recipe's folder"
        report.error(span, "no-such-file", message, hint=hint)
        return None
    except (OSError, RuntimeError, ValueError) as error:
        report.error(span, "no-such-file", f"`{text}` cannot be read: {error}")
        return None
    if not path.is_relative_to(root):
        message = f"`{text}` is a link that leads out of the recipe's folder"
        hint = "put the file itself beside recipe.yaml"
        report.error(span, "path-leaves-recipe", message, hint=hint)
        return None
    parts = (*Path(text).parts, *path.relative_to(root).parts)
    if any(is_excluded(part) for part in parts):
        message = (
            f"`{text}` is no part of the recipe: a lock, or a file of version control or editors"
        )
        report.error(span, "excluded-file", message, hint="give it another name")
        return None
    return path
