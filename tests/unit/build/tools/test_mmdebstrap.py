"""mmdebstrap sees no more of this host than it needs."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from imagekit.build.tools import mmdebstrap as module
from imagekit.build.tools.mmdebstrap import bootstrap
from imagekit.errors import ToolError, ToolNotFoundError
from imagekit.process import Runner

MIRROR = "deb http://mirror.site/debian bookworm main\n"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a mirror, and an mmdebstrap that writes down what it sees."""
    (tmp_path / "apt").mkdir()
    (tmp_path / "apt/sources.list").write_text(MIRROR)
    mirrors = module.host_mirrors
    monkeypatch.setattr(module, "host_mirrors", lambda: mirrors(tmp_path / "apt"))
    (tmp_path / "keyring").touch()
    monkeypatch.setattr(module, "KEYRING", tmp_path / "keyring")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/mmdebstrap"
    program.write_text("#!/bin/sh\nset -e\nenv > /image/seen\nhostname > /image/hostname\n")
    program.chmod(0o755)
    return tmp_path


def _run(host: Path, path: str) -> dict[str, str]:
    env = {
        "PATH": path,
        "HOME": "/home/marked",
        "USER": "marked",
        "LOGNAME": "marked",
        "HOSTNAME": "marked",
        "SUDO_USER": "marked",
        "SSH_AUTH_SOCK": "/marked",
        "https_proxy": "http://proxy.site:3128",
        "NO_PROXY": "site",
    }
    (host / "root").mkdir()
    bootstrap(Runner(env=env), "bookworm", host / "root", epoch=7, work=host)
    lines = (host / "root/seen").read_text().splitlines()
    return dict(
        line.split("=", 1) for line in lines if not line.startswith(("PWD=", "_=", "SHLVL="))
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a sandbox without more")
def test_scripts_of_packages_see_neither_user_nor_host(host: Path) -> None:
    """Their environment is a list of what they may see; the proxy brings them the packages."""
    path = f"{host}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    monkey = pytest.MonkeyPatch()
    monkey.setenv("PATH", path)
    try:
        seen = _run(host, path)
    finally:
        monkey.undo()

    assert seen == {
        "PATH": path,
        "https_proxy": "http://proxy.site:3128",
        "NO_PROXY": "site",
        "LC_ALL": "C",
        "SOURCE_DATE_EPOCH": "7",
    }
    assert (host / "root/hostname").read_text() == "localhost\n"


def test_a_missing_mmdebstrap_is_named(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not what starts it."""
    monkeypatch.setenv("PATH", str(host))

    with pytest.raises(ToolNotFoundError, match="mmdebstrap is not installed"):
        _run(host, str(host))


UBUNTU = """\
Types: deb
URIs: http://archive.site/ubuntu/
Suites: noble noble-updates noble-backports
Components: main universe restricted multiverse
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg

Types: deb
URIs: http://security.site/ubuntu/
Suites: noble-security
Components: main universe restricted multiverse
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg
"""


@pytest.mark.parametrize("security", ["", "https://mirror.site/debian-security"])
def test_the_workflow_names_debian_to_a_runner_of_ubuntu(
    tmp_path: Path, project: Path, security: str
) -> None:
    """Ubuntu's own sources are no mirror of Debian, and what the workflow writes is one."""
    parts = tmp_path / "etc/apt/sources.list.d"
    parts.mkdir(parents=True)
    (parts / "ubuntu.sources").write_text(UBUNTU)
    with pytest.raises(ToolError, match="no mirror of Debian") as caught:
        module.host_mirrors(parts.parent)
    assert "sources.list.d/debian.list" in caught.value.hint
    sudo = tmp_path / "sudo"
    sudo.write_text(f'#!/bin/sh\nexec "$1" "{tmp_path}$2"\n')
    sudo.chmod(0o755)

    workflow = yaml.safe_load((project / ".github/workflows/publish.yml").read_text())
    (script,) = (
        step["run"]
        for step in workflow["jobs"]["publish"]["steps"]
        if step.get("name") == "Debian's sources"
    )
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "MIRROR": "https://mirror.site/debian",
            "SECURITY": security,
        },
        check=True,
    )

    found = module.host_mirrors(parts.parent)
    assert (found.main, found.security) == ("https://mirror.site/debian", security)
