"""config.json of a bundle: as much as a program needs, and no more."""

import json

import pytest

from imagekit.errors import InvalidReferenceError
from imagekit.oci.types import ImageConfig, Platform
from imagekit.offline.runtimespec import MOUNT_POINTS, runtime_spec_bytes
from imagekit.offline.stage_target import Bind

CONFIG = ImageConfig(
    platform=Platform(os="linux", architecture="amd64"),
    created="",
    diff_ids=(),
    env=("A=b",),
    entrypoint=("/bin/tool",),
    cmd=("-v",),
    workdir="/work",
)


def _spec(config: ImageConfig = CONFIG) -> dict[str, dict[str, object]]:
    spec = json.loads(runtime_spec_bytes(config, uid=7, gid=8, root="/srv/x/rootfs"))
    assert isinstance(spec, dict)
    return spec


def test_the_process_is_that_of_the_image() -> None:
    """Entrypoint and command, environment, folder and user."""
    process = _spec()["process"]

    assert process["args"] == ["/bin/tool", "-v"]
    assert process["cwd"] == "/work"
    assert process["user"] == {"uid": 7, "gid": 8}
    assert "A=b" in str(process["env"])
    assert "PATH=/usr/local/sbin" in str(process["env"])


def test_it_has_no_rights_that_it_does_not_need() -> None:
    """No capability, no new privilege, a root that is not written to."""
    spec = _spec()

    assert "capabilities" not in spec["process"]
    assert spec["process"]["noNewPrivileges"] is True
    assert spec["root"] == {"path": "/srv/x/rootfs", "readonly": True}


def test_whatever_is_mounted_on_is_made_before() -> None:
    """Else the runtime makes it, and the bytes are no more those of the receipt."""
    mounts = _spec()["mounts"]
    tops = {"/" + str(mount["destination"]).split("/")[1] for mount in mounts}  # type: ignore[index]  # objects

    assert tops == set(MOUNT_POINTS)


def test_folders_of_nodes_are_mounted() -> None:
    """Without devices and set-user-id programs of theirs."""
    binds = (Bind.parse("/home"), Bind.parse("/data/sets:/sets"))
    raw = runtime_spec_bytes(CONFIG, uid=7, gid=8, root="/r", binds=binds)

    found = [each for each in json.loads(raw)["mounts"] if each["type"] == "bind"]
    assert [(each["source"], each["destination"]) for each in found] == [
        ("/home", "/home"),
        ("/data/sets", "/sets"),
    ]
    assert found[0]["options"] == ["rbind", "nosuid", "nodev"]


@pytest.mark.parametrize("text", ["", "home", "/", "/a/../b", "/a:b", "/a:/b:ro", "/a\n", "//a"])
def test_what_is_no_folder_is_refused(text: str) -> None:
    """Both paths are absolute and plain."""
    with pytest.raises(InvalidReferenceError):
        Bind.parse(text)


def test_the_same_image_gives_the_same_bytes() -> None:
    """So that staging again finds it."""
    assert _spec() == _spec()
