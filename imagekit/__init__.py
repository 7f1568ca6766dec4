"""imagekit: recipes to self-contained OCI images, verified before any runtime pulls them.

The pipeline, as a program calls it::

    recipe = load_recipe("recipes/hello-mpi")                 read, every fault at its place
    image = build_recipe(recipe)                              built and tested, in a local layout
    released = publish_recipe(recipe, to=..., signer=...)     pushed, attested, signed, tagged
    verdict = verify_image(reference, policy=load_policy(f))  judged as a node would
    verdict.allowed, explain(verdict)                         and only then pulled, by digest

Nothing prints; what happens is passed to a ``progress`` callback as events of
``imagekit.progress``. Every error is an ``ImagekitError`` with a hint. Names are imported when
they are first used, so that ``import imagekit`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagekit.build.build import BuildOptions
    from imagekit.check.check import build_tested as build_recipe
    from imagekit.errors import ImagekitError
    from imagekit.oci.destination import Destination
    from imagekit.oci.location import parse_located as parse_reference
    from imagekit.oci.registry.options import RegistryOptions
    from imagekit.publish.publish import PublishOptions
    from imagekit.publish.publish_platforms import publish_recipe
    from imagekit.publish.published import PublishedImage
    from imagekit.recipe import load as load_recipe
    from imagekit.recipe.lint import lint as lint_recipes
    from imagekit.recipe.recipe import Recipe
    from imagekit.sbom.sbom import sbom_of_reference
    from imagekit.sbom.unregistered import sbom_of_folder
    from imagekit.sign.issue_vsa import SummaryOptions, issue_summary
    from imagekit.sign.sign import sign_reference as sign_image
    from imagekit.verify.policies import load_unsigned as load_policy
    from imagekit.verify.policies import open_policy
    from imagekit.verify.verdict import Verdict
    from imagekit.verify.verdict_text import text as explain
    from imagekit.verify.verify import Verifier
    from imagekit.verify.verify import verify as verify_image

__all__ = [
    "BuildOptions",
    "Destination",
    "ImagekitError",
    "PublishOptions",
    "PublishedImage",
    "Recipe",
    "RegistryOptions",
    "SummaryOptions",
    "Verdict",
    "Verifier",
    "build_recipe",
    "explain",
    "issue_summary",
    "lint_recipes",
    "load_policy",
    "load_recipe",
    "open_policy",
    "open_signer",
    "parse_reference",
    "publish_recipe",
    "sbom_of_folder",
    "sbom_of_reference",
    "sign_image",
    "verify_image",
]

# Where each name lives; behind the colon, what it is called there.
_HOMES = {
    "BuildOptions": "build.build",
    "Destination": "oci.destination",
    "ImagekitError": "errors",
    "open_signer": "sign.open_signer",
    "PublishOptions": "publish.publish",
    "PublishedImage": "publish.published",
    "Recipe": "recipe.recipe",
    "RegistryOptions": "oci.registry.options",
    "SummaryOptions": "sign.issue_vsa",
    "Verdict": "verify.verdict",
    "Verifier": "verify.verify",
    "build_recipe": "check.check:build_tested",
    "explain": "verify.verdict_text:text",
    "lint_recipes": "recipe.lint:lint",
    "issue_summary": "sign.issue_vsa",
    "load_policy": "verify.policies:load_unsigned",
    "load_recipe": "recipe:load",
    "open_policy": "verify.policies",
    "parse_reference": "oci.location:parse_located",
    "publish_recipe": "publish.publish_platforms",
    "sbom_of_folder": "sbom.unregistered",
    "sbom_of_reference": "sbom.sbom",
    "sign_image": "sign.sign:sign_reference",
    "verify_image": "verify.verify:verify",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'imagekit' has no attribute {name!r}")
    home, _, own = _HOMES[name].partition(":")
    return getattr(import_module(f"imagekit.{home}"), own or name)


def __dir__() -> list[str]:
    return __all__
