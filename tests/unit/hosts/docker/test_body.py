"""What bodies of requests to Docker may say: each member by name, and nothing else."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from imagekit.errors import DocumentError
from imagekit.hosts.docker import body
from imagekit.hosts.docker.body import Rule, container_rules, parse_body

IMAGE = "r.site/app@sha256:" + "1" * 64
BIND = container_rules(frozenset({"/srv/data"}))
NONE = container_rules(frozenset())


def _host(**members: object) -> bytes:
    return json.dumps({"Image": IMAGE, "HostConfig": members}).encode()


def _parse(members: Mapping[str, object], rules: Mapping[str, Rule]) -> Any:
    return parse_body(json.dumps(members).encode(), rules)


@pytest.mark.parametrize(
    "members",
    [
        {"Privileged": True},
        {"Privileged": 1.5},
        {"Privileged": "true"},
        {"PidMode": "host"},
        {"IpcMode": "host"},
        {"UTSMode": "host"},
        {"UsernsMode": "host"},
        {"CgroupnsMode": "host"},
        {"NetworkMode": "host"},
        {"NetworkMode": "container:"},
        {"NetworkMode": "../x"},
        {"PidMode": "container:../../x"},
        {"PidMode": "other"},
        {"Cgroup": "container:x"},
        {"CgroupParent": "/"},
        {"Runtime": "evil"},
        {"Runtime": "io.containerd.runc.v2"},
        {"VolumeDriver": "evil"},
        {"LogConfig": {"Type": "evil"}},
        {"LogConfig": {"Type": "syslog", "Config": {"syslog-address": "unix:///run/x.sock"}}},
        {"LogConfig": []},
        {"CapAdd": ["ALL"]},
        {"CapAdd": ["SYS_ADMIN"]},
        {"CapAdd": ["CHOWN", "CAP_SYS_MODULE"]},
        {"CapAdd": ["sys_admin"]},
        {"CapAdd": "CHOWN"},
        {"SecurityOpt": ["seccomp=unconfined"]},
        {"SecurityOpt": ["apparmor:unconfined"]},
        {"SecurityOpt": ["no-new-privileges", "label=disable"]},
        {"SecurityOpt": ["no-new-privileges:false"]},
        {"Devices": [{"PathOnHost": "/dev/sda"}]},
        {"DeviceCgroupRules": ["a *:* rwm"]},
        {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["evil.org/x=1"]}]},
        {"Annotations": {"run.oci.handler": "wasm"}},
        {"MaskedPaths": []},
        {"ReadonlyPaths": []},
        {"Isolation": "hyperv"},
        {"Unknown": ""},
        {"privileged": True},
        {"Binds": ["/:/host"]},
        {"Binds": ["/srv/data:/data", "/etc:/x"]},
        {"Binds": ["/srv/data/../../etc:/x"]},
        {"Binds": ["/srv/data/:/x"]},
        {"Binds": ["/srv/data/link:/x"]},
        {"Binds": ["/srv/data:/x:shared"]},
        {"Binds": ["/srv/data:/x:rw,rshared"]},
        {"Binds": ["/srv/data:/x:ro:z"]},
        {"Binds": ["../x:/x"]},
        {"Binds": ["/srv/data"]},
        {"Binds": [1]},
        {"Binds": "/:/host"},
        {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}]},
        {"Mounts": [{"Type": "bind", "Target": "/host"}]},
        {"Mounts": [{"Type": "image", "Source": "evil", "Target": "/x"}]},
        {"Mounts": [{"Type": "cluster", "Source": "evil", "Target": "/x"}]},
        {"Mounts": [{"Type": "npipe"}]},
        {"Mounts": [{"Type": "volume", "ImageOptions": {"Subpath": "x"}}]},
        {"Mounts": [{"type": "image"}]},
        {"Mounts": [{"Type": "volume", "VolumeOptions": {"DriverConfig": {"Name": "evil"}}}]},
        {
            "Mounts": [
                {
                    "Type": "volume",
                    "Source": "x",
                    "VolumeOptions": {"DriverConfig": {"Options": {"o": "bind", "device": "/"}}},
                }
            ]
        },
        {
            "Mounts": [
                {"Type": "bind", "Source": "/srv/data", "BindOptions": {"Propagation": "rshared"}}
            ]
        },
        {
            "Mounts": [
                {"Type": "bind", "Source": "/srv/data", "BindOptions": {"CreateMountpoint": True}}
            ]
        },
        {"Mounts": [7]},
        {"Mounts": {"Type": "volume"}},
    ],
    ids=str,
)
def test_what_leads_out_of_a_container_is_refused(members: Mapping[str, object]) -> None:
    """Each on its own, where one folder may be mounted."""
    with pytest.raises(DocumentError):
        parse_body(_host(**members), BIND)


@pytest.mark.parametrize(
    "members",
    [
        {"Privileged": False, "PidMode": "", "IpcMode": "private", "UTSMode": "", "Runtime": ""},
        {"NetworkMode": "bridge", "PidMode": "container:abc", "CgroupnsMode": "private"},
        {"NetworkMode": "container:abc", "IpcMode": "container:abc"},
        {"CapAdd": ["CAP_IPC_LOCK", "SYS_PTRACE"], "SecurityOpt": ["no-new-privileges"]},
        {"Binds": ["/srv/data:/data:ro", "vol:/x", "vol:/y:nocopy"]},
        {"Mounts": [{"Type": "bind", "Source": "/srv/data", "Target": "/d", "ReadOnly": True}]},
        {"Mounts": [{"Type": "volume", "Source": "vol", "Target": "/d", "VolumeOptions": None}]},
        {"Mounts": [{"Type": "tmpfs", "Target": "/d", "TmpfsOptions": {"SizeBytes": 1}}]},
        {"MaskedPaths": None, "Unknown": None, "Devices": None, "Mounts": None, "Binds": None},
    ],
    ids=str,
)
def test_what_stays_in_a_container_is_allowed(members: Mapping[str, object]) -> None:
    """With the folder that is listed."""
    assert parse_body(_host(**members), BIND)["Image"] == IMAGE


def test_without_a_list_no_folder_of_the_host_is_mounted() -> None:
    """The message names the remedy."""
    with pytest.raises(DocumentError, match="not judged") as caught:
        parse_body(_host(Binds=["/srv/data:/data"]), NONE)

    assert "--bind" in caught.value.hint


@pytest.mark.parametrize(
    "members",
    [
        {"Privileged": True},
        {"Binds": ["/:/host"]},
        {"VolumeDriver": "evil"},
        {"NetworkingConfig": {"EndpointsConfig": {"host": {}}}},
        {"NetworkingConfig": {"EndpointsConfig": {"x": {"DriverOpts": {"a": "b"}}}}},
        {"NetworkingConfig": {"EndpointsConfig": []}},
        {"HostConfig": []},
    ],
    ids=str,
)
def test_members_of_the_host_are_refused_beside_it(members: Mapping[str, object]) -> None:
    """The daemon reads them at the top of the body as well."""
    with pytest.raises(DocumentError):
        _parse({"Image": IMAGE, **members}, BIND)


@pytest.mark.parametrize(
    ("rules", "members"),
    [
        (body.EXEC, {"Cmd": ["ls"], "Privileged": True}),
        (body.EXEC, {"Cmd": ["ls"], "privileged": True}),
        (body.EXEC_START, {"Detach": False, "Privileged": True}),
        (body.UPDATE, {"Devices": [{"PathOnHost": "/dev/sda"}]}),
        (body.UPDATE, {"CgroupParent": "/"}),
        (body.VOLUME, {"Name": "x", "Driver": "evil"}),
        (body.VOLUME, {"Name": "x", "DriverOpts": {"type": "none", "device": "/"}}),
        (body.VOLUME, {"Name": "x", "ClusterVolumeSpec": {"Group": "x"}}),
        (body.NETWORK, {"Name": "x", "Driver": "evil"}),
        (body.NETWORK, {"Name": "x", "Driver": "host"}),
        (body.NETWORK, {"Name": "x", "Scope": "swarm"}),
        (body.NETWORK, {"Name": "x", "IPAM": {"Driver": "evil"}}),
        (body.NETWORK, {"Name": "x", "ConfigFrom": {"Network": "other"}}),
        (body.CONNECT, {"Container": "x", "EndpointConfig": {"DriverOpts": {"a": "b"}}}),
        (body.DISCONNECT, {"Container": "x", "Other": 1}),
    ],
    # The rules are functions, whose texts differ from process to process.
    ids=lambda value: None if any(map(callable, value.values())) else str(value),
)
def test_other_bodies_are_lists_as_well(
    rules: Mapping[str, Rule], members: Mapping[str, object]
) -> None:
    """Drivers are code outside of images, and options of volumes mount the host."""
    with pytest.raises(DocumentError):
        _parse(members, rules)
