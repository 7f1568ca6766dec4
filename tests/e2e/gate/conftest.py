"""Sites with images, and gates in front of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from imagekit.oci.layout import LayoutStore
from tests.e2e.gate.kit import GateProcess, Site
from tests.support.programs import bench_program
from tests.support.servers import RegistryServer

KINDS = ("docker-registry", "refregistry", "layout")


@pytest.fixture(scope="module", params=KINDS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A registry without the referrers API, one with it, and a layout."""
    folder = tmp_path_factory.mktemp("site")
    if request.param == "layout":
        LayoutStore.create(folder / "layout")
        yield Site("registry.site.example", folder, folder / "layout")
        return
    yield from registry_site(request, str(request.param), folder)


@pytest.fixture(scope="module")
def docker_site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A docker-registry alone."""
    yield from registry_site(request, "docker-registry", tmp_path_factory.mktemp("site"))


def registry_site(request: pytest.FixtureRequest, kind: str, folder: Path) -> Iterator[Site]:
    """Yield a site on a registry of its own."""
    (folder / "registry").mkdir()
    if kind == "refregistry":
        program = bench_program(request.getfixturevalue("bench"), "refregistry")
        server = RegistryServer.refregistry(program, folder / "registry")
    else:
        server = RegistryServer.docker_registry(folder / "registry")
    with server:
        yield Site(server.host, folder)


@pytest.fixture(scope="module")
def gate(site: Site) -> Iterator[GateProcess]:
    """A gate in front of the site."""
    with GateProcess(site) as running:
        yield running


@pytest.fixture(scope="module")
def docker_gate(docker_site: Site) -> Iterator[GateProcess]:
    """A gate in front of a docker-registry."""
    with GateProcess(docker_site) as running:
        yield running
