"""Our SBOM against syft's on the same root file systems, side by side.

    python benchmarks/sbom_vs_syft.py [--syft PROGRAM] [--runs N] FOLDER...

Both are whole processes, started cold each time, the page cache warm. syft is called as it reads
images: its way of reading folders takes sources for what is installed. Shown are the medians of
processor seconds, the most memory, and how many packages either found by the type of their URL,
with those that only one of them has.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

MEGABYTE = 1 << 10
SHOWN = 5


def main() -> int:
    """Run both on each folder and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--syft", default=shutil.which("syft"))
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if options.syft is None:
        parser.error("no syft: go install github.com/anchore/syft/cmd/syft@v1.51.0, or --syft")
    for folder in options.folders:
        compare(folder, options.syft, options.runs)
    return 0


def compare(folder: Path, syft: str, runs: int) -> None:
    """Run both on one folder."""
    with tempfile.TemporaryDirectory() as work:
        ours, theirs = Path(work) / "imagekit.json", Path(work) / "syft.json"
        as_image = ["--override-default-catalogers", "image"]
        commands = {
            "imagekit": [sys.executable, "-m", "imagekit", "sbom", str(folder), "-o", str(ours)],
            "syft": [
                syft,
                "scan",
                "-q",
                *as_image,
                f"dir:{folder}",
                "-o",
                f"cyclonedx-json={theirs}",
            ],
        }
        figures = {name: [measured(argv) for _ in range(runs)] for name, argv in commands.items()}
        found = {"imagekit": packages(ours), "syft": packages(theirs)}
    seconds = {
        name: statistics.median(second for second, _ in runs_) for name, runs_ in figures.items()
    }
    print(f"{folder}")
    for name, runs_ in figures.items():
        most = max(memory for _, memory in runs_)
        print(f"  {name:<9} {seconds[name]:6.2f} s of processor, {most:5.0f} MB")
    print(f"  ratio     {seconds['imagekit'] / seconds['syft']:6.2f}")
    report(found)


def measured(argv: list[str]) -> tuple[float, float]:
    """Run a command; return its processor seconds and its most memory in MB."""
    environment = dict(os.environ, SYFT_CHECK_FOR_APP_UPDATE="false")
    process = subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{argv[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / MEGABYTE


def packages(file: Path) -> dict[str, set[str]]:
    """Return the package URLs of a document by their type, without qualifiers."""
    by_type: dict[str, set[str]] = defaultdict(set)
    for component in json.loads(file.read_bytes()).get("components", []):
        if url := component.get("purl", "").partition("?")[0]:
            by_type[url.partition("/")[0].removeprefix("pkg:")].add(url)
    return by_type


def report(found: dict[str, dict[str, set[str]]]) -> None:
    """Print what either found."""
    ours, theirs = found["imagekit"], found["syft"]
    for kind in sorted(ours.keys() | theirs.keys()):
        print(f"  {kind:<9} imagekit {len(ours[kind]):5}  syft {len(theirs[kind]):5}")
        for name, only in (
            ("imagekit", ours[kind] - theirs[kind]),
            ("syft", theirs[kind] - ours[kind]),
        ):
            if only:
                shown = " ".join(sorted(only)[:SHOWN])
                print(f"            only {name} {len(only)}: {shown}")


if __name__ == "__main__":
    sys.exit(main())
