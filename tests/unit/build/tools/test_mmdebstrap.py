"""mmdebstrap sees no more of this host than it needs."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from imagekit.build.tools import mirrors
from imagekit.build.tools.mirrors import Mirrors
from imagekit.build.tools.mmdebstrap import bootstrap
from imagekit.errors import ToolError, ToolNotFoundError
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.types import Platform
from imagekit.process import Runner
from imagekit.recipe.recipe import BootstrapBase
from tests.support.folder_container import PLACE

BASE = BootstrapBase(distribution="debian", suite="bookworm", place=PLACE)
MIRRORS = Mirrors("http://me:s3cret@mirror.site/debian", "http://mirror.site/debian-security")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a keyring, and an mmdebstrap that writes down what it sees."""
    (tmp_path / "keyring").touch()
    known = replace(mirrors.DISTRIBUTIONS["debian"], keyring=tmp_path / "keyring")
    monkeypatch.setitem(mirrors.DISTRIBUTIONS, "debian", known)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/mmdebstrap"
    lines = [
        "#!/bin/sh -e",
        "env > /image/seen",
        "echo $* > /image/args",
        "hostname > /image/hostname",
    ]
    program.write_text("\n".join([*lines, ""]))
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
    _bootstrap(Runner(env=env), host)
    lines = (host / "root/seen").read_text().splitlines()
    return dict(
        line.split("=", 1) for line in lines if not line.startswith(("PWD=", "_=", "SHLVL="))
    )


def _bootstrap(runner: Runner, host: Path, base: BootstrapBase = BASE, **more: Any) -> None:
    given = {"platform": host_platform(), "root": host / "root", "epoch": 7, "work": host, **more}
    bootstrap(runner, base, MIRRORS, **given)


@pytest.mark.root
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
    assert "--include" not in (host / "root/args").read_text()
    assert (host / "root/hostname").read_text() == "localhost\n"


def test_a_missing_keyring_is_named(host: Path) -> None:
    """Before anything is started: nothing that comes could be checked."""
    (host / "keyring").unlink()

    with pytest.raises(ToolNotFoundError, match="Debian's keyring is not installed") as caught:
        _run(host, f"{host}/bin")

    assert "debian-archive-keyring" in caught.value.hint


@pytest.mark.root
def test_an_ubuntu_gets_its_apt(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is no part of its minimal system by itself, and without which nothing is installed."""
    path = f"{host}/bin:/usr/bin:/bin"
    monkeypatch.setenv("PATH", path)
    known = replace(mirrors.DISTRIBUTIONS["ubuntu"], keyring=host / "keyring")
    monkeypatch.setitem(mirrors.DISTRIBUTIONS, "ubuntu", known)
    base = BootstrapBase(distribution="ubuntu", suite="noble", place=PLACE)
    (host / "root").mkdir()

    _bootstrap(Runner(env={"PATH": path}), host, base)

    assert "--include=apt " in (host / "root/args").read_text()


@pytest.mark.root
@pytest.mark.parametrize(("architecture", "said"), [("ppc64le", "ppc64el"), ("riscv64", "riscv64")])
def test_another_architecture_is_called_as_debian_does(
    host: Path, monkeypatch: pytest.MonkeyPatch, architecture: str, said: str
) -> None:
    """This host's own is not named at all."""
    path = f"{host}/bin:/usr/bin:/bin"
    monkeypatch.setenv("PATH", path)
    platform = Platform(os="linux", architecture=architecture)
    (host / "root").mkdir()

    _bootstrap(Runner(env={"PATH": path}), host, platform=platform)

    assert f"--architectures={said} " in (host / "root/args").read_text()


@pytest.mark.root
def test_a_failing_bootstrap_names_the_mirror(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its login, as the message may be shown to others."""
    (host / "bin/mmdebstrap").write_text("#!/bin/sh\nexit 25\n")
    path = f"{host}/bin:/usr/bin:/bin"
    monkeypatch.setenv("PATH", path)

    with pytest.raises(ToolError, match="the bootstrap of debian bookworm failed") as caught:
        _run(host, path)

    assert "does http://mirror.site/debian answer" in caught.value.hint
    assert "s3cret" not in caught.value.hint


def test_a_missing_mmdebstrap_is_named(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not what starts it."""
    monkeypatch.setenv("PATH", str(host))

    with pytest.raises(ToolNotFoundError, match="mmdebstrap is not installed"):
        _run(host, str(host))
