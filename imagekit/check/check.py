"""The recipe's tests, in the image as it will be pushed."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from imagekit.build.build import BuildOptions, build
from imagekit.build.image import BuiltImage
from imagekit.build.tools.chain import Chain
from imagekit.build.tools.storage import Folders, container_store, job_folder
from imagekit.check.cases import Case, command_case
from imagekit.check.image_files import ImageFiles
from imagekit.check.run_tests import run_tests
from imagekit.check.runner import ImageTestRunner
from imagekit.check.structure_cases import TestedImage, structure_cases
from imagekit.oci.codec import parse_config
from imagekit.oci.layout import LayoutStore
from imagekit.process import Runner
from imagekit.progress import Note, Progress, silent
from imagekit.recipe.recipe import Recipe


def build_tested(
    recipe: Recipe,
    *,
    built: Callable[[BuiltImage], object] = lambda _: None,
    progress: Progress = silent,
    options: BuildOptions | None = None,
) -> BuiltImage:
    """Build a recipe and those that it builds on, and run the tests of each in its image.

    Args:
        recipe: the recipe.
        built: gets the recipe's own image before it is tested, if it is.
        progress: told of everything that happens.
        options: how it is done, and whether there are tests.

    Returns:
        The image, which lies in the local image store under its digest, with the names of its
        tests.

    Raises:
        BuildError: a step or a test failed.
        ToolError: a tool failed, or the disk is full.
        RecipeError: a base or a secret is not there.
    """
    options = options or BuildOptions()
    env = options.env
    passed: dict[Path, tuple[str, ...]] = {}

    def check(image: BuiltImage, tested: Recipe) -> None:
        if tested.file == recipe.file:
            built(image)
        passed[tested.file] = check_image(image, tested, progress=progress, env=env)

    made = build(recipe, check=check if options.test else None, progress=progress, options=options)
    return replace(made, passed_tests=passed.get(recipe.file, ()))


def check_image(
    image: BuiltImage, recipe: Recipe, *, progress: Progress, env: Mapping[str, str]
) -> tuple[str, ...]:
    """Run the recipe's tests in the image, and return their names.

    Raises:
        BuildError: a test failed.
        ToolError: Podman could not run them.
    """
    if not recipe.tests:
        progress(Note(message=f"{recipe.name} has no tests: nothing shows that it runs"))
        return ()
    folders = Folders.of(env)
    store = LayoutStore(image.layout)
    config = store.path(image.config.digest).read_bytes()
    cases = cases_of(recipe, image, config)
    containers = container_store(folders, env)
    with ImageTestRunner(
        runner=Runner(progress=progress),
        store=containers,
        folder=job_folder(folders, containers),
        folders=folders,
        chain=Chain.of(config, image.layers, store),
    ) as testbed:
        return run_tests(image, cases, testbed, progress=progress)


def cases_of(recipe: Recipe, image: BuiltImage, config: bytes) -> tuple[Case, ...]:
    """Return the cases of all tests of a recipe, in their order.

    Args:
        recipe: the recipe.
        image: what was built of it.
        config: the image's configuration.
    """
    looked_at = TestedImage(config=parse_config(config), files=cache(lambda: ImageFiles.of(image)))
    cases: list[Case] = []
    for test in recipe.tests:
        if test.structure is None:
            cases.append(command_case(test, longest=recipe.time_limit))
        else:
            longest = recipe.time_limit
            cases += structure_cases(test, test.structure, looked_at, longest=longest)
    return tuple(cases)
