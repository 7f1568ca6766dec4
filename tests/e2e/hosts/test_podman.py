"""Podman's own program asks the OCI hook before a container starts, and that a gate."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.hosts.podman_options import container_options
from imagekit.hosts.probe import read
from imagekit.process import Runner
from tests.e2e.gate.kit import GateProcess
from tests.e2e.gate.kit import Site as GateSite
from tests.e2e.hosts.daemons import said
from tests.support.offline_site import SAID, Site
from tests.support.outcomes import ROOT, WITH_IDS, WITHOUT_IDS, noted
from tests.support.users import OrdinaryUser, ordinary_user

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


@dataclass(frozen=True)
class Podman:
    """Podman with the page's hook, as somebody runs it in a storage of their own."""

    who: str
    words: tuple[str, ...]
    user: OrdinaryUser | None

    def said(self, *words: str) -> tuple[int, str]:
        """Run a command of Podman's."""
        if self.user is None:
            return said([*self.words, *words])
        ran = self.user.run([*self.words, *words], {})
        return ran.returncode, ran.stdout + ran.stderr

    def run(self, image: str) -> tuple[int, str]:
        """Run a container, whose image is pulled if it is not there."""
        host = replace(read(Runner(), os.environ), root=self.user is None)
        options = ("--rm", "--network=none", "--tls-verify=false")
        return self.said("run", *options, *container_options(host).words, image)


@pytest.fixture(scope="module", params=[ROOT, WITH_IDS, WITHOUT_IDS])
def podman(
    request: pytest.FixtureRequest,
    site: Site,
    gate: GateProcess,
    project: Path,
    program: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Podman]:
    """Podman of root, and of users of both kinds, who ask for the hook."""
    with ExitStack() as made:
        user, python, path = None, sys.executable, os.pathsep.join(sys.path)
        folder = tmp_path_factory.mktemp("p")
        if request.param != ROOT:
            ids = request.param == WITH_IDS
            named = ordinary_user(f"ik-hook-{os.getpid()}", subordinate_ids=ids)
            user = made.enter_context(named)
            folder, python, path = user.home / "p", "/usr/bin/python3", str(user.packages)
        _install(project, folder, hook=(python, path), gate=gate, site=site)
        if user is not None:
            user.give(folder)
        storage = ("--root", f"{folder}/root", "--runroot", f"{folder}/run")
        hooks = ("--storage-driver=vfs", f"--hooks-dir={folder}/hooks")
        yield Podman(request.param, (program("podman"), *storage, *hooks), user)


def _install(
    project: Path, folder: Path, *, hook: tuple[str, str], gate: GateProcess, site: Site
) -> None:
    """Lay the hook, as it stands on the page, into a folder."""
    (folder / "hooks").mkdir(parents=True)
    host = site.image.partition("/")[0]
    (folder / "v.yaml").write_text(f"gate: http://{gate.host}\nregistries: ['{host}']\n")
    python, path = hook
    (folder / "hook").write_text(HOOK.format(folder=folder, python=python, path=path))
    (folder / "hook").chmod(0o755)
    page = (project / "docs/offline.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    asked = json.loads(text)
    asked["hook"]["path"] = str(folder / "hook")
    (folder / "hooks/imagekit.json").write_text(json.dumps(asked))


def test_what_the_gate_serves_starts(site: Site, podman: Podman) -> None:
    """The image is asked for by its digest, under the name that it has in the storage."""
    code, out = podman.run(site.image)

    assert (code, SAID in out) == (0, True), out


def test_what_the_gate_refuses_does_not_start(site: Site, podman: Podman) -> None:
    """And Podman shows why."""
    unsigned = f"{site.image.partition('/')[0]}/site/unsigned-podman:1"
    copied = ["skopeo", "copy", "--insecure-policy", "--src-tls-verify=false"]
    copied += ["--dest-tls-verify=false", f"docker://{site.image}", f"docker://{unsigned}"]
    assert said(copied)[0] == 0
    # Under the first name alone it would be allowed: it is the same image.
    podman.said("rmi", "--all", "--force")

    code, out = podman.run(unsigned)

    assert code != 0
    assert "the gate refuses" in out
    assert SAID not in out
    seen = "starts what the gate serves; of the rest its user reads why"
    noted("podman, the OCI hook asks a gate", podman.who, seen)
