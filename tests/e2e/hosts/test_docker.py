"""Docker's own daemon asks the authorization plugin, and does as it says."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e.hosts.daemons import Daemon, environment, said
from tests.support.command import tiny_recipe
from tests.support.container_probe import PROBE, documented, seen
from tests.support.offline_site import Site
from tests.support.outcomes import USER, noted
from tests.support.users import OrdinaryUser, ordinary_user

pytestmark = [pytest.mark.real, pytest.mark.slow]

PLUGINS = Path("/run/docker/plugins")
CONTAINERD = """\
version = 2
root = "{folder}/c-root"
state = "{folder}/c-state"
[grpc]
address = "{folder}/c.sock"
"""


class Docker:
    """A client of the daemon."""

    def __init__(self, program: str, user: OrdinaryUser, plugin: Daemon) -> None:
        """Keep where the daemon listens, and who asks it."""
        self.program = program
        self.user = user
        self.host = f"unix://{user.home}/d.sock"
        self.plugin = plugin

    def __call__(self, *words: str) -> tuple[int, str]:
        """Run a command of docker."""
        ran = self.user.run([self.program, "--host", self.host, *words], {})
        return ran.returncode, ran.stdout + ran.stderr

    def imagekit(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run imagekit, which asks this daemon."""
        python = ("/usr/bin/python3", "-m", "imagekit")
        return self.user.run([*python, *words], {"DOCKER_HOST": self.host, **env})

    def post(self, path: str, *options: str, first: Sequence[str] = ()) -> str:
        """Post something that no honest client sends."""
        socket = self.host.removeprefix("unix://")
        words = ["curl", "-s", "--unix-socket", socket, "--path-as-is", "-X", "POST", *first]
        words += ["-H", "Content-Type: application/json", *options]
        return said([*words, f"http://d{path}"])[1]


@pytest.fixture(scope="module")
def user(site: Site) -> Iterator[OrdinaryUser]:
    """A user who may ask the daemon, as those of the group docker may."""
    with ordinary_user(f"ik-docker-{os.getpid()}", subordinate_ids=False) as one:
        for name in ("policy.yaml", "imagekit.pub", "nodes.yaml"):
            shutil.copy(site.home / name, one.home)
        shutil.copytree(site.home / "staging", one.home / "staging")
        one.give(one.home)
        yield one


@pytest.fixture(scope="module")
def docker(
    site: Site,
    user: OrdinaryUser,
    program: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Docker]:
    """Containerd, the plugin and dockerd, started in this order without systemd."""
    dockerd, containerd, client = (program(x) for x in ("dockerd", "containerd", "docker"))
    folder = tmp_path_factory.mktemp("d")
    name = f"imagekit-{folder.parent.name}"
    (folder / "c.toml").write_text(CONTAINERD.format(folder=folder))
    (folder / "v.yaml").write_text(f"policy: {site.home}/policy.yaml\nstate: {folder}/seen.db\n")
    (folder / "d.json").write_text(
        json.dumps(
            {
                "data-root": f"{folder}/data",
                "exec-root": f"{folder}/exec",
                "pidfile": f"{folder}/pid",
                "hosts": [f"unix://{user.home}/d.sock"],
                "group": str(user.gid),
                "containerd": f"{folder}/c.sock",
                "storage-driver": "vfs",
                "iptables": False,
                "bridge": "none",
                "authorization-plugins": [name],
            }
        )
    )
    words = [sys.executable, "-m", "imagekit", "authz-docker"]
    words += ["--listen", f"unix://{PLUGINS}/{name}.sock", "--config", f"{folder}/v.yaml"]
    with (
        Daemon([containerd, "-c", f"{folder}/c.toml"], folder / "c.log") as first,
        Daemon(words, folder / "plugin.log", env=environment()) as plugin,
    ):
        first.wait_for(folder / "c.sock")
        plugin.wait_for(PLUGINS / f"{name}.sock")
        daemon = [dockerd, "--config-file", f"{folder}/d.json"]
        with Daemon(daemon, folder / "d.log") as last:
            last.wait_for(user.home / "d.sock")
            yield Docker(client, user, plugin)


