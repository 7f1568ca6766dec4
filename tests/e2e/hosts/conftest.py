"""A site for daemons to be asked on: as root, since they are root's."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.offline_site import Site
from tests.support.servers import RegistryServer


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose registry answers."""
    if os.geteuid() != 0:
        pytest.skip("daemons are started by root")
    with RegistryServer.docker_registry(tmp_path_factory.mktemp("server")) as server:
        yield Site(tmp_path_factory.mktemp("hosts"), server.host)


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Find a program, or skip."""

    def find(name: str) -> str:
        found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        if found is None:
            pytest.skip(f"{name} is not installed")
        return found

    return find


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short name: sockets of daemons must not be long."""
    folder = Path("/run") / f"imagekit-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
