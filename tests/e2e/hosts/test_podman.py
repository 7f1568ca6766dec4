"""Podman's own program asks the OCI hook before a container starts, and that a gate."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagekit.hosts.podman_options import container_options
from imagekit.hosts.probe import read
from imagekit.process import Runner
from tests.e2e.gate.kit import GateProcess
from tests.e2e.gate.kit import Site as GateSite
from tests.e2e.hosts.daemons import said
from tests.support.offline_site import SAID, Site

pytestmark = [pytest.mark.real, pytest.mark.slow]

HOOK = """\
#!/bin/sh
export IMAGEKIT_VERIFIER_CONFIG="{folder}/v.yaml" PYTHONPATH="{path}"
exec "{python}" -m imagekit "$@"
"""


@pytest.fixture(scope="module")
def gate(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    """A gate that judges by the site's policy."""
    behind = GateSite(site.image.partition("/")[0], tmp_path_factory.mktemp("gate"))
    behind.policy = site.home / "policy.yaml"
    with GateProcess(behind) as running:
        yield running


@pytest.fixture(scope="module")
def podman(
    site: Site,
    gate: GateProcess,
    project: Path,
    program: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[str]:
    """The words that run Podman in a storage of its own, with the page's hook."""
    folder = tmp_path_factory.mktemp("p")
    host = site.image.partition("/")[0]
    (folder / "v.yaml").write_text(f"gate: http://{gate.host}\nregistries: ['{host}']\n")
    hook = folder / "hook"
    hook.write_text(
        HOOK.format(folder=folder, python=sys.executable, path=os.pathsep.join(sys.path))
    )
    hook.chmod(0o755)
    (folder / "hooks").mkdir()
    page = (project / "docs/offline.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    asked = json.loads(text)
    asked["hook"]["path"] = str(hook)
    (folder / "hooks/imagekit.json").write_text(json.dumps(asked))
    words = [program("podman"), "--root", f"{folder}/root", "--runroot", f"{folder}/run"]
    return [*words, "--storage-driver=vfs", f"--hooks-dir={folder}/hooks"]


def run(podman: list[str], image: str) -> tuple[int, str]:
    """Run a container, whose image is pulled if it is not there."""
    options = ["--rm", "--network=none", "--tls-verify=false"]
    options += container_options(read(Runner(), os.environ)).words
    return said([*podman, "run", *options, image])


def test_what_the_gate_serves_starts(site: Site, podman: list[str]) -> None:
    """The image is asked for by its digest, under the name that it has in the storage."""
    code, out = run(podman, site.image)

    assert (code, SAID in out) == (0, True), out


def test_what_the_gate_refuses_does_not_start(site: Site, podman: list[str]) -> None:
    """And Podman shows why."""
    unsigned = f"{site.image.partition('/')[0]}/site/unsigned-podman:1"
    copied = ["skopeo", "copy", "--insecure-policy", "--src-tls-verify=false"]
    copied += ["--dest-tls-verify=false", f"docker://{site.image}", f"docker://{unsigned}"]
    assert said(copied)[0] == 0
    # Under the first name alone it would be allowed: it is the same image.
    said([*podman, "rmi", "--all", "--force"])

    code, out = run(podman, unsigned)

    assert code != 0
    assert "the gate refuses" in out
    assert SAID not in out
