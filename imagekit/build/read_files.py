"""What of a recipe's folder its build reads, which is all that its layers depend on of it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field

from imagekit.build.job import BaseContext
from imagekit.documents import strictjson
from imagekit.oci.digest import Digest
from imagekit.recipe.recipe import Containerfile, CopyStep, Instruction, Recipe
from imagekit.recipe.recipe_digest import content_digest

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,/-][A-Za-z0-9._@%+=:,/-]*")
"""A path without patterns, variables, quotes and here-documents that is not hidden."""
_IGNORE_FILES = ("{}.dockerignore", "{}.containerignore", ".containerignore", ".dockerignore")


class ReadFiles(Struct, frozen=True, kw_only=True):
    """Digests of what is read of a recipe's folder."""

    folder: Digest
    """The recipe's, of all that is there."""
    copied: Mapping[str, Digest] = field(default_factory=dict)
    """Of what steps copy, by the path in the folder."""
    context: Digest | None = None
    """Of what a Containerfile can see; None where there is none."""


def read_files(recipe: Recipe, contexts: Sequence[BaseContext] = ()) -> ReadFiles:
    """Return what the build of a recipe reads of its folder.

    Args:
        recipe: the recipe.
        contexts: the images that its Containerfile names.

    Raises:
        RecipeError: a file cannot be read.
    """
    steps = (*recipe.steps, *(step for stage in recipe.stages for step in stage.steps))
    sources = {step.source for step in steps if isinstance(step, CopyStep)}
    return ReadFiles(
        folder=recipe.digest,
        copied={source: content_digest(recipe.folder / source) for source in sorted(sources)},
        context=None if recipe.script is None else _context(recipe, recipe.script, contexts),
    )


def script_text(script: Containerfile) -> list[object]:
    """Return what a Containerfile says, without where in the file it says it."""
    return [
        _texts(script.arguments),
        *(
            [
                *(stage.number, stage.image, stage.below, stage.platform),
                *(_texts(stage.steps), _texts(stage.onbuild)),
            ]
            for stage in script.stages
        ),
    ]


def _texts(instructions: Sequence[Instruction]) -> list[list[str]]:
    return [[step.text, *step.body] for step in instructions]


def _context(recipe: Recipe, script: Containerfile, contexts: Sequence[BaseContext]) -> Digest:
    """Return the digest of what COPY, ADD and RUN read of the folder; of all where that is unclear.

    What the file of ignored patterns leaves out counts as read, if it lies in what is named.
    """
    triggers = [step for context in contexts for step in context.triggers]
    steps = [step for stage in script.stages for step in (*stage.steps, *stage.onbuild)]
    named = {source for step in (*steps, *triggers) for source in _sources(step)}
    read: list[object] = []
    for source in sorted(named):
        path = _inside(recipe.folder, source)
        if path is None:
            return recipe.digest
        read.append([source, str(content_digest(path))])
    for form in _IGNORE_FILES:
        name = form.format(recipe.containerfile)
        if (recipe.folder / name).is_file():
            read.append([name, str(content_digest(recipe.folder / name))])
    return Digest.of(strictjson.dumps(read))


def _sources(step: Instruction) -> Iterator[str]:
    """Yield what an instruction reads of the folder as it stands there."""
    word, _, rest = step.text.partition(" ")
    words = rest.split()
    while words and words[0].startswith("--"):
        option, _, value = words.pop(0).partition("=")
        if option == "--mount":
            values = dict(part.partition("=")[::2] for part in value.split(","))
            if values["type"] == "bind" and "from" not in values:
                # Dockerfile reference, RUN --mount=type=bind: all of the context is the default.
                yield values.get("source", "")
        elif option == "--from":
            return
    yield from words[:-1] if word in {"COPY", "ADD"} else ()


def _inside(folder: Path, source: str) -> Path | None:
    """Return the path of a source; None where it is not known what is read by its name."""
    relative = source.strip("/").removeprefix("./")
    if _PLAIN.fullmatch(relative) is None or ".." in relative.split("/"):
        return None
    path = folder
    for part in relative.split("/"):
        path /= part
        # A link leads to what has another name.
        if path.is_symlink():
            return None
    return path if path.exists() else None
