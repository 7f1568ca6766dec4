"""No image tells who built it: mirror, proxy, host and user of a build, all of them marked."""

import base64
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.mirror_relay import MirrorRelay, mirror_relay

pytestmark = [pytest.mark.real, pytest.mark.slow]

MARK, HOME = "marked7", "marked8home"
MIRROR, PROXY = f"{MARK}mirror:{MARK}word", f"{MARK}proxy:{MARK}pass"
NAMES = "hostname > /opt/name; echo $HOSTNAME $USER >> /opt/name"
RECIPE = """\
schema: 1
name: {name}
version: 1.0.0
licenses: MIT
base: {{recipe: base/debian}}
packages: [{{manager: apt, install: [attr]}}]
steps: [{{run: "{step}"}}]
tests: [{{run: "{test}"}}]
tags: {{immutable: ["{{version}}"]}}
"""
KEPT = (
    "mkdir /run/sshd /var/log/app; ln -s /dev/stdout /var/log/app/log; ln -s ./a// /opt/link; "
    "echo > /opt/name; setfattr -n user.component -v web /opt/name"
)
FOUND = (
    "test -d /run/sshd && test -L /var/log/app/log && test $(readlink /opt/link) = ./a// && "
    "getfattr -n user.component --only-values /opt/name | grep -q web"
)
# Another mirror and another name than this host's, for one command.
MARKED = (
    'mount --bind "$1" /etc/apt/sources.list.d && hostname "$2" && shift 2 && '
    "{ [ ! -e /etc/apt/sources.list ] || mount --bind /dev/null /etc/apt/sources.list; } && "
    'exec "$@"'
)


@pytest.fixture(scope="module")
def relay() -> Iterator[MirrorRelay]:
    """The mirror that wants a login, and the proxy that wants another one: both are this."""
    with mirror_relay() as server:
        yield server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, project: Path, relay: MirrorRelay) -> Path:
    """A HOME with the project's Debian base, and apt's sources with the marked mirror."""
    home = tmp_path_factory.mktemp(HOME)
    shutil.copytree(project / "recipes/base", home / "recipes/base")
    (home / "imagekit.toml").touch()
    (home / "sources").mkdir()
    at = f"http://{MIRROR}@127.0.0.1:{relay.port}"
    (home / "sources/site.list").write_text(
        f"deb {at}/debian bookworm main\ndeb {at}/debian-security bookworm-security main\n"
    )
    return home


def _marked(env: Mapping[str, str], sources: Path) -> list[str]:
    """Return what runs a command as this user, on a host of another name with another mirror."""
    variables = [f"{key}={value}" for key, value in env.items()]
    sudo, back = [], []
    if os.geteuid() != 0:
        sudo = ["sudo", "-n"]
        back = ["setpriv", f"--reuid={os.getuid()}", f"--regid={os.getgid()}", "--init-groups"]
    own = ["unshare", "--mount", "--uts", "sh", "-c", MARKED, "marked", str(sources)]
    return [*sudo, "env", "-i", *variables, *own, f"{MARK}host", *back]


def _imagekit(
    site: Path, relay: MirrorRelay, *words: str | Path
) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    names = dict.fromkeys(("USER", "LOGNAME", "USERNAME", "SUDO_USER", "HOSTNAME"), f"{MARK}name")
    proxy = dict.fromkeys(("http_proxy", "HTTP_PROXY"), f"http://{PROXY}@127.0.0.1:{relay.port}")
    env = kept | names | proxy | {"HOME": str(site), "PYTHONPATH": os.pathsep.join(sys.path)}
    env |= {"IMAGEKIT_KEY_PASSWORD": "test", "SOURCE_DATE_EPOCH": "1700000000"}
    return subprocess.run(
        [*_marked(env, site / "sources"), sys.executable, "-m", "imagekit", *map(str, words)],
        cwd=site,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def _recipe(site: Path, name: str, step: str, test: str = "true") -> Path:
    folder = site / "recipes" / name
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(RECIPE.format(name=name, step=step, test=test))
    return folder


def test_no_image_tells_who_built_it(site: Path, relay: MirrorRelay) -> None:
    """Every layer, configuration, SBOM and provenance is searched for the marks."""
    recipe = _recipe(site, "telling", NAMES)
    made = _imagekit(site, relay, "key", "generate")
    assert made.returncode == 0, made.stderr

    done = _imagekit(site, relay, "publish", recipe, "--to", "oci:out", "--key", "imagekit.key")

    assert done.returncode == 0, done.stderr
    assert {MIRROR, PROXY} <= relay.logins, "mirror and proxy were not used"
    assert MARK not in done.stdout + done.stderr
    kinds = set()
    for blob in (site / "out/blobs/sha256").iterdir():
        raw = blob.read_bytes()
        plain = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
        assert MARK.encode() not in plain, blob
        assert HOME.encode() not in plain, blob
        kinds |= _searched(plain)
    assert {"https://cyclonedx.org/bom", "https://slsa.dev/provenance/v1"} <= kinds


def _searched(raw: bytes) -> set[str]:
    """Search what is signed in a bundle, and return what it is."""
    if b'"dsseEnvelope"' not in raw:
        return set()
    payload = base64.b64decode(json.loads(raw)["dsseEnvelope"]["payload"])
    assert MARK.encode() not in payload
    assert HOME.encode() not in payload
    return {json.loads(payload).get("predicateType", "")}


def test_what_a_step_makes_is_there(site: Path, relay: MirrorRelay) -> None:
    """In places that are volatile elsewhere, with its link texts and attributes."""
    recipe = _recipe(site, "keeping", KEPT, FOUND)

    done = _imagekit(site, relay, "build", recipe)

    assert done.returncode == 0, done.stderr


def test_a_step_that_writes_down_its_proxy_is_refused(site: Path, relay: MirrorRelay) -> None:
    """With the file, and without the password."""
    recipe = _recipe(site, "writing", "env > /opt/env")

    done = _imagekit(site, relay, "build", recipe)

    assert done.returncode == 6, done.stderr
    assert "/opt/env holds the login of the proxy" in done.stderr
    assert MARK not in done.stdout + done.stderr
