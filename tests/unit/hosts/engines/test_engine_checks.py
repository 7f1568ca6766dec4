"""Ways around the gate and the policy: each is found, and nothing else is told."""

import tomllib
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.hosts.engines.engine import Engine, GateAddress, Route
from imagekit.hosts.engines.engine_checks import judge_engines
from imagekit.hosts.engines.plan_files import Wish, plan
from imagekit.hosts.host import EngineFile, EngineSetup

SAFE = EngineSetup(
    policy=EngineFile(
        path=Path("/etc/containers/policy.json"), document={"default": [{"type": "reject"}]}
    )
)
GATE = "https://gate.site:5443"
HOSTS = "/etc/containerd/certs.d/r.site/hosts.toml"
OTHERS = "/etc/containerd/certs.d/_default/hosts.toml"
OURS = "/etc/containers/registries.conf.d/99-imagekit.conf"
OWN = Path("/home/a/.config/containers/policy.json")


def _file(path: str, **document: object) -> EngineFile:
    return EngineFile(path=Path(path), document=document)


def _registry(path: str, prefix: str, **more: object) -> EngineFile:
    return _file(path, registry=[{"prefix": prefix, **more}])


def _hosts(server: object, *hosts: str, path: str = OTHERS) -> EngineFile:
    document: dict[str, object] = {} if server is None else {"server": server}
    return _file(path, **document, host={name: {} for name in hosts})


def _crio(policy: str) -> EngineFile:
    return _file("/etc/crio/crio.conf", crio={"image": {"signature_policy": policy}})


def test_a_safe_setup_has_nothing_to_tell() -> None:
    """What install writes is among it."""
    setup = replace(
        SAFE,
        registries=(
            _registry("/etc/containers/registries.conf", "r.site", location="elsewhere"),
            _registry(OURS, "r.site"),
        ),
        containerd=(_hosts(GATE, GATE, path=HOSTS), _hosts(GATE, GATE)),
        crio=(_crio("/mine.json"), _crio("/etc/containers/policy.json")),
    )

    assert {check.status for check in judge_engines(setup)} == {"ok"}


@pytest.mark.parametrize(
    ("setup", "name", "status"),
    [
        (
            replace(SAFE, overrides=(Path("/home/a/.config/containers/policy.json"),)),
            "policy",
            "problem",
        ),
        (
            replace(
                SAFE, registries=(_registry("/r.conf", "r.site", mirror=[{"location": "gate"}]),)
            ),
            "mirrors",
            "problem",
        ),
        (
            replace(SAFE, docker=_file("/daemon.json", **{"registry-mirrors": ["x"]})),
            "mirrors",
            "problem",
        ),
        (
            replace(
                SAFE,
                registries=(
                    _registry(OURS, "r.site"),
                    _registry("/etc/containers/registries.conf.d/zz.conf", "r.site"),
                ),
            ),
            "mirrors",
            "problem",
        ),
        (replace(SAFE, containerd=(_hosts("https://r.site", GATE),)), "containerd", "problem"),
        (replace(SAFE, containerd=(_hosts(None, GATE),)), "containerd", "problem"),
        # Host names are compared there by their letters.
        (replace(SAFE, containerd=(_hosts(GATE, GATE, path=HOSTS),)), "containerd", "problem"),
        (replace(SAFE, containerd=(_hosts(GATE),)), "containerd", "problem"),
        (
            replace(SAFE, containerd=(EngineFile(path=Path(OTHERS), fault="line 1"),)),
            "files",
            "problem",
        ),
        (replace(SAFE, policy=None), "policy.json", "remark"),
        (
            replace(SAFE, policy=_file("/p", default=[{"type": "insecureAcceptAnything"}])),
            "policy.json",
            "remark",
        ),
        (replace(SAFE, crio=(_crio("/mine.json"),)), "crio", "problem"),
        # A later drop-in that says nothing of it changes nothing.
        (
            replace(SAFE, crio=(_crio("/mine.json"), _file("/etc/crio/crio.conf.d/9"))),
            "crio",
            "problem",
        ),
        (replace(SAFE, crio_policies=(Path("/etc/crio/policies/a.json"),)), "crio", "problem"),
        (replace(SAFE, crio=(EngineFile(path=Path("/c"), fault="line 1"),)), "files", "problem"),
        (replace(SAFE, unverifying=("apptainer",)), "engines", "remark"),
        (replace(SAFE, network_stores=((Path("/home/a"), "nfs4"),)), "stores", "problem"),
    ],
)
def test_each_way_around_is_one_finding(setup: EngineSetup, name: str, status: str) -> None:
    """Alone, with what to do about it."""
    found = [check for check in judge_engines(setup) if check.status != "ok"]

    assert [(check.name, check.status) for check in found] == [(name, status)]
    assert found[0].hint


@pytest.mark.parametrize("value", [1, "x", [1], {"a": 1}, None])
def test_files_of_another_shape_are_no_crash(value: object) -> None:
    """Users and other programs write them."""
    setup = replace(
        SAFE,
        registries=(_file("/a", registry=value), _file("/b", registry=[{"mirror": value}])),
        containerd=(_file("/c", server=value, host=value),),
        crio=(_file("/e", crio=value), _file("/f", crio={"image": value})),
        policy=_file("/d", default=value),
    )

    judge_engines(setup)


def test_what_install_writes_for_containerd_does_not_fall_through() -> None:
    """The doctor and the installer mean the same."""
    gate = GateAddress(address="gate.site", routes=(Route(registry="r.site", below="r"),))
    planned = plan(Wish(gate=gate, engines=frozenset({Engine.CONTAINERD})), {})
    written = tuple(
        _file(str(file.path), **tomllib.loads(file.content.decode())) for file in planned.files
    )
    setup = replace(SAFE, containerd=written)

    assert {check.status for check in judge_engines(setup)} == {"ok"}
