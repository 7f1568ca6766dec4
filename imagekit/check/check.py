"""The recipe's tests, in the image as it will be pushed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from imagekit.build.build import BuildOptions, build
from imagekit.build.image import BuiltImage
from imagekit.build.tools.chain import Chain
from imagekit.build.tools.storage import Folders, container_store
from imagekit.check.run_tests import TEST_UID, run_tests
from imagekit.check.runner import ImageTestRunner
from imagekit.errors import BuildError, Diagnostic
from imagekit.oci.layout import LayoutStore
from imagekit.process import Runner
from imagekit.progress import Note, Progress, silent
from imagekit.recipe.types import Recipe


def build_tested(
    recipe: Recipe, *, progress: Progress = silent, options: BuildOptions | None = None
) -> BuiltImage:
    """Build a recipe and those that it stands on, and run the tests of each in its image.

    Args:
        recipe: the recipe.
        progress: told of everything that happens.
        options: how it is done, and whether there are tests.

    Returns:
        The image, which lies in the local image store under its digest.

    Raises:
        BuildError: a step or a test failed.
        ToolError: a tool failed, or the disk is full.
        RecipeError: a base or a secret is not there.
    """
    options = options or BuildOptions()
    env = options.env

    def check(image: BuiltImage, built: Recipe) -> None:
        check_image(image, built, progress=progress, env=env)

    return build(recipe, check=check if options.test else None, progress=progress, options=options)


def check_image(
    image: BuiltImage, recipe: Recipe, *, progress: Progress, env: Mapping[str, str]
) -> None:
    """Run the recipe's tests in the image.

    Raises:
        BuildError: a test failed.
        ToolError: Podman could not run them.
    """
    if not recipe.tests:
        progress(Note(message=f"{recipe.name} has no tests: nothing shows that it runs"))
        return
    folders = Folders.of(env)
    store = LayoutStore(image.layout)
    config = store.path(image.config.digest).read_bytes()
    try:
        with ImageTestRunner(
            runner=Runner(progress=progress),
            store=container_store(folders, env),
            folders=folders,
            chain=Chain.of(config, image.layers, store),
            uid=TEST_UID,
            limit=float(recipe.time_limit),
        ) as testbed:
            run_tests(image, recipe.tests, testbed, progress=progress)
    except BuildError as error:
        raise _with_line(error) from error.__cause__


def _with_line(error: BuildError) -> BuildError:
    """Add the text of the test's line, for the code frame."""
    diagnostic = error.diagnostic
    if diagnostic is not None:
        error.diagnostic = with_source(diagnostic)
    return error


def with_source(diagnostic: Diagnostic) -> Diagnostic:
    """Return the diagnostic with the text of its line, where the file can be read."""
    try:
        lines = Path(diagnostic.file).read_text(encoding="utf-8").splitlines()
        source = lines[diagnostic.line - 1]
    except (OSError, ValueError, IndexError):
        return diagnostic
    word = source[diagnostic.column - 1 :].split(":")[0].split()
    return replace(diagnostic, source=source, length=len(word[0]) if word else 1)
