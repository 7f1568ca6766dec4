"""config.json of a user's container, from what lies in a staged image."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.errors import IntegrityError
from imagekit.hosts import user_config
from imagekit.oci.codec import config_bytes
from imagekit.oci.types import ImageConfig, Platform
from imagekit.offline.runtimespec import runtime_spec_bytes
from imagekit.offline.stage_target import Bind

CONFIG = ImageConfig(
    platform=Platform(os="linux", architecture="amd64"),
    created="",
    diff_ids=(),
    entrypoint=("/bin/tool",),
    cmd=("-v",),
    user="999",
)


class Run:
    """The folder of one run, with an image in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Unpack an image."""
        self.folder, self.image = folder, folder / "image"
        self.monkeypatch = monkeypatch
        (self.image / ".imagekit").mkdir(parents=True)
        (self.image / ".imagekit/image.json").write_bytes(config_bytes(CONFIG))
        (self.image / "etc").mkdir()
        (self.image / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")

    def ask(self, **more: Any) -> int:
        """Ask for a config.json, and return the exit code."""
        asked: dict[str, Any] = {"folder": str(self.folder), "bundle": "", "name": "ann"}
        asked |= {"uid": 1000, "gid": 100, "container": {"network": "host"}} | more
        self.monkeypatch.setattr(sys, "argv", ["x", json.dumps(asked)])
        return user_config.main()

    def config(self, **more: Any) -> dict[str, Any]:
        """Write config.json, and return it."""
        assert self.ask(**more) == 0
        read = json.loads((self.folder / "config.json").read_bytes())
        assert isinstance(read, dict)
        return read


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """One run."""
    return Run(tmp_path, monkeypatch)


def test_the_process_is_the_user(run: Run) -> None:
    """Not whom the image says: no other id is mapped."""
    config = run.config()

    assert config["process"]["user"] == {"uid": 1000, "gid": 100}
    assert config["linux"]["uidMappings"] == [{"containerID": 1000, "hostID": 0, "size": 1}]
    assert config["linux"]["gidMappings"] == [{"containerID": 100, "hostID": 0, "size": 1}]
    assert {"type": "user"} in config["linux"]["namespaces"]
    assert config["root"] == {"path": str(run.folder / "root"), "readonly": True}


def test_programs_find_the_users_name(run: Run) -> None:
    """In the image's own file, which is left alone where it knows the user."""
    mounts = {mount["destination"]: mount["source"] for mount in run.config()["mounts"]}

    assert Path(mounts["/etc/passwd"]).read_text().splitlines() == [
        "root:x:0:0::/root:/bin/sh",
        "ann:x:1000:100::/tmp:/bin/sh",
    ]
    (run.image / "etc/passwd").write_text("own:x:1000:1000::/:/bin/sh")
    assert "/etc/passwd" not in {mount["destination"] for mount in run.config()["mounts"]}


def test_the_hosts_names_come_with_its_network(run: Run) -> None:
    """Where the image has a place for them, which is no link."""
    (run.image / "etc/hosts").touch()
    (run.image / "etc/resolv.conf").symlink_to("hosts")

    shown = {mount["destination"] for mount in run.config()["mounts"]}
    alone = run.config(container={"network": "none"})

    assert "/etc/hosts" in shown
    assert "/etc/resolv.conf" not in shown
    assert "/etc/hosts" not in {mount["destination"] for mount in alone["mounts"]}
    assert {"type": "network"} in alone["linux"]["namespaces"]


@pytest.mark.parametrize(
    ("arguments", "run_as"), [([], ["/bin/tool", "-v"]), (["x"], ["/bin/tool", "x"])]
)
def test_arguments_go_to_the_entrypoint(run: Run, arguments: list[str], run_as: list[str]) -> None:
    """As with an engine."""
    assert run.config(arguments=arguments)["process"]["args"] == run_as


def test_a_bundle_has_its_own_configuration(run: Run, tmp_path: Path) -> None:
    """With the folders of nodes that were chosen when it was staged."""
    binds = (Bind.parse("/data"),)
    raw = runtime_spec_bytes(CONFIG, uid=5, gid=5, root="/x/rootfs", binds=binds)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/config.json").write_bytes(raw)

    config = run.config(bundle=str(tmp_path / "bundle"), arguments=["/bin/other"])

    assert config["process"]["args"] == ["/bin/other"]
    assert "/data" in {mount["destination"] for mount in config["mounts"]}
    assert config["process"]["user"]["uid"] == 1000


def test_what_the_image_calls_its_configuration_is_read_in_it(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """A link to a file of the host is an error, and no traceback."""
    (run.image / ".imagekit/image.json").unlink()
    (run.image / ".imagekit/image.json").symlink_to("/etc/hostname")

    assert run.ask() == IntegrityError.exit_code
    assert "the file has no /.imagekit/image.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("entrypoint", "arguments", "run_as"),
    [("/bin/sh", [], ["/bin/sh"]), ("/bin/sh", ["x"], ["/bin/sh", "x"]), ("", ["x"], ["x"])],
)
def test_the_entrypoint_can_be_replaced(
    run: Run, entrypoint: str, arguments: list[str], run_as: list[str]
) -> None:
    """And with it the image's command."""
    config = run.config(container={"entrypoint": entrypoint}, arguments=arguments)

    assert config["process"]["args"] == run_as


def test_what_podman_keeps_in_memory_is_so_here(run: Run) -> None:
    """Where the image has the folder; a bundle's binds and volumes can lie in it."""
    (run.image / "run").mkdir()
    volume = {"source": "/srv", "target": "/run/munge"}

    mounts = run.config(container={"volumes": [volume]})["mounts"]

    places = [mount["destination"] for mount in mounts]
    assert places.index("/run") < places.index("/run/munge")
    assert mounts[places.index("/run")]["type"] == "tmpfs"
    assert "/var/tmp" not in places


def test_what_the_caller_chose_is_in_it(run: Run) -> None:
    """Volumes without their devices, variables of which the last counts, and a folder."""
    volume = {"source": "/srv", "target": "/data", "read_only": True}
    config = run.config(
        container={"volumes": [volume], "env": ["A=1", "HOME=/h", "A=2"], "workdir": "/data"}
    )

    (mount,) = (each for each in config["mounts"] if each["destination"] == "/data")
    assert mount["options"] == ["rbind", "nosuid", "nodev", "ro"]
    assert {"A=2", "HOME=/h"} <= set(config["process"]["env"])
    assert not {"A=1", "HOME=/tmp"} & set(config["process"]["env"])
    assert config["process"]["cwd"] == "/data"


def _ranks(pmi: str) -> dict[str, object]:
    launch = {"tasks": 2, "counted": "SLURM_STEP_NUM_TASKS='2'", "pmi": pmi}
    return {"mode": "auto", "launch": launch}


def _labelled(run: Run, implementation: str) -> None:
    labels = {"org.supercontainers.mpi.implementation": implementation}
    config = replace(CONFIG, entrypoint=("mpirun",), labels=labels)
    (run.image / ".imagekit/image.json").write_bytes(config_bytes(config))


def test_a_rank_runs_the_program_and_no_mpirun(run: Run) -> None:
    """With the host's process numbers, by which ranks of one node know each other."""
    _labelled(run, "openmpi")
    container = {"network": "host", "host_processes": True}

    config = run.config(container=container, arguments=["hello"], ranks=_ranks("pmix"))

    assert config["process"]["args"] == ["hello"]
    assert "pid" not in {space["type"] for space in config["linux"]["namespaces"]}
    proc = next(mount for mount in config["mounts"] if mount["destination"] == "/proc")
    assert (proc["type"], proc["source"]) == ("bind", "/proc")


@pytest.mark.parametrize("offered", ["pmix", ""])
def test_ranks_that_would_be_alone_do_not_start(
    run: Run, capsys: pytest.CaptureFixture[str], offered: str
) -> None:
    """MPICH by PMIx would be one rank in each container, and end with 0."""
    _labelled(run, "mpich")

    assert run.ask(arguments=["hello"], ranks=_ranks(offered)) == 2
    assert not (run.folder / "config.json").exists()
    assert "rank 0 of 1" in capsys.readouterr().err
