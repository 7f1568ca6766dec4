"""Every document of ``--json`` has the shape that docs/json.md promises."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.advisories import export, fixed, osv, write_image
from tests.support.servers import RegistryServer

pytestmark = pytest.mark.real

RECIPE = """\
schema: 1
name: hello
version: 1.0.0
base: scratch
steps:
  - copy: {from: hello.txt, to: /hello.txt}
needs: {kernel: {minimum: "3.2"}}
tags: {immutable: ["{version}"], moving: [latest]}
"""
SOLVER = """\
schema: 1
name: solver
version: 1.0.0
base: scratch
steps:
  - copy: {from: root, to: /}
"""
IMAGE = "oci:images:hello:1.0.0"
VULNERABLE = "oci:vulnerable:solver:1.0.0"
STAGE = ("--key", "imagekit.key", "--to", "oci:staged")
TRUST = (
    *("--gate", "http://127.0.0.1:5000", "--registry", "registry.site"),
    *("--engine", "containers", "--root", "root"),
)
TABLE = """\
apiVersion: imagekit/v1
kind: PolicyTest
policy: policy.yaml
cases: [{name: it is signed, reference: "localhost/hello:1.0.0", evidence: evidence, expect: allow}]
"""
LISTED = """\
{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "library", "name": "a",
 "version": "1", "licenses": [{"license": {"id": "MIT"}}],
 "properties": [{"name": "imagekit:origin", "value": "recipe"}]}]}
"""
NODES = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {name: nodes, version: 1, expires: 2036-01-01T00:00:00Z}
images:
  - match: {glob: "localhost/**"}
    proof: vsa
    authorities: [{name: staging, key: {path: imagekit.pub}}]
    vsa: {verifierIds: ["urn:imagekit:stage"]}
"""
CASES = {
    "a failure": ["lint", "nowhere"],
    "lint": ["lint", "recipe"],
    "plan": ["plan", "recipe"],
    "graph": ["graph", "recipe"],
    "ci": ["ci", "github", "recipe", "--to", "registry.site/apps"],
    "build": ["build", "recipe"],
    "images": ["images"],
    "logs": ["logs"],
    "prune": ["prune", "--keep", "1", "--dry-run"],
    "sbom": ["sbom", IMAGE, "-o", "sbom.json"],
    "sbom show": ["sbom", "show", "listed.json"],
    "sbom diff": ["sbom", "diff", "sbom.json", "listed.json"],
    "publish": ["publish", "recipe", "--to", "oci:images", "--key", "imagekit.key"],
    "check": ["check", IMAGE],
    "scan": ["scan", VULNERABLE, "--db", "advisories", "--fail-on", "high"],
    "scan --published": [
        *("scan", "--published", "oci:vulnerable", "--policy", "vulnerable.yaml"),
        *("--db", "advisories", "--withdraw", "--dry-run"),
    ],
    "rebuild": ["rebuild", IMAGE, "--recipe", "recipe"],
    "sign": ["sign", IMAGE, "--key", "imagekit.key"],
    "verify": ["verify", IMAGE, "--policy", "policy.yaml"],
    "run --dry-run": ["run", IMAGE, "--policy", "policy.yaml", "--dry-run"],
    "node check": ["node", "check", IMAGE, "--policy", "policy.yaml"],
    "inspect": ["inspect", IMAGE],
    "key generate": ["key", "generate", "--out", "new"],
    "key show": ["key", "show", "imagekit.pub"],
    "policy new": ["policy", "new", "--image", "localhost/**", "--key", "imagekit.pub"],
    "verify --vsa": ["verify", IMAGE, "--policy", "policy.yaml", "--vsa", "--key", "imagekit.key"],
    "verify of several images": ["verify", IMAGE, IMAGE, "--policy", "policy.yaml"],
    "policy lint": ["policy", "lint", "policy.yaml"],
    "policy save": ["policy", "save", IMAGE, "--to", "evidence"],
    "policy test": ["policy", "test", "cases.yaml"],
    "policy explain": ["policy", "explain", IMAGE, "--policy", "policy.yaml"],
    "policy sign": ["policy", "sign", "policy.yaml", "--key", "imagekit.key"],
    "policy export": ["policy", "export", "--policy", "policy.yaml", "--format", "docs"],
    "export": ["export", IMAGE, "--policy", "policy.yaml", "--to", "hello.tar"],
    "import": ["import", "hello.tar", "--policy", "policy.yaml", "--to", "oci:placed"],
    "stage": [*("stage", IMAGE, "--policy", "policy.yaml"), *STAGE],
    "receipt check": ["receipt", "check", "staged", "--policy", "nodes.yaml"],
    "trust install": ["trust", "install", *TRUST],
    "trust show": ["trust", "show", "--root", "root"],
    "config": ["config"],
    "config files": ["config", "files"],
    "config trust": ["config", "trust"],
    "completion": ["completion", "bash"],
    "man": ["man", "verify"],
    "man --to": ["man", "--to", "man1"],
    "doctor": ["doctor"],
    # What stands here locks the recipe, so that it is another one for those above.
    "lock": ["lock", "recipe"],
    "cache": ["cache", "push", "REGISTRY/packages", "recipe"],
    # Last: nothing verifies what was withdrawn.
    "withdraw": ["withdraw", IMAGE, "--key", "imagekit.key", "--reason", "wrong results"],
}


