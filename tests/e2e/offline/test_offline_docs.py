"""docs/offline.md runs as it stands there, from its first command to its last."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from imagekit.oci.layout import LayoutRegistry, LayoutStore
from imagekit.oci.reference import Repository, TaggedReference
from tests.support.fakes import push_image

pytestmark = pytest.mark.real


def _script(project: Path) -> str:
    """Return the commands of the page's console blocks, and the lines of their documents."""
    text = (project / "docs/offline.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return re.sub(r"^\$ ", "", "".join(blocks), flags=re.MULTILINE)


def test_every_command_of_the_page_works(project: Path, tmp_path: Path) -> None:
    """In the order in which they stand, each ending with 0."""
    repository = Repository("localhost", "hello")
    registry = LayoutRegistry(LayoutStore(tmp_path / "images"))
    image = push_image(registry, repository)
    registry.tag(TaggedReference(repository, "1.0.0"), registry.manifest(image))
    shim = tmp_path / "bin/imagekit"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m imagekit "$@"\n')
    shim.chmod(0o755)

    ran = subprocess.run(
        ["bash", "-euxc", _script(project)],
        cwd=tmp_path,
        env={
            "PATH": f"{shim.parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "IMAGEKIT_KEY_PASSWORD": "x",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.count("allowed") >= 5
