"""Attack 49: requests to Docker's daemon that bring or name code that nobody judged.

Where every image is allowed, each is refused all the same.
"""

import json

import pytest

from imagekit.hosts.docker.answer import answer
from imagekit.hosts.docker.request import DockerRequest
from imagekit.hosts.hook_types import GateConfig, HookConfig
from imagekit.oci.digest import Digest
from tests.support.hostile import Answer, HostileRegistry

MANIFEST = b'{"schemaVersion": 2}'
DIGEST = Digest.of(MANIFEST)
IMAGE = f"r.site/app@{DIGEST}"
JSON = "application/json"


def _allowed(method: str, uri: str, body: object = None, *, length: str | None = None) -> bool:
    """Ask on a host whose gate allows every image."""
    raw = None if body is None else json.dumps(body).encode()
    request = DockerRequest(
        method=method, uri=uri, body=raw, length=str(len(raw)) if raw is not None else length
    )
    served = Answer(200, {"Docker-Content-Digest": str(DIGEST)}, MANIFEST)
    with HostileRegistry(lambda _: served) as gate:
        asked = GateConfig(address=gate.host, tls=False, registries={"r.site": ""})
        return answer(HookConfig(gate=asked), request)[0]


def _runs(**host: object) -> bool:
    return _allowed("POST", "/v1.41/containers/create", {"Image": IMAGE, "HostConfig": host})


def test_the_honest_requests_beside_the_attacks() -> None:
    """Each attack below differs from one of these in one thing."""
    assert _runs()
    assert _allowed("POST", f"/v1.41/images/create?fromImage={IMAGE}", length="0")
    assert _allowed("POST", "/v1.41/containers/x/start", length="0")
    assert _allowed("POST", "/v1.41/volumes/create", {"Name": "x"})


@pytest.mark.parametrize(
    "uri", ["/swarm/join", "/swarm/init", "/nodes/x/update", "/secrets/create", "/tasks"]
)
def test_a_swarm_schedules_what_its_manager_says(uri: str) -> None:
    """A node of it runs images that this daemon was never asked about."""
    assert not _allowed("POST", f"/v1.41{uri}", {"RemoteAddrs": ["192.0.2.1"]})


@pytest.mark.parametrize("runtime", ["container", "plugin", "attachment"])
def test_a_service_of_a_plugin(runtime: str) -> None:
    """Its image is a plugin's, and not that of the container."""
    spec = {"Runtime": runtime, "ContainerSpec": {"Image": IMAGE}}

    assert not _allowed("POST", "/v1.41/services/create", {"TaskTemplate": spec})


@pytest.mark.parametrize("verb", ["pull", "x/upgrade", "create", "x/enable", "x/set"])
def test_a_plugin_is_code_on_the_host(verb: str) -> None:
    """Upgrading is pulling, too."""
    assert not _allowed("POST", f"/v1.41/plugins/{verb}?remote={IMAGE}", [])


@pytest.mark.parametrize("length", ["20", None])
def test_a_form_in_the_body_overrides_the_query(length: str | None) -> None:
    """The daemon passes on no body of that type; in chunks it has not even a length."""
    assert not _allowed("POST", f"/v1.41/images/create?fromImage={IMAGE}", length=length)


@pytest.mark.parametrize(
    "mount",
    [
        {"Type": "image", "Source": "evil:1", "Target": "/x"},
        {"Type": "image", "Source": IMAGE, "Target": "/x"},
        {"Type": "bind", "Source": "/home/me", "Target": "/x"},
        {"type": "image", "source": "evil:1", "target": "/x"},
    ],
    ids=str,
)
def test_a_mount_of_something_else(mount: object) -> None:
    """Another image, or a folder of the host, holds programs as well."""
    assert not _runs(Mounts=[mount])


@pytest.mark.parametrize(
    "uri",
    ["/containers/x/start?checkpoint=c&checkpoint-dir=/home/me", "/v1.23/containers/x/start"],
)
def test_a_container_that_starts_as_another_one(uri: str) -> None:
    """From a checkpoint's memory, or by a configuration in the body of an old version."""
    assert not _allowed("POST", uri, length="0")


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_files_copied_into_a_container(method: str) -> None:
    """They are programs of nobody's image."""
    assert not _allowed(method, "/v1.41/containers/x/archive?path=/bin", length="0")


def test_a_volume_that_is_a_folder_of_the_host() -> None:
    """The local driver mounts what its options say."""
    options = {"type": "none", "o": "bind", "device": "/"}

    assert not _allowed("POST", "/v1.41/volumes/create", {"Name": "x", "DriverOpts": options})


@pytest.mark.parametrize(
    "host",
    [
        {"Privileged": True},
        {"privileged": True},
        {"Binds": ["/run:/run"]},
        {"PidMode": "host"},
        {"CapAdd": ["SYS_ADMIN"]},
        {"Devices": [{"PathOnHost": "/dev/vda", "PathInContainer": "/dev/vda"}]},
        {"Runtime": "evil"},
        {"Annotations": {"run.oci.handler": "wasm"}},
    ],
    ids=str,
)
def test_a_container_that_is_root_on_the_host(host: dict[str, object]) -> None:
    """It would end the plugin, and run what it likes."""
    assert not _runs(**host)


def test_a_privileged_process_in_a_container() -> None:
    """A judged container is not asked about again."""
    body = {"Cmd": ["sh"], "Privileged": True}

    assert not _allowed("POST", "/v1.41/containers/x/exec", body)


@pytest.mark.parametrize(
    "uri",
    ["/v1.41/%62uild", "/v1.41//build", "/v1.41/build/", "/v9.9/build", "/v1.41/x/../build"],
)
def test_a_path_in_other_words(uri: str) -> None:
    """The router decodes and cleans it."""
    assert not _allowed("POST", uri, length="0")
