"""Many recipes: 30 small ones on one base with two jobs, and 50 of which nothing changed.

    python benchmarks/publish_many.py [--new N] [--unchanged N] [--jobs N]

The base is there already, in the cache of layers. Each recipe has two small steps and one test.
Printed are the seconds by the clock and of processors, of the whole process and of its children,
and the most memory of any one process. There is no peer that does the same.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import environment, imagekit, registry

RECIPE = """\
schema: 1
name: small{number}
version: 1.0.0
base: {{recipe: base/debian}}
steps:
  - run: echo {number} > /usr/share/number
  - run: seq 1 1000 > /usr/share/numbers
tests:
  - run: cat /usr/share/number
tags: {{immutable: ["{{version}}"], moving: [latest]}}
"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--new", type=int, default=30)
    parser.add_argument("--unchanged", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    project = Path(__file__).resolve().parent.parent
    # Not /tmp: storage wants a file system that overlay can lie on.
    tempfile.tempdir = "/var/tmp"
    with registry() as (folder, host):
        shutil.copytree(project / "recipes/base", folder / "recipes/base")
        (folder / "recipes/imagekit.toml").touch()
        imagekit(folder, "key", "generate", "--out", ".")
        imagekit(folder, "build", "recipes/base/debian", "--quiet")
        _write(folder, range(given.new))
        _measure(folder, host, f"{given.new} new", given.jobs)
        _write(folder, range(given.new, given.unchanged))
        if given.unchanged > given.new:
            _measure(folder, host, "the rest of them", given.jobs)
        for _ in range(3):
            _measure(folder, host, f"{max(given.new, given.unchanged)} unchanged", given.jobs)
    return 0


def _write(folder: Path, numbers: range) -> None:
    for number in numbers:
        recipe = folder / f"recipes/small/{number}"
        recipe.mkdir(parents=True)
        (recipe / "recipe.yaml").write_text(RECIPE.format(number=number))


def _measure(folder: Path, host: str, what: str, jobs: int) -> None:
    words = ["publish", "recipes/small", "--to", f"{host}/many", "--key", "imagekit.key"]
    argv = [sys.executable, "-m", "imagekit", *words, "--jobs", str(jobs)]
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(
            argv, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, stderr=told
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        told.seek(0)
        last = told.read().splitlines()[-1:]
    print(
        f"{what}, {jobs} jobs: clock {wall:.1f} s, processors {used.ru_utime + used.ru_stime:.1f} s"
        f" (system {used.ru_stime:.1f} s), most memory {used.ru_maxrss / 1024:.0f} MB; "
        f"exit {process.returncode}: {' '.join(last)}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
