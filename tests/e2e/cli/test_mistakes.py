"""Typical mistakes, made for real: each is told with its remedy, as docs/mistakes.md has it.

`tox -e mistakes` writes the page anew.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.command import command, environment
from tests.support.servers import RegistryServer
from tests.support.shellbase import shell_base
from tests.support.users import USERS_PYTHON, ordinary_user

pytestmark = pytest.mark.real

WRITE = "IMAGEKIT_WRITE_MISTAKES"
PAGE = "docs/mistakes.md"
HEAD = """\
# Twenty-odd mistakes, and what is printed

Each was made for real: the tests make them again and compare (`tox -e mistakes` writes this page).
Paths, ports, digests and times are replaced by short ones. Every message names what is wrong and
where, and behind `=` what to do; scripts go by the exit code, and by the code in brackets, which
`--json` has as well.
"""
REGISTRY = "REGISTRY"
RECIPE = """\
schema: 1
name: {name}
version: 1.0.0
base: {{image: "{base}"}}
steps:
  - {step}
tests: [{{run: {test}}}]
tags: {{immutable: ["{{version}}"]}}
"""
POLICY = """\
apiVersion: imagekit/v1
kind: ImagePolicy
metadata: {{name: site, version: 1, expires: {expires}}}
images:
  - match: {{glob: "**"}}
    authorities: [{{name: release, key: {{path: {key}}}}}]
"""


@dataclass(frozen=True)
class Site:
    """A folder with a recipe, keys, policies and a published image, and a registry with a login."""

    folder: Path
    registry: RegistryServer
    env: Mapping[str, str]

    def run(
        self, words: str, *, before: tuple[str, ...] = (), **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as it is typed."""
        argv = shlex.split(words.replace(REGISTRY, self.registry.host))
        return subprocess.run(
            [*before, *command(*argv[1:])],
            env={**self.env, **more},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


Make = Callable[[Site, str], subprocess.CompletedProcess[str]]


def _plainly(site: Site, words: str) -> subprocess.CompletedProcess[str]:
    return site.run(words)


@dataclass(frozen=True)
class Mistake:
    """What is typed, and how it ends."""

    what: str
    words: str
    status: int
    says: tuple[str, ...]
    """Parts of the message and of the remedy."""
    make: Make = _plainly
    root: bool = False


def _with(**more: str) -> Make:
    return lambda site, words: site.run(words, before=(), **more)


def _without_buildah(site: Site, words: str) -> subprocess.CompletedProcess[str]:
    """Run with a PATH that has all but Buildah."""
    programs = site.folder / "programs"
    if not programs.exists():
        programs.mkdir()
        for folder in ("/usr/bin", "/usr/sbin"):
            for program in Path(folder).iterdir():
                if program.name != "buildah" and not (programs / program.name).is_symlink():
                    (programs / program.name).symlink_to(program)
    return site.run(words, PATH=str(programs), XDG_CACHE_HOME=str(site.folder / "none"))


def _full_disk(site: Site, words: str) -> subprocess.CompletedProcess[str]:
    """Run with a store of two megabytes."""
    disk = site.folder / "disk"
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=True)
    try:
        return site.run(words, XDG_DATA_HOME=str(disk), XDG_CACHE_HOME=str(disk))
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _without_tls(site: Site, words: str) -> subprocess.CompletedProcess[str]:
    """Run beside a registry that speaks HTTP on an address that is not loopback."""
    config = site.folder / "plain.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {site.folder}/plain}}}}\n"
        'http: {addr: "192.0.2.1:5000"}\n'
    )
    # In a network of its own, which ends with its processes.
    script = (
        "ip link set lo up; ip address add 192.0.2.1/32 dev lo; "
        'docker-registry serve "$0" >/dev/null 2>&1 & server=$!; '
        "for try in 1 2 3 4 5 6 7 8 9; do sleep 0.3; ss -ltn | grep -q :5000 && break; done; "
        '"$@"; status=$?; kill $server; exit $status'
    )
    return site.run(words, before=("unshare", "--net", "sh", "-c", script, str(config)))


