"""Tests of images: what a recipe says of how they run is what they see, and what fails is named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tinyroot import tiny_root

pytestmark = [pytest.mark.real, pytest.mark.slow]

RECIPE = """\
schema: 1
name: tested
version: 1.0.0
base: scratch
steps:
  - copy: {from: root, to: /}
user: "65534:65534"
entrypoint: [/bin/sh, -c]
tests:
  - run: id -u; id -g; test ! -e /etc/passwd
    stdout: "^48211\\n48211\\n$"
  - name: the image's own user writes
    run: id -u; echo > /tmp/x && ! echo 2> /dev/null > /x
    user: image
    stdout: ^65534$
  - name: ends when it is stopped
    args: ["trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    signal: {within: 20}
  - structure: structure.yaml
"""
STRUCTURE = """\
schemaVersion: 2.0.0
commandTests:
  - {name: the variable, command: sh, args: [-c, "env; exit 3"], exitCode: 3,
     envVars: [{key: A, value: "1:$PATH"}], expectedOutput: ["(?m)^A=1:/.*"]}
fileExistenceTests:
  - {name: the shell, path: /bin/sh, permissions: -rwxr-xr-x, uid: 0, gid: 0}
metadataTest: {user: "65534:65534"}
"""


def _build(folder: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "HOME": str(folder.parent / "home")}
    argv = [sys.executable, "-m", "imagekit", "build", str(folder), "--progress", "plain"]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_tests_of_all_kinds(tmp_path: Path) -> None:
    """All of them pass; then one of the file fails, and the image is as it was."""
    folder = tmp_path / "tested"
    tiny_root(folder / "root", ["sh", "sleep", "id", "env"])
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "structure.yaml").write_text(STRUCTURE)

    good = _build(folder)
    (folder / "structure.yaml").write_text(STRUCTURE.replace("uid: 0", "uid: 5"))
    bad = _build(folder)

    assert good.returncode == 0, good.stderr
    assert "6 of 6 passed" in good.stderr
    assert bad.returncode != 0
    assert "test 5 of 6, `the shell`: /bin/sh is of the user 0, expected 5" in bad.stderr
    assert "structure.yaml:6" in bad.stderr
