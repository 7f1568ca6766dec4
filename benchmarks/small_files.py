"""The layer of a tree of many small files, against ``tar | gzip -1`` of the same tree.

    python benchmarks/small_files.py [FILES] [RUNS]

Ours looks at the tree, finds what changed, and writes, compresses and hashes the layer; the peer
hashes nothing. Printed are seconds of processor, the medians and the least of each, and the ratio.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from imagekit.build import layer, tree_snapshot
from imagekit.build.exclude import LEFTOVERS

_IN_A_FOLDER = 100


def main() -> int:
    """Measure and print."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory(prefix="imagekit-bench-", dir="/var/tmp") as name:
        tree, blobs = Path(name, "tree"), Path(name, "blobs")
        blobs.mkdir()
        _fill(tree, files)
        ours, theirs = [], []
        for _ in range(runs):
            ours.append(_processor(resource.RUSAGE_SELF, lambda: _layer(tree, blobs)))
            theirs.append(_processor(resource.RUSAGE_CHILDREN, lambda: _tar(tree, blobs)))
    for who, seconds in (("imagekit", ours), ("tar | gzip -1", theirs)):
        print(f"{who}: {statistics.median(seconds):.2f} s, least {min(seconds):.2f} s")
    print(f"ratio {statistics.median(ours) / statistics.median(theirs):.2f}")
    return 0


def _fill(tree: Path, files: int) -> None:
    for number in range(files):
        folder = tree / f"usr/lib/d{number // (50 * _IN_A_FOLDER):03}/p{number // _IN_A_FOLDER:05}"
        folder.mkdir(parents=True, exist_ok=True)
        text = f"{number} some small content\n" * (number % 20)
        (folder / f"file{number % _IN_A_FOLDER:03}.txt").write_text(text)


def _layer(tree: Path, blobs: Path) -> None:
    changes = tree_snapshot.changes(tree_snapshot.EMPTY, tree_snapshot.take(tree), LEFTOVERS)
    layer.write(tree, changes, blobs, epoch=1_000_000_000)


def _tar(tree: Path, blobs: Path) -> None:
    command = 'tar -C "$1" -c . | gzip -1 > "$2"'
    subprocess.run(["sh", "-c", command, "sh", tree, blobs / "peer"], check=True)


def _processor(whose: int, do: Callable[[], None]) -> float:
    before = resource.getrusage(whose)
    do()
    after = resource.getrusage(whose)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())
