"""mmdebstrap sees no more of this host than it needs."""

import os
from pathlib import Path

import pytest

from imagekit.build.tools import mmdebstrap as module
from imagekit.build.tools.mmdebstrap import bootstrap
from imagekit.errors import ToolNotFoundError
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