def _documented(project: Path) -> dict[str, Any]:
    text = (project / "docs/json.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (.+?)\n.*?```json\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    return {title: json.loads(example) for title, example in sections}


def _shape(value: object) -> object:
    """Return a value with every scalar replaced by its type."""
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return type(value).__name__


def _fits(got: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict) and set(wanted) == {"*"}:
        return isinstance(got, dict) and all(_fits(item, wanted["*"]) for item in got.values())
    if isinstance(wanted, dict):
        same = isinstance(got, dict) and list(got) == list(wanted)
        return same and all(_fits(got[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return isinstance(got, list) and all(_fits(item, wanted[0]) for item in got)
    return bool(got == wanted)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small recipe, a key, a published image and a policy."""
    folder = tmp_path_factory.mktemp("shapes")
    (folder / "recipe").mkdir()
    (folder / "recipe/recipe.yaml").write_text(RECIPE)
    (folder / "recipe/hello.txt").write_text("hello\n")
    (folder / "new").mkdir()
    _imagekit(folder, "key", "generate", "--out", ".")
    _imagekit(folder, "publish", "recipe", "--to", "oci:images", "--key", "imagekit.key")
    policy = _imagekit(folder, *CASES["policy new"]).stdout
    (folder / "policy.yaml").write_text(policy)
    (folder / "cases.yaml").write_text(TABLE)
    (folder / "nodes.yaml").write_text(NODES)
    _vulnerable(folder)
    (folder / "listed.json").write_text(LISTED)
    (folder / "root").mkdir()
    (folder / "imagekit.toml").write_text('recipes = "."\n')
    return folder


def _vulnerable(folder: Path) -> None:
    """Publish an image of Debian that an advisory speaks of, with a report that knows nothing."""
    write_image(folder / "solver/root")
    (folder / "solver/recipe.yaml").write_text(SOLVER)
    _imagekit(folder, "publish", "solver", "--to", "oci:vulnerable", "--key", "imagekit.key")
    openssl = osv("DEBIAN-CVE-2024-6119", "Debian:12", "openssl", *fixed("1"))
    export(folder / "advisories", "Debian", [openssl])
    attest = ("scan", VULNERABLE, "--db", "advisories", "--attest", "--partial")
    _imagekit(folder, *attest, "--key", "imagekit.key")
    openssl = osv("DEBIAN-CVE-2024-6119", "Debian:12", "openssl", *fixed("4"))
    export(folder / "advisories", "Debian", [{**openssl, "upstream": ["CVE-2024-6119"]}])
    policy = _imagekit(folder, *CASES["policy new"]).stdout
    demands = "    attestations: [{type: cyclonedx}, {type: vuln, maxSeverity: low}]\n"
    text = policy.replace("    threshold:", f"{demands}    threshold:")
    (folder / "vulnerable.yaml").write_text(text)


def _imagekit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    return subprocess.run(
        [sys.executable, "-m", "imagekit", *words],
        cwd=folder,
        env={**env, "HOME": str(folder), "IMAGEKIT_KEY_PASSWORD": "x"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's registry on loopback."""
    with RegistryServer.docker_registry(tmp_path_factory.mktemp("server")) as server:
        yield server.host


@pytest.mark.parametrize("section", CASES)
def test_document_is_as_promised(project: Path, folder: Path, section: str, registry: str) -> None:
    """What programs read is what the page says, key by key and in that order."""
    words = [word.replace("REGISTRY", registry) for word in CASES[section]]
    outcome = _imagekit(folder, *words, "--json", "--quiet")

    got = json.loads(outcome.stdout)
    assert _fits(_shape(got), _shape(_documented(project)[section])), json.dumps(got, indent=1)


def test_every_documented_command_is_compared(project: Path) -> None:
    """A section that no test reads would promise nothing."""
    assert set(CASES) == set(_documented(project))


def test_events_are_as_promised(project: Path, folder: Path) -> None:
    """Each line of stderr is one of the documented events; stdout is the one document."""
    text = (project / "docs/json.md").read_text(encoding="utf-8")
    block = text.partition("```jsonl\n")[2].partition("```")[0]
    documented = {event["event"]: list(event) for event in map(json.loads, block.splitlines())}
    words = ("build", "recipe", "--no-cache", "--json", "--progress", "json")

    outcome = _imagekit(folder, *words)

    events = [json.loads(line) for line in outcome.stderr.splitlines()]
    assert json.loads(outcome.stdout)["schema"] == 1
    assert {"started", "command", "done"} <= {event["event"] for event in events}
    for event in events:
        assert list(event) == documented[event["event"]]