def _pinned(site: Site) -> str:
    inspected = json.loads(site.done("inspect", site.image, "--json"))
    return f"{site.image.rpartition(':')[0]}@{inspected['digest']}"


def test_by_digest_it_is_pulled_and_run(site: Site, docker: Docker) -> None:
    """The verdict is on exactly that."""
    assert docker("pull", _pinned(site))[0] == 0
    code, out = docker("run", "--rm", "--network", "none", _pinned(site))

    assert (code, out.startswith("ldconfig (")) == (0, True), out
    noted("docker, its daemon asks the policy", USER, "pulls and runs what is allowed, by digest")


def test_imagekit_runs_by_docker_what_it_verified(site: Site, docker: Docker) -> None:
    """By tag, which only imagekit looks up: the plugin sees a digest, and judges that again."""
    words = ("run", site.image, "--engine", "docker", "--network", "none", "--policy")

    ran = docker.imagekit(*words, "policy.yaml", "-w", "/tmp", "-e", "A=1", "-u", "5:5")
    denied = docker.imagekit(*words, "nodes.yaml")
    host = docker.imagekit(*words, "policy.yaml", "-v", "/etc:/data")

    assert (ran.returncode, ran.stdout.startswith("ldconfig (")) == (0, True), ran.stderr
    assert denied.returncode == 3
    assert host.returncode not in {0, 3}
    assert "docker run" not in host.stdout
    assert "Binds" in host.stderr


def test_a_container_of_docker_sees_what_the_page_says(
    site: Site, docker: Docker, project: Path
) -> None:
    """The same as with Podman; but the plugin gives no container the host's network."""
    with (tiny_recipe(site.home / "recipes/tiny") / "recipe.yaml").open("a") as file:
        file.write("entrypoint: [/usr/bin/perl, -e]\n")
    to = site.image.partition("/")[0] + "/site"
    words = ("recipes/tiny", "--to", to, "--key", "imagekit.key", "--no-test")
    site.done("publish", *words)
    run = ("run", f"{to}/tiny:1.0.0", "--engine", "docker", "--network", "none")

    own = {"http_proxy": "http://proxy.site"}
    ran = docker.imagekit(*run, "--policy", "policy.yaml", "--", PROBE, **own)
    assert ran.returncode == 0, ran.stderr

    found = seen(ran.stdout)
    page = documented(project, engine="Docker")
    # Limits are the daemon's, whatever those are.
    del found["limits"], page["limits"]

    apart = {"namespaces of this host": "", "namespaces of its own": "ipc mnt net pid"}
    assert found == page | apart
    noted("imagekit run --engine docker", USER, "runs, and sees what docs/run.md says")


def test_by_tag_the_digest_is_told(site: Site, docker: Docker) -> None:
    """And nothing is pulled."""
    code, out = docker("pull", site.image)

    assert code != 0
    assert f"docker pull {_pinned(site)}" in out


def test_another_tag_of_the_image_is_not_run(site: Site, docker: Docker) -> None:
    """A name that anybody gave it says nothing."""
    docker("pull", _pinned(site))
    docker("tag", _pinned(site), "mine:1")

    code, out = docker("run", "--rm", "mine:1")

    assert code != 0
    assert "NO_POLICY" in out


@pytest.mark.parametrize(
    "words",
    [("build", "-"), ("load", "-i", "hello.tar"), ("import", "hello.tar")],
    ids=lambda words: words[0],
)
def test_images_from_elsewhere_are_refused(
    site: Site, docker: Docker, words: Sequence[str]
) -> None:
    """They were verified by nobody."""
    docker.imagekit("export", site.image, "--policy", "policy.yaml", "--to", "hello.tar")

    code, out = docker(*words)

    assert (docker.user.home / "hello.tar").exists()
    assert code != 0
    assert "not allowed here" in out


COMPOSE = """\
version: "3"
services:
  one:
    image: IMAGE
    volumes: ["kept:/var/kept"]
    tmpfs: [/scratch]
volumes: {kept: {}}
networks: {default: {internal: true}}
"""


