"""containerd's own daemon (2.0 and newer) asks the plugin, and that the policy or a gate."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.gate.kit import GateProcess
from tests.e2e.gate.kit import Site as GateSite
from tests.e2e.hosts.daemons import Daemon, said
from tests.support.offline_site import Site
from tests.support.outcomes import ROOT, noted

pytestmark = [pytest.mark.real, pytest.mark.slow]

CONFIG = """\
version = 3
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
[grpc]
  address = "{folder}/sock"
[plugins."io.containerd.image-verifier.v1.bindir"]
  bin_dir = "{folder}/bin"
"""
PLUGIN = """\
#!/bin/sh
export IMAGEKIT_VERIFIER_CONFIG="{folder}/v.yaml" PYTHONPATH="{path}"
exec "{python}" -c 'from imagekit.cli.commands.verifier import main; raise SystemExit(main())' "$@"
"""


def _newer(bench: Path) -> tuple[str, str]:
    """Return containerd 2 and its client, of this host or of the bench's newer Debian."""
    for folder in (None, bench.parent / "sid/usr/bin"):
        path = str(folder) if folder else None
        daemon, client = shutil.which("containerd", path=path), shutil.which("ctr", path=path)
        if daemon and client and re.search(r" v?[2-9]\.", said([daemon, "--version"])[1]):
            return daemon, client
    pytest.skip("containerd 2 is not installed")


@contextmanager
def by_policy(site: Site, folder: Path) -> Iterator[str]:
    """The configuration that judges by the site's policy."""
    yield f"policy: {site.home}/policy.yaml\nstate: {folder}/seen.db\n"


@contextmanager
def by_gate(site: Site, folder: Path) -> Iterator[str]:
    """The one that asks a gate, which judges by the same policy."""
    host = site.image.partition("/")[0]
    behind = GateSite(host, folder)
    behind.policy = site.home / "policy.yaml"
    with GateProcess(behind) as gate:
        yield f"gate: http://{gate.host}\nregistries: ['{host}']\n"


@pytest.fixture(scope="module", params=[by_policy, by_gate])
def pull(
    request: pytest.FixtureRequest,
    site: Site,
    bench: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[str]]:
    """The words that pull an image by a containerd that asks."""
    daemon, client = _newer(bench)
    folder = tmp_path_factory.mktemp("c")
    (folder / "bin").mkdir()
    (folder / "c.toml").write_text(CONFIG.format(folder=folder))
    plugin = folder / "bin/imagekit-verifier"
    path = os.pathsep.join(sys.path)
    plugin.write_text(PLUGIN.format(folder=folder, python=sys.executable, path=path))
    plugin.chmod(0o755)
    with request.param(site, folder) as config:
        (folder / "v.yaml").write_text(config)
        with Daemon([daemon, "-c", f"{folder}/c.toml"], folder / "log") as running:
            running.wait_for(folder / "sock")
            yield [client, "--address", f"{folder}/sock", "images", "pull", "--plain-http"]


def test_an_allowed_image_is_pulled(site: Site, pull: list[str]) -> None:
    """By the digest that was judged."""
    code, out = said([*pull, site.image])

    assert code == 0, out


def test_an_unsigned_image_is_blocked_and_the_user_is_told(site: Site, pull: list[str]) -> None:
    """The reason stands at the prompt of ctr."""
    host = site.image.partition("/")[0]
    unsigned = f"{host}/site/unsigned:1"
    copied = ["skopeo", "copy", "--insecure-policy", "--src-tls-verify=false"]
    copied += ["--dest-tls-verify=false", f"docker://{site.image}", f"docker://{unsigned}"]
    assert said(copied)[0] == 0

    code, out = said([*pull, unsigned])

    assert code != 0
    assert "imagekit" in out
    assert "refused by" in out
    assert "NO_SIGNATURE" in out
    noted("containerd, its daemon asks the policy", ROOT, "pulls what is signed, and nothing else")
