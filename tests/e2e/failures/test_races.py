"""Two publishers at once, and many builds at once: one release, and nothing lost."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

import pytest

from imagekit.build.job import ContainerStore, Folder
from imagekit.build.tools.chain import Chain
from imagekit.locks import claimed, held
from imagekit.oci.layout import LayoutStore
from imagekit.sign.open_signer import open_signer
from tests.support.command import at_home, command, recipe
from tests.support.namespaces import pid_namespace
from tests.support.released import RECIPE, complete, no_unsigned_tag, whole_blobs
from tests.support.servers import RegistryServer
from tests.support.tinyroot import tiny_root
from tests.support.whole import times

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(params=["docker-registry", "layout"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A registry without conditions, and a folder; a round's number is added."""
    if request.param == "layout":
        yield f"oci:{tmp_path}/images-"
        return
    (tmp_path / "server").mkdir()
    with RegistryServer.docker_registry(tmp_path / "server") as registry:
        yield f"{registry.host}/round"


@pytest.mark.parametrize("equal", [True, False], ids=["equal", "different"])
def test_two_publishers_make_one_release(destination: str, tmp_path: Path, *, equal: bool) -> None:
    """Whatever the order: of equal content both end well, of different content one."""
    folders = [tmp_path / "first", tmp_path / ("first" if equal else "second")]
    for folder in dict.fromkeys(folders):
        folder.mkdir()
        (folder / "recipe.yaml").write_text(RECIPE)
        (folder / "hello.txt").write_text(folder.name)
    _run(tmp_path / "home", tmp_path, "key", "generate")
    signer = open_signer(tmp_path / "imagekit.key", lambda: "x")
    for number in range(times(1, 50)):
        to = f"{destination}{number}"
        # On one machine, and on two; at once, and one a little later.
        homes = [tmp_path / "home", tmp_path / ("home" if number % 2 else "other")]
        pauses = [0.0, number // 2 % 10 * 0.1]
        with ThreadPoolExecutor(2) as threads:
            ended = list(
                threads.map(
                    lambda home, folder, pause, to=to: _publish(home, folder, to, pause=pause),
                    homes,
                    folders,
                    pauses,
                )
            )

        codes = sorted(process.returncode for process in ended)
        assert codes == ([0, 0] if equal else [0, 2]), [process.stderr for process in ended]
        no_unsigned_tag(to, signer)
        winner = next(number for number in range(2) if ended[number].returncode == 0)
        image = complete(to, signer, publishers=2 if equal else 1)
        assert ended[winner].stdout.strip().endswith(str(image.digest))
        again = _publish(homes[winner], folders[winner], to)
        assert (again.returncode, "unchanged" in again.stderr) == (0, True), again.stderr
        if not equal:
            loser = ended[1 - winner]
            assert "error[publish/immutable-tag]" in loser.stderr, loser.stderr


def _publish(
    home: Path, folder: Path, to: str, *, pause: float = 0
) -> subprocess.CompletedProcess[str]:
    time.sleep(pause)
    key = str(folder.parent / "imagekit.key")
    return _run(home, folder, "publish", ".", "--to", to, "--key", key, "--no-test")


def _run(home: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words),
        env=at_home(home, IMAGEKIT_KEY_PASSWORD="x"),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_builds_of_two_pid_namespaces_lose_nothing(tmp_path: Path) -> None:
    """Neither sees the other's processes, and all build into one store."""
    base = recipe(
        tmp_path / "base", "base", "base: scratch\nsteps: [{copy: {from: root, to: /}}]\n"
    )
    tiny_root(base / "root", ("sh", "cat"))
    (tmp_path / "imagekit.toml").touch()
    count = times(4, 20)
    names = [f"tiny{number}" for number in range(count)]
    for name in names:
        recipe(
            tmp_path / name,
            name,
            f"base: {{recipe: base}}\nsteps: [{{run: echo {name} > /made}}]\n",
        )
    halves = names[: count // 2], names[count // 2 :]
    with ExitStack() as running:
        begun = [running.enter_context(_many(tmp_path, half)) for half in halves]
        said = [process.communicate(timeout=900)[1] for process in begun]

    assert [process.returncode for process in begun] == [0, 0], said
    listed = _run(tmp_path / "home", tmp_path, "images", "--json")
    images = json.loads(listed.stdout)["images"]
    assert {image["name"] for image in images} == {"base", *names}
    whole_blobs(tmp_path / "home")


def _many(folder: Path, names: Sequence[str]) -> "subprocess.Popen[str]":
    """Build recipes in a PID namespace of their own, three at once."""
    one = " ".join(command("build", "--no-test"))
    # An exit code of xargs(1) is 0 where all of its commands ended so.
    script = f'printf "%s\\n" "$@" | xargs -n 1 -P 3 {one}'
    env = at_home(folder / "home")
    return subprocess.Popen(
        [*pid_namespace(env), "sh", "-c", script, "sh", *names],
        env=env,
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_make_the_same_chains(tmp_path: Path) -> None:
    """Each finds whole what the other made, while a third removes what nobody uses."""
    count = times(500, 10_000)
    LayoutStore.create(tmp_path / "images")
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as processes:
        making = [processes.submit(_make_chains, tmp_path, count) for _ in range(2)]
        removing = processes.submit(_remove_chains, tmp_path, making_ended := tmp_path / "ended")
        made = [each.result(600) for each in making]
        making_ended.touch()

        assert made == [count, count]
        assert removing.result(60) > 0


def _make_chains(folder: Path, count: int) -> int:
    place = Folder(path=folder / "graph", real=folder / "graph")
    storage = ContainerStore(folder=place, run=folder / "run", driver="overlay", runtime="runc")
    store = LayoutStore(folder / "images")
    for number in range(count):
        chain = Chain.of(b"%d" % (number % 50), (), store)
        # As a build does.
        with held(chain.lock(folder / "locks"), shared=True, keep=True):
            layout = Path(chain.place(storage).removeprefix("oci:").partition(":")[0])
            index = json.loads((layout / "index.json").read_bytes())
            blob = layout / "blobs/sha256" / index["manifests"][0]["digest"].partition(":")[2]
            assert blob.is_file()
    return count


def _remove_chains(folder: Path, ended: Path) -> int:
    removed = 0
    while not ended.exists():
        for lock in list((folder / "locks").glob("chain-*.lock")):
            name = lock.stem.removeprefix("chain-")
            # As whoever tidies the storage does.
            with claimed(lock) as free:
                if free:
                    shutil.rmtree(folder / "run/chains" / name, ignore_errors=True)
                    removed += 1
    return removed
