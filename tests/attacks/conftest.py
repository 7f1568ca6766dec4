"""Where attacks happen: a real registry, one that lies, and a look at what was asked for."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.attacks_kit import Liar, RealStage
from tests.support.replay import Stage, started
from tests.support.servers import RegistryServer


@pytest.fixture(scope="session")
def docker_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's docker-registry on loopback, as HOST:PORT; it checks nothing that we rely on."""
    with RegistryServer.docker_registry(tmp_path_factory.mktemp("attacked")) as server:
        yield server.host


@pytest.fixture
def real(docker_registry: str, request: pytest.FixtureRequest) -> RealStage:
    """A repository of the test's own in the real registry."""
    name = request.node.name.partition("[")[0].removeprefix("test_").lower()
    number = abs(hash(request.node.name)) % 1_000_000
    return RealStage(docker_registry, f"apps/{name[:60].strip('_')}-{number}")


@pytest.fixture
def liar() -> Iterator[Callable[..., Liar]]:
    """Return a function that starts a registry which does what the test says."""
    started: list[Liar] = []

    def start(**lies: object) -> Liar:
        server = Liar(**lies)  # type: ignore[arg-type]  # the keywords of Liar
        started.append(server)
        return server

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """An honest image, recorded once."""
    yield from started()