def test_compose_starts_and_removes_what_it_names_by_digest(
    site: Site, docker: Docker, program: Callable[[str], str]
) -> None:
    """With a network and a volume of its own, and the image pulled where it is not there."""
    compose = program("docker-compose")
    file = docker.user.home / "compose.yaml"
    file.write_text(COMPOSE.replace("IMAGE", _pinned(site)))
    words = [compose, "--host", docker.host, "--file", str(file), "--project-name", "imagekit-t"]
    docker("rmi", "--force", _pinned(site))

    # It is a Python program of Debian's, with packages of its own.
    up = docker.user.run([*words, "up"], {"PYTHONPATH": ""})
    down = docker.user.run([*words, "down", "--volumes"], {"PYTHONPATH": ""})

    assert (up.returncode, down.returncode) == (0, 0), up.stderr + down.stderr
    assert "ldconfig (" in up.stdout


def test_volumes_networks_and_logs_work(site: Site, docker: Docker) -> None:
    """What is on the list is of use."""
    made = [
        docker("volume", "create", "kept"),
        docker("run", "--name", "one", "--network", "none", "-v", "kept:/kept", _pinned(site)),
    ]
    code, out = docker("logs", "one")
    kept = [docker("rm", "one"), docker("volume", "rm", "kept"), docker("system", "prune", "-f")]

    assert [each[0] for each in (*made, *kept)] == [0] * 5, (made, kept)
    assert (code, "ldconfig (" in out) == (0, True)


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--rm", "-v", "/:/host"),
        ("run", "--rm", "--privileged"),
        ("run", "--rm", "--pid", "host"),
        ("run", "--rm", "--device", "/dev/null"),
        ("run", "--rm", "--security-opt", "systempaths=unconfined"),
        ("run", "--rm", "--runtime", "io.containerd.runc.v2"),
    ],
    ids=lambda words: " ".join(words[2:]),
)
def test_what_leads_to_the_host_is_refused(
    site: Site, docker: Docker, words: Sequence[str]
) -> None:
    """As Docker's client says it."""
    code, out = docker(*words, "--network", "none", _pinned(site))

    assert code != 0
    assert "not allowed here" in out or "not judged" in out


@pytest.mark.parametrize(
    "words",
    [("swarm", "init"), ("plugin", "install", "x"), ("login", "-u", "x", "-p", "y", "r.site")],
    ids=lambda words: words[0],
)
def test_what_is_not_listed_is_refused(docker: Docker, words: Sequence[str]) -> None:
    """Whatever it does."""
    code, out = docker(*words)

    assert code != 0
    assert "not allowed here" in out


def test_a_form_does_not_override_the_query(site: Site, docker: Docker) -> None:
    """Of either length, and under two content types; the daemon pulls nothing."""
    create = f"/v1.41/images/create?fromImage={_pinned(site)}"
    name, _, tag = site.image.rpartition(":")
    form = ("-H", "Content-Type: application/x-www-form-urlencoded")
    data = ("--data-binary", f"fromImage={name}&tag={tag}")
    chunked = ("-H", "Transfer-Encoding: chunked")

    for more in ((), chunked):
        assert "must have none" in docker.post(create, *more, *data, first=form)


def test_a_path_in_other_words_is_refused(docker: Docker) -> None:
    """The router decodes it, and so does the plugin."""
    for path in ("/v1.41/%63ommit", "/v1.41/comm%69t?container=x", "/v1.41%2Fcommit"):
        assert "not allowed here" in docker.post(path, "-H", "Content-Length: 0")


def test_bodies_that_are_not_passed_on_are_refused(docker: Docker, tmp_path: Path) -> None:
    """Empty ones (CVE-2024-41110) and large ones (CVE-2026-34040)."""
    large = tmp_path / "large"
    large.write_text(json.dumps({"Image": "mine:1", "Labels": {"a": "b" * 1_200_000}}))
    create = "/v1.41/containers/create"

    assert "did not pass on" in docker.post(create, "--data-binary", f"@{large}")
    assert "did not pass on" in docker.post(create, "-H", "Content-Length: 0")


def test_without_the_plugin_docker_refuses(docker: Docker) -> None:
    """The last test: it fails closed."""
    docker.plugin.process.terminate()
    docker.plugin.process.wait(30)

    code, out = docker("ps")

    assert code != 0
    assert "plugin" in out
    assert docker.plugin.process.returncode == 0
