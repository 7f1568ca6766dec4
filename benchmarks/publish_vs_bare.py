"""Publishing against bare Buildah: the same content, to the same registry on loopback.

    python benchmarks/publish_vs_bare.py [RUNS]

Both start from a Debian base that is there already: ours in the cache of layers, theirs as an image
in the storage. Both run a step that writes 60 MB of text and push to a repository that is empty.
Ours also writes the SBOM, provenance and signatures, and verifies them. Printed are the medians of
whole processes and their ratio.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPE = """\
schema: 1
name: bench
version: "{version}"
base: {{recipe: base/debian}}
steps:
  - run: seq 1 8000000 > /usr/share/numbers
"""
CONTAINERFILE = """\
FROM localhost/bench-base
RUN seq 1 8000000 > /usr/share/numbers
"""
CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


def main() -> int:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    project = Path(__file__).resolve().parent.parent
    # Not /tmp: storage wants a file system that overlay can lie on.
    with tempfile.TemporaryDirectory(prefix="imagekit-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        shutil.copytree(project / "recipes/base", folder / "recipes/base")
        (folder / "recipes/imagekit.toml").touch()
        port = 39771
        (folder / "registry.yml").write_text(CONFIG.format(root=folder / "registry", port=port))
        registry = subprocess.Popen(
            ["docker-registry", "serve", folder / "registry.yml"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(1)
            measure(folder, f"127.0.0.1:{port}", runs)
        finally:
            registry.terminate()
            registry.wait()
            subprocess.run([*buildah(folder), "rm", "--all"], capture_output=True, check=False)
    return 0


def measure(folder: Path, registry: str, runs: int) -> None:
    """Run both by turns, so that what else the machine does hits both."""
    key = prepare(folder)
    ours, theirs = [], []
    for number in range(runs):
        ours.append(publish(folder, f"{registry}/ours{number}", key, number))
        theirs.append(bare(folder, f"{registry}/theirs{number}"))
        print(f"run {number + 1}: imagekit {ours[-1]:.2f} s, bare {theirs[-1]:.2f} s", flush=True)
    our, their = statistics.median(ours), statistics.median(theirs)
    print(f"median of {runs}: imagekit publish {our:.2f} s, buildah bud + push {their:.2f} s")
    print(f"ratio {our / their:.2f}")


def prepare(folder: Path) -> Path:
    """Build the base once for each, and make a key."""
    imagekit(folder, "key", "generate", "--out", str(folder))
    image = imagekit(folder, "build", "recipes/base/debian", "--quiet").strip()
    layout, _, digest = image.removeprefix("oci:").partition(":base/debian@")
    one = folder / "base"
    one.mkdir()
    (one / "blobs").symlink_to(Path(layout) / "blobs")
    (one / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    size = (Path(layout) / "blobs/sha256" / digest.removeprefix("sha256:")).stat().st_size
    (one / "index.json").write_text(
        '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",'
        f'"digest":"{digest}","size":{size}}}]}}'
    )
    pulled = subprocess.run(
        [*buildah(folder), "pull", "--quiet", f"oci:{one}"],
        capture_output=True,
        text=True,
        check=True,
    )
    image_id = pulled.stdout.strip().splitlines()[-1]
    subprocess.run([*buildah(folder), "tag", image_id, "localhost/bench-base"], check=True)
    return folder / "imagekit.key"


def publish(folder: Path, to: str, key: Path, number: int) -> float:
    """Time ``imagekit publish`` of a version that was never built."""
    recipe = folder / f"recipes/bench{number}"
    recipe.mkdir()
    (recipe / "recipe.yaml").write_text(RECIPE.format(version=f"1.0.{number}"))
    began = time.monotonic()
    imagekit(folder, "publish", str(recipe), "--to", to, "--key", str(key), "--no-test", "--quiet")
    return time.monotonic() - began


def bare(folder: Path, to: str) -> float:
    """Time ``buildah bud`` and ``buildah push``."""
    context = folder / "context"
    context.mkdir(exist_ok=True)
    (context / "Containerfile").write_text(CONTAINERFILE)
    began = time.monotonic()
    bud = ["bud", "--quiet", "--isolation", "chroot", "--no-cache", "--tag", "localhost/bench"]
    subprocess.run([*buildah(folder), *bud, str(context)], capture_output=True, check=True)
    push = ["push", "--quiet", "--tls-verify=false", "localhost/bench", f"docker://{to}/bench:1"]
    subprocess.run([*buildah(folder), *push], capture_output=True, check=True)
    return time.monotonic() - began


def buildah(folder: Path) -> list[str]:
    """Return Buildah with a storage of its own."""
    storage = folder / "storage"
    return [
        "buildah",
        "--root",
        f"{storage}/root",
        "--runroot",
        f"{storage}/run",
        "--storage-driver",
        "overlay",
    ]


def imagekit(folder: Path, *words: str) -> str:
    """Run imagekit with a home of its own and return what it printed."""
    env = {**os.environ, "HOME": str(folder / "home"), "IMAGEKIT_KEY_PASSWORD": "bench"}
    env = {key: value for key, value in env.items() if not key.startswith("XDG_")}
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
