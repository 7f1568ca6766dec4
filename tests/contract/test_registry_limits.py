"""A registry that wants a login, and blobs that are larger than what memory they may take."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagekit.errors import AuthError
from imagekit.oci.digest import Digest
from imagekit.oci.location import REGISTRY, LocatedRepository
from imagekit.oci.reference import Repository
from imagekit.oci.registry import connect
from imagekit.oci.registry.options import RegistryOptions
from imagekit.oci.registry.ports import RegistryWriter
from imagekit.oci.types import LAYER, Descriptor
from tests.support.servers import PASSWORD, USER, RegistryServer

pytestmark = pytest.mark.real
_ROOM = 32 << 20
Make = Callable[[Repository], RegistryWriter]


def _light(repository: Repository) -> RegistryWriter:
    del repository
    return connect.light(REGISTRY, RegistryOptions())


def _by_oras(repository: Repository) -> RegistryWriter:
    return connect.writer(LocatedRepository(REGISTRY, repository), RegistryOptions())


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that wants a name and a password."""
    with RegistryServer.docker_registry(tmp_path_factory.mktemp("auth"), login=True) as server:
        yield server.host


def _log_in(path: Path, key: str, password: str) -> None:
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {key: {"auth": auth}}}))


@pytest.mark.parametrize("make", [_light, _by_oras], ids=["light", "oras"])
def test_login_is_found_and_used(
    guarded: str,
    make: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a login and with a wrong one it fails at once; with the right one it works."""
    repository = Repository(guarded, "team/app")
    auth_file = tmp_path / "auth.json"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(auth_file))
    with pytest.raises(AuthError):
        _by_oras(repository).put_bytes(repository, LAYER, b"x")
    _log_in(auth_file, guarded, "wrong")
    with pytest.raises(AuthError):
        _by_oras(repository).put_bytes(repository, LAYER, b"x")
    _log_in(auth_file, f"{guarded}/team", PASSWORD)
    registry = make(repository)
    stored = registry.put_bytes(repository, LAYER, b"x")

    assert registry.blob(repository, stored, limit=1) == b"x"


@pytest.mark.parametrize("make", [_light, _by_oras], ids=["light", "oras"])
def test_large_blobs_flow_in_flat_memory(registry: str, make: Make, tmp_path: Path) -> None:
    """200 MiB go up and come down in less than 32 MiB of memory."""
    source = tmp_path / "blob"
    with source.open("wb") as file:
        file.write(str(make).encode())
        file.truncate(200 << 20)
    with source.open("rb") as file:
        digest = Digest("sha256", hashlib.file_digest(file, "sha256").hexdigest())
    descriptor = Descriptor(media_type=LAYER, digest=digest, size=200 << 20)
    repository = Repository(registry, "large/blob")
    client = make(repository)
    client.put_bytes(repository, LAYER, b"everything is imported now")
    # Forgets the peak of earlier tests (proc(5), clear_refs).
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak()
    client.put_blob(repository, descriptor, source)
    with client.stream(repository, descriptor) as pieces:
        received = sum(len(piece) for piece in pieces)

    assert received == 200 << 20
    assert _peak() - before < _ROOM


def _peak() -> int:
    """Return the most memory used since it was last forgotten, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError
