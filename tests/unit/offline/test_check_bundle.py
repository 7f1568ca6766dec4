"""A bundle that a workload manager made for a job is the staged one, but for what is the job's."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagekit.clock import SystemClock
from imagekit.errors import DocumentError, ImagekitError, NotFoundError
from imagekit.oci.digest import Digest
from imagekit.oci.reference import parse_reference
from imagekit.oci.types import ImageConfig, Platform
from imagekit.offline.check_bundle import guard
from imagekit.offline.check_receipt import Asked
from imagekit.offline.receipt import receipt_statement
from imagekit.offline.runtimespec import runtime_spec_bytes
from imagekit.offline.stage_target import StageKind
from imagekit.offline.staged import receipt_path, staged_digest, write_receipt
from imagekit.policy.findings import Finding
from imagekit.signatures.intoto import statement_bytes
from imagekit.signatures.publickey import public_key_pem
from imagekit.verify.policies import load_unsigned
from imagekit.verify.verdict import Verdict
from tests.support.fakes import MemorySigner

NODES = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: nodes, version: 1, expires: 2999-01-01T00:00:00Z}
images:
  - match: {glob: "r.site/apps/**"}
    proof: vsa
    authorities: [{name: staging, key: {path: staging.pub}}]
    vsa: {verifierIds: ["urn:imagekit:stage"]}
"""
CONFIG = ImageConfig(
    platform=Platform(os="linux", architecture="amd64"), created="", diff_ids=(), cmd=("tool",)
)
Change = Callable[[dict[str, Any]], None]


class Node:
    """A staged bundle, and a job's copy of its configuration."""

    def __init__(self, folder: Path) -> None:
        """Stage by hand, so that no program is needed."""
        self.folder = folder
        self.version = folder / "srv/app.d/v1"
        (self.version / "rootfs/bin").mkdir(parents=True)
        (self.version / "rootfs/bin/tool").write_bytes(b"tool")
        self.path = folder / "srv/app"
        self.path.symlink_to("app.d/v1")
        root = str(self.version / "rootfs")
        spec = runtime_spec_bytes(CONFIG, uid=0, gid=0, root=root)
        (self.version / "config.json").write_bytes(spec)
        self._receipt()
        self.job = folder / "spool/job"
        self.job.mkdir(parents=True)
        self.job_config()

    def _receipt(self) -> None:
        signer = MemorySigner()
        (self.folder / "staging.pub").write_bytes(public_key_pem(signer.public_key))
        (self.folder / "nodes.yaml").write_text(NODES)
        verdict = Verdict(
            reference=parse_reference("r.site/apps/app:1"),
            digest=Digest.of(b"image"),
            policy="site",
            policy_digest=Digest.of(b"policy"),
            findings=(Finding(check="x", code="OK", message="", severity="ok"),),
        )
        statement = receipt_statement(
            verdict,
            verifier="urn:imagekit:stage",
            kind=StageKind.BUNDLE,
            staged=staged_digest(self.version, StageKind.BUNDLE),
            time=SystemClock().now(),
        )
        write_receipt(receipt_path(self.version), signer.bundle(statement_bytes(statement)))

    def job_config(self, *changes: Change) -> None:
        """Write what Slurm makes of the configuration, changed."""
        config = json.loads((self.version / "config.json").read_bytes())
        config["root"]["path"] = str(self.path / "rootfs")
        config["process"] |= {"args": ["tool", "-n", "4"], "env": ["SLURM_JOB_ID=7"]}
        for change in changes:
            change(config)
        (self.job / "config.json").write_text(json.dumps(config))

    def guard(self) -> bool:
        """Let the guard look."""
        policy = load_unsigned(self.folder / "nodes.yaml")
        return guard(self.job, policy=policy, asked=Asked()).verdict.allowed


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A node with a staged bundle."""
    return Node(tmp_path)


def test_a_jobs_command_and_environment_are_its_own(node: Node) -> None:
    """All else is as it was staged."""
    assert node.guard()


def test_the_version_that_was_checked_is_the_one_that_runs(node: Node) -> None:
    """The link may lead to another one a moment later."""
    node.guard()

    config = json.loads((node.job / "config.json").read_bytes())
    assert config["root"]["path"] == str(node.version / "rootfs")
    assert config["process"]["args"] == ["tool", "-n", "4"]


@pytest.mark.parametrize("uid", [0, 4321])
def test_an_ordinary_user_gets_a_user_namespace(
    node: Node, monkeypatch: pytest.MonkeyPatch, uid: int
) -> None:
    """In which this user is root; root's containers have whom the image says."""
    policy = load_unsigned(node.folder / "nodes.yaml")
    asked = Asked(owners=frozenset({os.getuid()}))
    monkeypatch.setattr(os, "geteuid", lambda: uid)

    assert guard(node.job, policy=policy, asked=asked).verdict.allowed

    config = json.loads((node.job / "config.json").read_bytes())
    mapping = [{"containerID": 0, "hostID": uid, "size": 1}]
    assert config["linux"].get("uidMappings") == (mapping if uid else None)
    assert ({"type": "user"} in config["linux"]["namespaces"]) == bool(uid)
    assert ({"type": "sysfs"}.items() <= config["mounts"][5].items()) == (not uid)
    assert ("gid=5" in config["mounts"][2]["options"]) == (not uid)


