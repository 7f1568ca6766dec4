"""Verifying against cosign: cold processes, one image in a registry on loopback, by key.

    python benchmarks/verify_vs_cosign.py [RUNS]

``cosign verify --key`` looks for one signature; ``imagekit verify`` also binds the name and wants
SBOM and provenance. Then the same with ten more signatures attached by other keys. cosign is the
one of tests/interop/bench.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPE = """\
schema: 1
name: bench
version: 1.0.0
base: scratch
steps:
  - copy: {from: hello.txt, to: /hello.txt}
"""
CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


def main() -> int:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cosign = Path(os.environ.get("IMAGEKIT_BENCH") or cache / "imagekit-bench") / "bin/cosign"
    if not cosign.exists():
        print("there is no cosign: run tests/interop/bench cosign")
        return 1
    with tempfile.TemporaryDirectory(prefix="imagekit-bench-") as name:
        folder = Path(name)
        port = 39772
        (folder / "registry.yml").write_text(CONFIG.format(root=folder / "registry", port=port))
        registry = subprocess.Popen(
            ["docker-registry", "serve", folder / "registry.yml"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(1)
            measure(folder, f"127.0.0.1:{port}", cosign, runs)
        finally:
            registry.terminate()
            registry.wait()
    return 0


def measure(folder: Path, registry: str, cosign: Path, runs: int) -> None:
    """Compare with one signer, and with eleven."""
    (folder / "recipe").mkdir()
    (folder / "recipe/recipe.yaml").write_text(RECIPE)
    (folder / "recipe/hello.txt").write_text("hello\n")
    imagekit(folder, "key", "generate", "--out", ".")
    imagekit(folder, "publish", "recipe", "--to", f"{registry}/x", "--key", "imagekit.key")
    policy = ("policy", "new", "--image", f"{registry}/**", "--key", "imagekit.pub")
    text = imagekit(folder, *policy, "--require", "cyclonedx,slsaprovenance1")
    (folder / "policy.yaml").write_text(text)
    image = f"{registry}/x/bench:1.0.0"
    compare(folder, image, cosign, runs, "one signer")
    for number in range(10):
        other = folder / f"other{number}"
        other.mkdir()
        imagekit(folder, "key", "generate", "--out", str(other))
        imagekit(folder, "sign", image, "--key", str(other / "imagekit.key"))
    compare(folder, image, cosign, runs, "eleven signers")


def compare(folder: Path, image: str, cosign: Path, runs: int, what: str) -> None:
    """Time both by turns and print the ratio of the medians."""
    theirs_argv = [str(cosign), "verify", "--key", "imagekit.pub", "--insecure-ignore-tlog=true"]
    theirs_argv += ["--allow-http-registry", image]
    ours, theirs = [], []
    for _ in range(runs):
        began = time.monotonic()
        imagekit(folder, "verify", image, "--policy", "policy.yaml")
        ours.append(time.monotonic() - began)
        began = time.monotonic()
        subprocess.run(theirs_argv, cwd=folder, capture_output=True, check=True)
        theirs.append(time.monotonic() - began)
    our, their = statistics.median(ours), statistics.median(theirs)
    print(f"{what}, median of {runs}: imagekit verify {our:.3f} s, cosign verify {their:.3f} s")
    print(f"ratio {our / their:.1f}", flush=True)


def imagekit(folder: Path, *words: str) -> str:
    """Run imagekit with a home of its own and return what it printed."""
    env = {**os.environ, "HOME": str(folder / "home"), "IMAGEKIT_KEY_PASSWORD": "bench"}
    return subprocess.run(
        [sys.executable, "-m", "imagekit", *words],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
