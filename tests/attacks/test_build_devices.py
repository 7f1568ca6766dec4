"""Device nodes in the layers of a base are no devices for the steps on it."""

import os
import shutil
import stat
from pathlib import Path
from typing import Literal

import pytest

from imagekit.build.job import ContainerStore, Folder, Isolation
from imagekit.build.tools.buildah import Buildah
from imagekit.build.tools.storage import tool_files
from imagekit.process import Runner
from tests.support.tinyroot import tiny_root

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.root,
]


@pytest.mark.parametrize("how", ["chroot", "oci"])
def test_step_opens_no_device_of_its_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Literal["chroot", "oci"]
) -> None:
    """In a chroot no list of devices holds: a node of the disk would be the host's disk."""
    graph, run, work = (tmp_path / name for name in ("graph", "run", "work"))
    work.mkdir()
    folder = Folder(path=graph, real=graph)
    store = ContainerStore(folder=folder, run=run, driver="overlay", runtime="runc")
    for name, value in tool_files(store).environment.items():
        monkeypatch.setenv(name, value)
    runner = Runner(env={**os.environ, "TMPDIR": str(work)})
    buildah = Buildah(runner=runner, store=store, folder=Folder(path=work, real=work))
    runtime = shutil.which("runc") if how == "oci" else ""
    root = buildah.create("hostile")
    try:
        tiny_root(root / "tree")
        for path in (root / "tree").iterdir():
            path.rename(root / path.name)
        os.mknod(root / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        (root / "zero").chmod(0o666)
        said = buildah.run(
            "hostile",
            ["/usr/bin/perl", "-e", "print open(F, '<', '/zero') ? 'opened' : 'refused'"],
            env={},
            isolation=Isolation(how=how, runtime=str(runtime)),
            stage="",
            limit=60,
        )
    finally:
        buildah.remove("hostile")

    assert said.stdout.strip() == "refused", said.stderr
