"""What pulls images, as sites run it: each with a storage of its own that is looked into after."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

_SECONDS = 120
_START_SECONDS = 60
_WHO = ("AUTHOR", "COMMITTER")
DEBIAN = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a pull, and what the client said."""

    pulled: bool
    said: str


class Client(Protocol):
    """Something that pulls an image."""

    @property
    def folder(self) -> Path:
        """Where all lies that it stores."""
        ...

    def pull(self, reference: str) -> Outcome:
        """Pull by the reference, and say how that ended."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a client runs: on this host, or in the root file system of another Debian."""

    folder: Path
    authority: Path
    """The certificate authority (PEM) of the gate."""
    enter: Path | None = None
    user: str = ""
    """Who runs it; root where nobody is named."""

    def run(self, *words: str | Path, **env: str) -> Outcome:
        """Run a command there to its end."""
        done = subprocess.run(
            [*self.prefix(env), *words],
            env=self.environment(env),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        return Outcome(pulled=done.returncode == 0, said=done.stdout + done.stderr)

    def prefix(self, env: Mapping[str, str]) -> list[str | Path]:
        """Return what stands before a command there."""
        inside: list[str | Path] = [] if self.enter is None else [self.enter]
        own = {**self.trust(), **env}
        if self.user:
            runtime = str(self.folder / "runtime")
            own |= {"HOME": str(self.folder), "USER": self.user, "XDG_RUNTIME_DIR": runtime}
            inside += ["runuser", "-u", self.user, "--"]
        return [*inside, "env", *(f"{k}={v}" for k, v in own.items())] if inside else []

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a command there."""
        home = {"HOME": str(self.folder), "USER": "root", "PATH": DEBIAN}
        if self.enter is not None:
            share = {self.folder, self.authority.parent}
            return {**home, "BENCH_SHARE": " ".join(map(str, share))}
        return {**home, **self.trust(), **env}

    def trust(self) -> dict[str, str]:
        """Return the variables by which programs in Go and in Python trust the gate."""
        authority = str(self.authority)
        return {"SSL_CERT_FILE": authority, "REQUESTS_CA_BUNDLE": authority}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A client that is one command; ``{}`` in its words is the reference."""

    place: Place
    words: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where all lies that it stores."""
        return self.place.folder

    def pull(self, reference: str) -> Outcome:
        """Run the command."""
        filled = [word.replace("{}", reference) for word in self.words]
        return self.place.run(*filled, **self.env)


def _storage(place: Place) -> tuple[str, ...]:
    roots = ("--root", str(place.folder / "root"), "--runroot", str(place.folder / "run"))
    return (*roots, "--storage-driver", "vfs")


def podman(place: Place) -> Client:
    """Podman, by ``pull``."""
    return Words(place=place, words=("podman", *_storage(place), "pull", "-q", "{}"))


def buildah(place: Place) -> Client:
    """Buildah, by ``from``, as a build's FROM does."""
    return Words(place=place, words=("buildah", *_storage(place), "from", "{}"))


def skopeo(place: Place) -> Client:
    """Skopeo, by ``copy``."""
    target = f"dir:{place.folder / 'copy'}"
    return Words(place=place, words=("skopeo", "copy", "docker://{}", target))


def apptainer(place: Place) -> Client:
    """Apptainer, which makes a SIF of the image."""
    sif = str(place.folder / "image.sif")
    env = {"APPTAINER_CACHEDIR": str(place.folder / "cache"), "APPTAINER_TMPDIR": "/tmp"}
    return Words(place=place, words=("apptainer", "pull", sif, "docker://{}"), env=env)


def charliecloud(place: Place) -> Client:
    """Charliecloud, by ``ch-image pull``."""
    env = {"CH_IMAGE_STORAGE": str(place.folder / "storage")}
    # It keeps its storage in git, which wants to know who somebody is.
    env |= {f"GIT_{who}_{what}": "x@y" for who in _WHO for what in ("NAME", "EMAIL")}
    return Words(place=place, words=("ch-image", "pull", "{}"), env=env)


def oras(place: Place) -> Client:
    """The oras command, into a layout."""
    layout = f"{place.folder / 'layout'}:1"
    return Words(place=place, words=("oras", "copy", "--to-oci-layout", "{}", layout))


def crane(place: Place) -> Client:
    """The crane command, into an archive."""
    return Words(place=place, words=("crane", "pull", "{}", str(place.folder / "image.tar")))


_DOCKERD = """\
{{"data-root": "{0}/docker", "exec-root": "{0}/exec", "pidfile": "{0}/docker.pid",
"hosts": ["unix://{0}/docker.sock"], "storage-driver": "vfs", "iptables": false,
"ip6tables": false, "bridge": "none", "containerd": "{0}/containerd.sock"}}
"""
_CONTAINERD = """\
version = 2
root = "{0}/containerd"
state = "{0}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images",
  "io.containerd.cri.v1.runtime"]
[grpc]
  address = "{0}/containerd.sock"
[plugins."io.containerd.image-verifier.v1.bindir"]
  bin_dir = "{0}/verifiers"
  max_verifiers = 10
  per_verifier_timeout = "10s"
"""
_HOSTS = """\
server = "https://{host}"
[host."https://{host}"]
  capabilities = ["pull", "resolve"]
  ca = "{authority}"
"""


@contextmanager
def containerd(place: Place) -> Iterator[Client]:
    """A containerd of its own, asked by ``ctr`` with a folder of hosts.toml."""
    with _daemons(place, docker=False):
        yield _Ctr(place=place)


@contextmanager
def docker(place: Place) -> Iterator[Client]:
    """A dockerd of its own on a containerd of its own, asked by its command."""
    with _daemons(place, docker=True):
        yield Words(
            place=place,
            words=("docker", "--host", f"unix://{place.folder}/docker.sock", "pull", "{}"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ctr:
    place: Place

    @property
    def folder(self) -> Path:
        return self.place.folder

    def pull(self, reference: str) -> Outcome:
        host = reference.partition("/")[0]
        hosts = self.folder / "hosts"
        (hosts / host).mkdir(parents=True, exist_ok=True)
        text = _HOSTS.format(host=host, authority=self.place.authority)
        (hosts / host / "hosts.toml").write_text(text)
        ctr = ("ctr", "--address", str(self.folder / "containerd.sock"), "--namespace", "test")
        return self.place.run(*ctr, "images", "pull", "--hosts-dir", str(hosts), reference)


@contextmanager
def _daemons(place: Place, *, docker: bool) -> Iterator[None]:
    """Start the daemons, wait until they answer, and end them by their process ids."""
    folder = place.folder
    (folder / "verifiers").mkdir()
    (folder / "containerd.toml").write_text(_CONTAINERD.format(folder))
    (folder / "docker.json").write_text(_DOCKERD.format(folder))
    commands = [["containerd", "--config", str(folder / "containerd.toml")]]
    if docker:
        commands.append(["dockerd", "--config-file", str(folder / "docker.json")])
    sockets = [folder / "containerd.sock", folder / "docker.sock"]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for command, socket in zip(commands, sockets, strict=False):
            running.append(_started(place, command))
            _await(socket, running[-1], folder / f"{command[0]}.log")
        yield
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            try:
                process.wait(_START_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _started(place: Place, command: Sequence[str]) -> subprocess.Popen[bytes]:
    with (place.folder / f"{command[0]}.log").open("wb") as log:
        return subprocess.Popen(
            [*place.prefix({}), *command],
            env=place.environment({}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _await(socket: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    import time

    end = time.monotonic() + _START_SECONDS
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the daemon did not start: {log.read_text()[-2000:]}")
        time.sleep(0.05)


def stored(folder: Path, needle: bytes) -> list[Path]:
    """Return the files below a folder in which the bytes stand, also packed as they were sent."""
    found = []
    for path, _, names in os.walk(folder):
        for name in names:
            file = Path(path) / name
            if file.is_file() and not file.is_symlink() and needle in file.read_bytes():
                found.append(file)
    return found


def installed(program: str) -> bool:
    """Tell whether this host has a program of Debian's."""
    return shutil.which(program, path=DEBIAN) is not None
