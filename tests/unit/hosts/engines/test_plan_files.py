"""Which files send engines to the gate: each test is about one way to get it wrong."""

import json
import tomllib
from pathlib import PurePosixPath

import pytest

from imagekit.errors import ImagekitError, InputError
from imagekit.hosts.engines.engine import Engine, GateAddress, Route
from imagekit.hosts.engines.plan_files import DAEMON, Plan, Wish, plan
from imagekit.hosts.engines.plan_files import POLICY as POLICY_NAME
from imagekit.hosts.engines.plan_files import REGISTRIES as REGISTRIES_NAME
from imagekit.hosts.hostfiles import HOST

POLICY = HOST.containers / POLICY_NAME
REGISTRIES = HOST.containers / REGISTRIES_NAME

SITE = Route(registry="registry.site:5000")
GATE = GateAddress(
    address="gate.site:5443", routes=(SITE,), authority=b"-----BEGIN CERTIFICATE-----\n"
)
LOCAL = GateAddress(address="127.0.0.1:5443", routes=(SITE,), tls=False)
TWO = GateAddress(
    address="gate.site",
    routes=(Route(registry="a.site", below="a"), Route(registry="b.site", below="b")),
)


def _plan(gate: GateAddress, *engines: Engine, daemon: bytes | None = None, **more: str) -> Plan:
    existing = {} if daemon is None else {DAEMON: daemon}
    return plan(Wish(gate=gate, engines=frozenset(engines), **more), existing)  # type: ignore[arg-type]


def _file(planned: Plan, path: PurePosixPath | str) -> str:
    return next(file.content for file in planned.files if str(file.path) == str(path)).decode()


def test_podman_replaces_the_registry_and_has_no_mirror() -> None:
    """Behind a mirror that refuses, the origin would be asked."""
    shown = tomllib.loads(_file(_plan(GATE, Engine.CONTAINERS), REGISTRIES))

    assert shown == {"registry": [{"prefix": "registry.site:5000", "location": "gate.site:5443"}]}


def test_podman_is_told_of_plain_http_only_where_it_is() -> None:
    """Insecure also lets bad certificates pass."""
    shown = tomllib.loads(_file(_plan(LOCAL, Engine.CONTAINERS), REGISTRIES))

    assert shown["registry"][0]["insecure"] is True


def test_each_registry_has_its_name_on_the_gate() -> None:
    """A gate before several keeps them apart."""
    shown = tomllib.loads(_file(_plan(TWO, Engine.CONTAINERS), REGISTRIES))

    assert [one["location"] for one in shown["registry"]] == ["gate.site/a", "gate.site/b"]


def test_policy_json_rejects_what_does_not_come_through_the_gate() -> None:
    """No other transport or registry is a way around it."""
    shown = json.loads(_file(_plan(GATE, Engine.CONTAINERS), POLICY))

    assert shown["default"] == [{"type": "reject"}]
    assert set(shown["transports"]) == {"docker", "containers-storage"}
    assert set(shown["transports"]["docker"]) == {"registry.site:5000"}


def test_containerd_has_server_and_host_both_at_the_gate() -> None:
    """Server alone fails in 1.6 and asks the origin in silence."""
    path = "/etc/containerd/certs.d/registry.site:5000/hosts.toml"
    shown = tomllib.loads(_file(_plan(GATE, Engine.CONTAINERD), path))

    url = "https://gate.site:5443"
    authority = "/etc/containerd/certs.d/registry.site:5000/imagekit-gate.crt"
    assert shown["server"] == url
    assert shown["host"] == {url: {"capabilities": ["pull", "resolve"], "ca": authority}}


def test_containerd_finds_each_registry_below_the_gate() -> None:
    """The path that is given is the whole one, with the API's version."""
    shown = tomllib.loads(
        _file(_plan(TWO, Engine.CONTAINERD), "/etc/containerd/certs.d/b.site/hosts.toml")
    )

    assert shown["server"] == "https://gate.site/v2/b"
    assert shown["host"]["https://gate.site/v2/b"]["override_path"] is True


@pytest.mark.parametrize("gate", [GATE, LOCAL, TWO])
def test_containerd_asks_the_gate_for_other_spellings_too(gate: GateAddress) -> None:
    """It compares hosts by their letters; by `?ns=` the gate knows which is meant."""
    folder = "/etc/containerd/certs.d/_default"
    shown = tomllib.loads(_file(_plan(gate, Engine.CONTAINERD), f"{folder}/hosts.toml"))

    assert shown["server"] == gate.url
    assert [*shown["host"]] == [gate.url]
    assert "override_path" not in shown["host"][gate.url]
    assert shown["host"][gate.url].get("ca", "") == (
        f"{folder}/imagekit-gate.crt" if gate.authority and gate.tls else ""
    )


def test_dockers_settings_are_kept() -> None:
    """The file is shared: what others wrote stays."""
    before = b'{"data-root": "/srv", "insecure-registries": ["old:1"]}'

    shown = json.loads(_file(_plan(LOCAL, Engine.DOCKER, daemon=before), DAEMON))

    assert shown == {"data-root": "/srv", "insecure-registries": ["old:1", "127.0.0.1:5443"]}


def test_docker_asks_the_plugin_once() -> None:
    """A second installation does not add it again."""
    before = b'{"authorization-plugins": ["imagekit"]}'

    planned = _plan(GATE, Engine.DOCKER, daemon=before, authorization="imagekit")

    assert DAEMON not in {file.path for file in planned.files}


def test_dockers_mirrors_are_told_of() -> None:
    """What a mirror refuses is pulled from Docker Hub."""
    planned = _plan(GATE, Engine.DOCKER, daemon=b'{"registry-mirrors": ["https://gate.site"]}')

    assert "FALLS_THROUGH" in {remark.code for remark in planned.remarks}


@pytest.mark.parametrize(
    "daemon", [b"[]", b"{", b'{"a": 1, "A": 2}', b'{"insecure-registries": "x"}']
)
def test_a_daemon_file_that_cannot_be_kept_is_not_replaced(daemon: bytes) -> None:
    """Half of it would be lost."""
    with pytest.raises(ImagekitError) as caught:
        _plan(LOCAL, Engine.DOCKER, daemon=daemon)
    assert isinstance(caught.value, InputError)


def test_certificates_stand_where_each_engine_looks() -> None:
    """Without them a gate of the site's own authority is refused."""
    paths = {str(file.path) for file in _plan(GATE, *Engine).files}

    assert "/etc/containers/certs.d/gate.site:5443/ca.crt" in paths
    assert "/etc/docker/certs.d/gate.site:5443/ca.crt" in paths
