"""Layers of zstd and zstd:chunked, pulled by Podman: Debian 12's, and Debian 13's in parts."""

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagekit.build.build import BuildOptions
from imagekit.oci.destination import Destination
from imagekit.publish.publish import PublishOptions
from imagekit.publish.publish_platforms import publish_recipe
from imagekit.recipe import load
from imagekit.recipe.recipe import ZSTD, ZSTD_CHUNKED
from tests.support.fakes import MemorySigner
from tests.support.programs import as_root, bench_program, run
from tests.support.servers import RegistryServer

pytestmark = pytest.mark.real

RECIPE = """\
schema: 1
name: {name}
version: 1.0.{version}
base: scratch
compression: {compression}
steps:
  - copy: {{from: files, to: /srv}}
"""
LARGE, NAME = 3_000_000, "a long name of snow \N{SNOWMAN} " * 5
STORAGE = """\
[storage]
driver = "overlay"
runroot = "/run/storage"
graphroot = "{store}/root"
[storage.options]
pull_options = {{enable_partial_images = "true"}}
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Images by name and version; of those of 2 one small file is another one than in 1."""
    folder = tmp_path_factory.mktemp("compressed")
    (folder / "server").mkdir()
    options = PublishOptions(
        build=BuildOptions(test=False, env={**os.environ, "HOME": str(folder)})
    )
    with RegistryServer.docker_registry(folder / "server") as registry:
        to, images = Destination.parse(f"{registry.host}/site"), {}
        for name, compression in (("plain", ZSTD), ("chunked", ZSTD_CHUNKED)):
            for version in ("1", "2"):
                recipe = folder / name
                _fill(recipe / "files", version)
                text = RECIPE.format(name=name, version=version, compression=compression)
                (recipe / "recipe.yaml").write_text(text)
                image = publish_recipe(load(recipe), to=to, signer=MemorySigner(), options=options)
                images[f"{name}:{version}"] = str(image.reference)
        yield images


def _fill(files: Path, version: str) -> None:
    files.mkdir(parents=True, exist_ok=True)
    (files / "large").write_bytes(bytes(range(250)) * (LARGE // 250))
    (files / "large").chmod(0o755)
    (files / NAME).write_text("snow")
    (files / "version").write_text(f"{version}\n")


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for Podman, which refuses a long path."""
    with tempfile.TemporaryDirectory(prefix="podman-") as name:
        yield Path(name)


@pytest.mark.parametrize("name", ["plain", "chunked"])
def test_the_oldest_podman_pulls_them(published: dict[str, str], name: str, short: Path) -> None:
    """Debian 12's takes both for zstd."""
    done = run(
        *("podman", "--root", f"{short}/root", "--runroot", f"{short}/run"),
        *("--storage-driver", "vfs", "pull", "--tls-verify=false", published[f"{name}:1"]),
    )

    assert done.returncode == 0, done.stderr
    (large,) = (short / "root/vfs/dir").glob("*/srv/large")
    assert large.stat().st_size == LARGE
    assert large.stat().st_mode & 0o7777 == 0o755


def test_podman_fetches_only_the_files_that_it_lacks(
    published: dict[str, str], tmp_path: Path, bench: Path
) -> None:
    """Debian 13's finds the others in its storage, and knows the layer by its diffID then."""
    podman = bench_program(bench, "podman-trixie")
    etc, store = tmp_path / "etc", tmp_path / "store"
    etc.mkdir()
    store.mkdir()
    (etc / "storage.conf").write_text(STORAGE.format(store=store))
    (etc / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def done_by_podman(*words: str) -> str:
        done = run(
            *as_root("BENCH_SHARE,BENCH_ETC"),
            podman,
            *words,
            BENCH_SHARE=str(store),
            BENCH_ETC=str(etc),
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    missing = []
    for version in ("1", "2"):
        told = done_by_podman(
            "--log-level=debug", "pull", "--tls-verify=false", published[f"chunked:{version}"]
        )
        missing += re.findall(r"Missing (\d+) bytes out of (\d+)", told)

    whole = LARGE + len("snow1\n")
    assert [tuple(map(int, pair)) for pair in missing] == [(whole, whole), (len("2\n"), whole)]
    # Written anew from tar-split and the files, it must have the diffID of the configuration.
    done_by_podman("push", published["chunked:2"], f"dir:{store}/pushed")
    found = {path.read_text() for path in (store / "root/overlay").glob("*/diff/srv/version")}
    assert found == {"1\n", "2\n"}
    run(*as_root(""), "rm", "-r", store)
