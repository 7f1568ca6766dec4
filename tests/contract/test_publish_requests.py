"""What a publish asks of real registries: it reads once, and appends."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from imagekit.oci.destination import Destination
from imagekit.oci.registry.options import RegistryOptions
from imagekit.publish.publish_platforms import publish_recipe
from imagekit.publish.published import Status
from tests.support.built import built_recipe
from tests.support.counting import CountingTransport, counting_client
from tests.support.fakes import MemorySigner

pytestmark = pytest.mark.real

MOST_LISTINGS = 5
MOST_REQUESTS_UNCHANGED = 6
Publish = Callable[[str, Status], CountingTransport]


@pytest.fixture(params=["docker-registry", "refregistry"])
def published(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Publish:
    """Publishes a version of an image of one layer, each run with a client of its own."""
    host = request.getfixturevalue("registry" if request.param == "docker-registry" else "with_api")
    prefix = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    signer = MemorySigner()

    def run(version: str, status: Status) -> CountingTransport:
        recipe, built = built_recipe(tmp_path, version)
        monkeypatch.setattr("imagekit.publish.publish.build_tested", lambda *_, **__: built)
        client, transport = counting_client(RegistryOptions(settle_seconds=0.5))
        to = Destination(host, prefix)
        done = publish_recipe(recipe, to=to, signer=signer, writer=client)
        assert done.status == status
        return transport

    return run


def test_a_publish_lists_referrers_five_times_at_most(published: Publish) -> None:
    """The first release of a name, and one after it, whose sequence follows the other's."""
    for version in ("1.0", "1.1"):
        asked = published(version, "published")
        assert asked.listings <= MOST_LISTINGS, asked.asked


def test_an_unchanged_publish_makes_six_requests_at_most(published: Publish) -> None:
    """What it knows by digest is not asked for again; what may have changed is, once."""
    published("1.0", "published")

    asked = published("1.0", "unchanged")

    assert len(asked.asked) <= MOST_REQUESTS_UNCHANGED, asked.asked
