"""Registries that the contracts are held against."""

from collections.abc import Iterator

import pytest

from tests.support.programs import bench_program
from tests.support.servers import RegistryServer


@pytest.fixture(scope="module")
def with_api(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[str]:
    """A registry with the referrers API."""
    program = bench_program(request.getfixturevalue("bench"), "refregistry")
    with RegistryServer.refregistry(program, tmp_path_factory.mktemp("ref")) as server:
        yield server.host
