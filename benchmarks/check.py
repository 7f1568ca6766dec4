"""What `imagekit check` costs: processor seconds for each GB of files, and the most memory.

    python benchmarks/check.py [--runs N] IMAGE-or-FOLDER...

Each run is a whole process, started cold, the page cache warm; the median counts. The size is that
of the files as they are unpacked. Of an image, its layers are unpacked and their digests checked.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from imagekit import RegistryOptions
from imagekit.check.static.image_tree import ImageTree
from imagekit.check.static.read_tree import tree_of_folder, tree_of_reference
from imagekit.oci.location import parse_located
from imagekit.oci.registry import connect

GIGABYTE = 10**9


def main() -> int:
    """Check each, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", metavar="IMAGE-or-FOLDER")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    for image in options.images:
        files = tree(image).regular.values()
        size = sum(file.size for file in files) / GIGABYTE
        runs = [measured(image) for _ in range(options.runs)]
        seconds = statistics.median(second for second, _ in runs)
        memory = max(most for _, most in runs)
        print(
            f"{image}: {len(files)} files, {size:.2f} GB, {seconds:.2f} s of processor, "
            f"{seconds / size:.2f} s a GB, {memory:.0f} MB"
        )
    return 0


def tree(image: str) -> ImageTree:
    """Read an image or a folder."""
    if Path(image).is_dir():
        return tree_of_folder(Path(image))
    wanted = parse_located(image)
    reader = connect.reader(wanted.location, RegistryOptions())
    return tree_of_reference(reader, wanted.reference)[1]


def measured(image: str) -> tuple[float, float]:
    """Check an image; return the processor seconds and the most memory in MB."""
    argv = [sys.executable, "-m", "imagekit", "check", image, "--json", "--quiet"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
