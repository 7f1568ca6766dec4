"""What tests of publishing have in common."""

import pytest

from imagekit.oci.destination import Destination
from imagekit.publish.publish_platforms import publish_recipe
from imagekit.publish.published import PublishedImage
from imagekit.recipe.recipe import Recipe
from tests.support.counting import CountingRegistry
from tests.support.fakes import FixedClock, MemorySigner


@pytest.fixture
def signer() -> MemorySigner:
    """Who publishes."""
    return MemorySigner()


class PublishTo:
    """Publishes recipes with one key."""

    def __init__(self, signer: MemorySigner) -> None:
        self._signer = signer

    def __call__(self, registry: CountingRegistry, recipe: Recipe) -> PublishedImage:
        """Publish a recipe."""
        return publish_recipe(
            recipe,
            to=Destination("r.site", "apps"),
            signer=self._signer,
            writer=registry,
            clock=FixedClock(),
        )


@pytest.fixture
def publish_to(signer: MemorySigner) -> PublishTo:
    """Return what publishes a recipe to a registry in memory."""
    return PublishTo(signer)
