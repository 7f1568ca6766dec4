"""The recipe's tests, in the image as it will be pushed."""

from collections.abc import Mapping

from imagekit.build.build import BuildOptions, build
from imagekit.build.image import BuiltImage
from imagekit.build.tools.chain import Chain
from imagekit.build.tools.storage import Folders, container_store, job_folder
from imagekit.check.cases import cases_of
from imagekit.check.run_tests import run_tests
from imagekit.check.runner import ImageTestRunner
from imagekit.oci.layout import LayoutStore
from imagekit.process import Runner
from imagekit.progress import Note, Progress, Started, silent
from imagekit.recipe.recipe import Recipe


def build_tested(
    recipe: Recipe, *, progress: Progress = silent, options: BuildOptions | None = None
) -> BuiltImage:
    """Build a recipe and those that it builds on, and run the tests of each in its image.

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
    containers = container_store(folders, env)
    # The image's layers are laid out first, which takes longer than most tests.
    progress(Started(stage="tests", detail="laying out the image"))
    with ImageTestRunner(
        runner=Runner(progress=progress),
        store=containers,
        folder=job_folder(folders, containers),
        folders=folders,
        chain=Chain.of(config, image.layers, store),
    ) as testbed:
        run_tests(image, cases_of(recipe), testbed, progress=progress)
