"""What a publish asks of real registries: it reads once, and appends."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from imagekit.oci.reference import Destination
from imagekit.oci.registry.options import RegistryOptions
from imagekit.publish.publish import publish
from imagekit.publish.types import Status
from imagekit.recipe import load
from tests.support.built import built_image
from tests.support.counting import CountingTransport, counting_client
from tests.support.fakes import MemorySigner
from tests.support.servers import RegistryServer

pytestmark = pytest.mark.real

RECIPE = """\
schema: 1
name: hello
version: "{version}"
base: scratch
steps:
  - copy: {{from: hello.txt, to: /hello.txt}}
tags: {{immutable: ["{{version}}"], moving: [latest]}}
"""
MOST_LISTINGS = 5
MOST_REQUESTS_UNCHANGED = 6
Publish = Callable[[str, Status], CountingTransport]


@pytest.fixture(scope="module")
def with_api(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[str]:
    """A registry with the referrers API."""
    program = request.getfixturevalue("bench") / "refregistry"
    if not program.is_file():
        pytest.skip("refregistry is not in the bench")
    with RegistryServer.refregistry(program, tmp_path_factory.mktemp("ref")) as server:
        yield server.host


@pytest.fixture(params=["docker-registry", "refregistry"])
def published(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Publish:
    """Publishes a version of an image of one layer, each run with a client of its own."""
    host = request.getfixturevalue("registry" if request.param == "docker-registry" else "with_api")
    prefix = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    signer = MemorySigner()

    def run(version: str, status: Status) -> CountingTransport:
        folder = tmp_path / version
        folder.mkdir(exist_ok=True)
        (folder / "recipe.yaml").write_text(RECIPE.format(version=version))
        (folder / "hello.txt").write_text("hello\n")
        built = replace(built_image(tmp_path / "built" / version, version), version=version)
        monkeypatch.setattr("imagekit.publish.publish.build_tested", lambda *_, **__: built)
        client, transport = counting_client(RegistryOptions(settle_seconds=0.5))
        to = Destination(host, prefix)
        done = publish(load(folder), to=to, signer=signer, writer=client)
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