def _as_user(*, subordinate_ids: bool) -> Make:
    def make(site: Site, words: str) -> subprocess.CompletedProcess[str]:
        with ordinary_user("mistaken", subordinate_ids=subordinate_ids) as user:
            argv = ["cp", "-r", *(f"{site.folder}/{name}" for name in ("recipe", "base"))]
            subprocess.run([*argv, str(user.home)], check=True)
            locked = user.home / "locked.yaml"
            locked.write_text("")
            text = (user.home / "recipe/recipe.yaml").read_text()
            text = text.replace(f"oci:{site.folder}", f"oci:{user.home}")
            (user.home / "recipe/recipe.yaml").write_text(text)
            user.give(user.home)
            locked.chmod(0)
            os.chown(locked, 0, 0)
            argv = [USERS_PYTHON, *command(*shlex.split(words)[1:])[1:]]
            ran = user.run(argv, {"SOURCE_DATE_EPOCH": "1700000000"})
            return subprocess.CompletedProcess(
                ran.args,
                ran.returncode,
                ran.stdout.replace(str(user.home), str(site.folder)),
                ran.stderr.replace(str(user.home), str(site.folder)),
            )

    return make


IMAGE = "oci:images:hello:1.0.0"
PUBLISH = "imagekit publish recipe --to oci:images --key imagekit.key"
MISTAKES = (
    Mistake("A path that is not there", "imagekit lint recipes/solvr", 2, ("recipes/solvr",)),
    Mistake(
        "A key of a recipe, misspelt",
        "imagekit build typo",
        2,
        ("recipe/unknown-key", "`packages`"),
    ),
    Mistake("A command, misspelt", "imagekit publsh recipe", 64, ("imagekit publish recipe",)),
    Mistake(
        "An option, misspelt",
        f"imagekit verify {IMAGE} --polcy policy.yaml",
        64,
        ("has no --polcy", "`--policy`"),
    ),
    Mistake(
        "An option before its command",
        "imagekit --json lint recipe",
        64,
        ("imagekit lint --json recipe",),
    ),
    Mistake("No policy", f"imagekit verify {IMAGE}", 64, ("--policy",)),
    Mistake(
        "No key", "imagekit publish recipe --to oci:images", 64, ("--key", "--keyless", "generate")
    ),
    Mistake(
        "A key file that is not there",
        "imagekit publish recipe --to oci:images --key site.key",
        2,
        ("site.key", "imagekit key generate"),
    ),
    Mistake(
        "A wrong password of the key",
        PUBLISH.replace("oci:images", "oci:new"),
        2,
        ("WRONG_PASSWORD", "IMAGEKIT_KEY_PASSWORD"),
        _with(IMAGEKIT_KEY_PASSWORD="wrong"),
    ),
    Mistake(
        "No password, and nobody to ask",
        PUBLISH.replace("oci:images", "oci:new"),
        2,
        ("NO_PASSWORD", "IMAGEKIT_KEY_PASSWORD", "--password-file"),
        _with(IMAGEKIT_KEY_PASSWORD=""),
    ),
    Mistake(
        "A version that is published already, with other content",
        "imagekit publish changed --to oci:images --key imagekit.key",
        2,
        ("publish/immutable-tag", "raise `version`"),
    ),
    Mistake(
        "A wrong password of the registry",
        "imagekit inspect REGISTRY/hello:1.0.0",
        6,
        ("login",),
        lambda site, words: site.run(words, DOCKER_CONFIG=str(site.folder / "wrong")),
    ),
    Mistake("No login", "imagekit inspect REGISTRY/hello:1.0.0", 6, ("podman login",)),
    Mistake(
        "A registry without TLS",
        "imagekit inspect 192.0.2.1:5000/hello:1.0.0",
        6,
        ("--plain-http",),
        _without_tls,
        root=True,
    ),
    Mistake(
        "A registry that does not answer",
        "imagekit publish recipe --to 127.0.0.1:1/apps --key imagekit.key",
        6,
        ("127.0.0.1:1", "refused"),
    ),
    Mistake(
        "A reference as other tools write it",
        "imagekit verify docker://registry.example.org/hello:1 --policy policy.yaml",
        2,
        ("docker://", "registry.example.org/hello:1"),
    ),
    Mistake(
        "A reference without a registry",
        "imagekit verify hello:1 --policy policy.yaml",
        2,
        ("names no registry", "registry.example.org/"),
    ),
    Mistake(
        "An image that is not there",
        "imagekit verify oci:images:hello:2.0.0 --policy policy.yaml",
        6,
        ("hello:1.0.0",),
    ),
    Mistake(
        "A layout that is not there",
        "imagekit verify oci:imgs:hello:1.0.0 --policy policy.yaml",
        6,
        ("imgs",),
    ),
    Mistake(
        "A policy that has expired",
        f"imagekit verify {IMAGE} --policy expired.yaml",
        3,
        ("EXPIRED", "expires"),
    ),
    Mistake(
        "An image that somebody else signed",
        f"imagekit verify {IMAGE} --policy others.yaml",
        3,
        ("denied", "signature"),
    ),
    Mistake(
        "A file that may not be read",
        "imagekit verify registry.example.org/hello:1 --policy locked.yaml",
        2,
        ("locked.yaml", "Permission denied", "that you may read"),
        _as_user(subordinate_ids=True),
        root=True,
    ),
    Mistake(
        "Buildah is not installed",
        "imagekit build changed",
        6,
        ("buildah: not installed", "apt-get install buildah"),
        _without_buildah,
    ),
    Mistake(
        "A user without subordinate ids",
        "imagekit build recipe",
        6,
        ("usermod --add-subuids",),
        _as_user(subordinate_ids=False),
        root=True,
    ),
    Mistake(
        "A full disk",
        "imagekit build recipe",
        6,
        ("disk", "make room"),
        _full_disk,
        root=True,
    ),
    Mistake(
        "A step that fails",
        "imagekit build failing",
        6,
        ("build/step-failed", "no petsc here", "the whole log"),
    ),
    Mistake(
        "A test that fails",
        "imagekit build untested",
        6,
        ("check/test-failed", "ended with 3"),
    ),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The folder; a first release is published in it."""
    folder = tmp_path_factory.mktemp("site")
    home = folder / "home"
    home.mkdir()
    env = {key: value for key, value in environment().items() if not key.startswith("XDG_")}
    env |= {"HOME": str(home), "IMAGEKIT_KEY_PASSWORD": "secret"}
    base = shell_base(folder / "base")
    for name, step, test in (
        ("recipe", "run: echo hello > /hello", "cat /hello"),
        ("changed", "run: echo hi > /hello", "cat /hello"),
        ("failing", "run: 'echo no petsc here; exit 1'", "cat /hello"),
        ("untested", "run: echo untested > /hello", "exit 3"),
        ("slow", "run: 'while :; do :; done'", "cat /hello"),
        ("slow-test", "run: echo hello > /hello", "'while :; do :; done'"),
    ):
        (folder / name).mkdir()
        text = RECIPE.format(name="hello", base=base, step=step, test=test)
        (folder / name / "recipe.yaml").write_text(text)
    _never_ready(folder, base)
    (folder / "typo").mkdir()
    (folder / "typo/recipe.yaml").write_text(
        "schema: 1\nname: hello\nversion: 1.0.0\nbase: scratch\npakages: []\n"
    )
    for name, expires, key in (
        ("policy", "2999-01-01T00:00:00Z", "imagekit.pub"),
        ("expired", "2025-01-01T00:00:00Z", "imagekit.pub"),
        ("others", "2999-01-01T00:00:00Z", "other/imagekit.pub"),
    ):
        (folder / f"{name}.yaml").write_text(POLICY.format(expires=expires, key=key))
    (folder / "wrong").mkdir()
    server = folder / "server"
    server.mkdir()
    with RegistryServer.docker_registry(server, login=True) as registry:
        registry.wait()
        auth = f'{{"auths": {{"{registry.host}": {{"auth": "YWRtaW46d3Jvbmc="}}}}}}'
        (folder / "wrong/config.json").write_text(auth)
        made = Site(folder, registry, env)
        (folder / "other").mkdir()
        for words in (
            "imagekit key generate",
            "imagekit key generate --out other",
            PUBLISH,
        ):
            done = made.run(words)
            assert done.returncode == 0, done.stderr
        yield made


def _never_ready(folder: Path, base: str) -> None:
    """Write recipes whose system and whose packages are never there."""
    hung = f'base: {{image: "{base}"}}\nsteps: [{{copy: {{from: env, to: /usr/bin/env}}}}]'
    pinned = f"[{{manager: pip, install: ['a==1 --hash=sha256:{'0' * 64}']}}]"
    system = "{bootstrap: {distribution: debian, suite: bookworm, mirror: MIRROR}}"
    for name, text in (
        ("hung", hung),
        ("slow-packages", f"base: {{recipe: hung}}\npackages: {pinned}"),
        ("slow-base", f"base: {system}"),
    ):
        (folder / name).mkdir()
        (folder / name / "recipe.yaml").write_text(
            f"schema: 1\nname: {name}\nversion: 1.0.0\n{text}\n"
        )
    # What asks the image for its Python gets no answer.
    (folder / "hung/env").write_text("#!/bin/sh\nwhile :; do :; done\n")
    (folder / "hung/env").chmod(0o755)


@pytest.fixture
def silent_mirror(site: Site) -> Iterator[None]:
    """A mirror that takes connections, and never answers."""
    recipe = site.folder / "slow-base/recipe.yaml"
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        text = recipe.read_text()
        mirror = f"http://127.0.0.1:{server.getsockname()[1]}/debian"
        recipe.write_text(text.replace("MIRROR", mirror))
        yield


SECTIONS: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def _page(project: Path) -> Iterator[None]:
    """Write the page, where that is asked for."""
    yield
    if os.environ.get(WRITE):
        made = (SECTIONS[mistake.what] for mistake in MISTAKES if mistake.what in SECTIONS)
        text = "\n".join([HEAD, *made])
        (project / PAGE).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(each, id=each.what, marks=[pytest.mark.root] if each.root else [])
        for each in MISTAKES
    ],
)
def test_a_mistake_is_told_with_its_remedy(project: Path, site: Site, mistake: Mistake) -> None:
    """What is wrong, where, and what to do; and the page has it so."""
    ran = mistake.make(site, mistake.words)
    said = ran.stdout + ran.stderr

    assert ran.returncode == mistake.status, said
    assert "Traceback" not in said
    for part in mistake.says:
        assert part in said
    section = _section(mistake, site, said)
    SECTIONS[mistake.what] = section
    if not os.environ.get(WRITE):
        assert section in (project / PAGE).read_text(encoding="utf-8")


def test_the_page_has_no_other_mistakes(project: Path) -> None:
    """What no test makes any more is not on it."""
    text = (project / PAGE).read_text(encoding="utf-8")
    written = "\n".join(SECTIONS.values()) if os.environ.get(WRITE) else text

    assert re.findall("^## (.*)$", written, re.MULTILINE) == [each.what for each in MISTAKES]


def _section(mistake: Mistake, site: Site, said: str) -> str:
    shown = mistake.words.replace(REGISTRY, "127.0.0.1:5000")
    lines = [f"## {mistake.what}", "", "```console", f"$ {shown}", _normal(said, site, mistake)]
    return "\n".join([*lines, "$ echo $?", str(mistake.status), "```", ""])


def _normal(said: str, site: Site, mistake: Mistake) -> str:
    """Return an output without what differs from run to run, and from host to host."""
    kept = [
        line
        for line in said.split("\n")
        # What a host lacks is another matter, unless it is this one.
        if not line.startswith("  ! ") or any(part in line for part in mistake.says)
    ]
    said = "\n".join(kept)
    for pattern, shown in (
        (re.escape(f"{site.folder}/home"), "~"),
        (re.escape(f"{site.folder}/"), ""),
        (re.escape(site.registry.host), "127.0.0.1:5000"),
        (r"[0-9]+\.[0-9] s\b", "0.1 s"),
        (r"  +0\.1 s$", "  0.1 s"),
        (r"^.* level=warning .*\n", ""),
        # So much Buildah adds in some kinds of isolation.
        (r"^ *Error: while running runtime: .*\n", ""),
        (r"storage[0-9]+", "storage"),
        (r"_ssl\.c:[0-9]+", "_ssl.c"),
        (r"sha256:[0-9a-f]{64}", "sha256:4be1…"),
        (r"sha256:[0-9a-f]{12}(?![0-9a-f])", "sha256:4be1"),
        (r"SHA256:[0-9a-f]{6,}…?", "SHA256:9f2c…"),
        (r"logs/\S+-hello\.log", "logs/2026-11-23T14-02-11-hello.log"),
        (r"\b[0-9.]+ (MB|kB)", r"1.0 \1"),
        (r"\bwork/(?:ik-[a-z0-9_]{8}|job-[0-9a-f]{16})/", "…/"),
        (r"ik-[a-z0-9_]{8}", "…"),
    ):
        said = re.sub(pattern, shown, said, flags=re.MULTILINE)
    return said.rstrip()


STAGES = {
    "base": "slow-base",
    "packages": "slow-packages",
    "steps": "slow",
    "tests": "slow-test",
    "sbom": "changed",
    "push": "changed",
    "attest": "changed",
    "sign": "changed",
    "verify": "changed",
    "tag": "changed",
}


@pytest.mark.usefixtures("silent_mirror")
@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_is_answered_in_every_stage(site: Site, stage: str) -> None:
    """With 130 and one sentence; a later run goes on from what is there."""
    layout = f"oci:interrupted-{stage}"
    argv = ["publish", STAGES[stage], "--to", layout, "--key", "imagekit.key", "--recipes", "."]
    lines = []
    with subprocess.Popen(
        command(*argv, "--progress", "json"),
        env=dict(site.env),
        cwd=site.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if f'"event": "started", "stage": "{stage}"' in line:
                process.send_signal(signal.SIGINT)
                break
        lines += process.stderr.readlines()
    status = process.returncode

    said = "".join(lines)
    assert status == 130, said
    assert "Traceback" not in said
    assert '"message": "interrupted: nothing was left half done"' in said