def test_altered_bytes_are_refused(node: Node) -> None:
    """As by any check of the receipt."""
    (node.version / "rootfs/bin/tool").write_bytes(b"evil")

    assert not node.guard()


def _mount(config: dict[str, Any]) -> None:
    config["mounts"].append({"destination": "/bin", "type": "bind", "source": "/tmp/evil"})


def _hook(config: dict[str, Any]) -> None:
    config["hooks"] = {"createRuntime": [{"path": "/tmp/evil"}]}


def _user(config: dict[str, Any]) -> None:
    config["process"]["user"] = {"uid": 5, "gid": 5}


def _capabilities(config: dict[str, Any]) -> None:
    config["process"]["capabilities"] = {"bounding": ["CAP_SYS_ADMIN"]}


def _privileges(config: dict[str, Any]) -> None:
    config["process"]["noNewPrivileges"] = False


def _writable(config: dict[str, Any]) -> None:
    config["root"]["readonly"] = False


def _namespaces(config: dict[str, Any]) -> None:
    config["linux"]["namespaces"] = []


@pytest.mark.parametrize(
    "change", [_mount, _hook, _user, _capabilities, _privileges, _writable, _namespaces]
)
def test_what_is_not_the_jobs_to_choose_is_refused(node: Node, change: Change) -> None:
    """A mount could put another program in the place of the image's."""
    node.job_config(change)

    with pytest.raises(DocumentError, match="differs from the staged one"):
        node.guard()


@pytest.mark.parametrize(
    "root", ["rootfs", "", "/", "/etc", "/srv/../etc/rootfs", 7, None], ids=str
)
def test_a_root_that_is_no_staged_bundles_is_refused(node: Node, root: object) -> None:
    """Only what was staged runs."""
    node.job_config(lambda config: config["root"].update(path=root))

    with pytest.raises(ImagekitError):
        node.guard()


def test_a_users_own_bundle_has_no_receipt(node: Node, tmp_path: Path) -> None:
    """However good its configuration is."""
    (tmp_path / "own/rootfs").mkdir(parents=True)
    own = str(tmp_path / "own/rootfs")
    node.job_config(lambda config: config["root"].update(path=own))

    with pytest.raises(NotFoundError, match="no receipt"):
        node.guard()


def test_a_link_to_a_staged_root_is_no_staged_bundle(node: Node, tmp_path: Path) -> None:
    """What counts is the bundle, and not where its parts lead to."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/rootfs").symlink_to(node.version / "rootfs")
    own = str(tmp_path / "own/rootfs")
    node.job_config(lambda config: config["root"].update(path=own))

    with pytest.raises(NotFoundError):
        node.guard()


def test_a_twofold_configuration_is_refused(node: Node) -> None:
    """Go would take the other key."""
    raw = (node.job / "config.json").read_text()
    (node.job / "config.json").write_text(raw[:-1] + ', "Root": {"path": "/"}}')

    with pytest.raises(DocumentError):
        node.guard()
