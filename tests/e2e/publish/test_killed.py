"""kill -9 of publish after every write: no tag without a signature, and the next run completes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from subprocess import PIPE

import pytest

from imagekit.sign.keyed import KeySigner
from imagekit.sign.open_signer import open_signer
from imagekit.signatures.keys.key_files import generate
from tests.support.released import RECIPE, complete, no_unsigned_tag
from tests.support.servers import RegistryServer

pytestmark = [pytest.mark.real, pytest.mark.slow]

DRIVER = Path(__file__).with_name("killed_publish.py")
MOST_WRITES = 60
AT_ONCE = 4


@dataclass(frozen=True)
class Bed:
    """A place to publish to, and processes that publish there."""

    drivers: "Queue[subprocess.Popen[str]]"
    signer: KeySigner
    destination: str
    quick: bool = True

    def publish(self, prefix: str, *, die_after: int) -> int:
        """Publish in a process of its own and return how that ended."""
        driver = self.drivers.get()
        assert driver.stdin is not None
        assert driver.stdout is not None
        try:
            print(self.to(prefix), die_after, file=driver.stdin, flush=True)
            ended = driver.stdout.readline()
        finally:
            self.drivers.put(driver)
        assert ended.strip() in {"0", str(-signal.SIGKILL)}, "see what it wrote to stderr"
        return int(ended)

    def to(self, prefix: str) -> str:
        """Return a destination that no other round uses."""
        layout = self.destination.startswith("oci:")
        return f"{self.destination}{prefix}" if layout else f"{self.destination}/{prefix}"


@pytest.fixture(scope="module", params=["docker-registry", "referrers", "layout"])
def bed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A registry without the referrers API, one with it, and a folder."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "recipe").mkdir()
    (folder / "server").mkdir()
    (folder / "recipe/recipe.yaml").write_text(RECIPE)
    (folder / "recipe/hello.txt").write_text("hello\n")
    generate(folder, lambda: "secret")
    signer = open_signer(folder / "imagekit.key", lambda: "secret")
    with _drivers(folder) as drivers:
        if request.param == "layout":
            yield Bed(drivers, signer, f"oci:{folder}/images-")
            return
        if request.param == "docker-registry":
            server = RegistryServer.docker_registry(folder / "server")
        else:
            program = request.getfixturevalue("bench") / "refregistry"
            server = RegistryServer.refregistry(program, folder / "server")
        with server as registry:
            quick = request.param != "docker-registry"
            yield Bed(drivers, signer, registry.host, quick=quick)


@contextmanager
def _drivers(folder: Path) -> Iterator["Queue[subprocess.Popen[str]]"]:
    """Start as many drivers as publish at once; when their input ends so do they."""
    env = {**os.environ, "HOME": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, str(DRIVER), str(folder / "recipe"), str(folder / "imagekit.key")]
    drivers: Queue[subprocess.Popen[str]] = Queue()
    with ExitStack() as started:
        for _ in range(AT_ONCE):
            driver = subprocess.Popen(argv, env=env, text=True, stdin=PIPE, stdout=PIPE)
            drivers.put(started.enter_context(driver))
        yield drivers


def test_killed_after_every_write(bed: Bed) -> None:
    """Wherever it dies, no user can get an unsigned image by a tag, and nothing is done twice."""
    bed.publish("warm", die_after=0)  # the local store has the image from here on
    # Where sites are after every write; elsewhere, by the same code, after every third.
    step = 3 if bed.quick else 1
    rounds = range(1, MOST_WRITES, step)
    # Where a registry knows no conditional requests a publish waits; the rounds share the time.
    # In layouts all are called localhost/hello, of which a release never follows a newer one.
    at_once = 1 if bed.destination.startswith("oci:") else AT_ONCE
    with ThreadPoolExecutor(at_once) as pool:
        for start in range(0, len(rounds), at_once):
            numbers = rounds[start : start + at_once]
            ended = [
                number
                for number, died in zip(
                    numbers, pool.map(lambda number: _dies(bed, number), numbers), strict=True
                )
                if not died
            ]
            if ended:
                assert ended[0] > 5, "publish made no writes that could be interrupted"
                return
    pytest.fail(f"publish made over {MOST_WRITES} writes")


def _dies(bed: Bed, number: int) -> bool:
    """Kill a publish after so many writes, finish it, and return whether it lived to be killed."""
    prefix = f"round{number}"
    died = bed.publish(prefix, die_after=number) != 0
    no_unsigned_tag(bed.to(prefix), bed.signer)
    if died:
        assert bed.publish(prefix, die_after=0) == 0
        complete(bed.to(prefix), bed.signer)
    return died
