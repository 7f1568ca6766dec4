"""What the benchmarks of verifying share: registry, images, policy, and how times are taken."""

import json
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from imagekit import RegistryOptions, open_signer, sign_image
from imagekit.oci.location import REGISTRY, LocatedReference
from imagekit.oci.reference import Repository, TaggedReference
from imagekit.oci.registry import connect
from imagekit.oci.types import CONFIG as CONFIG_TYPE
from imagekit.oci.types import MANIFEST
from imagekit.progress import silent

RECIPE = """\
schema: 1
name: {name}
version: 1.0.0
base: scratch
steps:
  - copy: {{from: hello.txt, to: /hello.txt}}
"""
CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@contextmanager
def registry() -> Iterator[tuple[Path, str]]:
    """Run Debian's docker-registry on loopback; yield a folder to work in, and HOST:PORT."""
    with tempfile.TemporaryDirectory(prefix="imagekit-bench-") as name:
        folder = Path(name)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (folder / "registry.yml").write_text(CONFIG.format(root=folder / "registry", port=port))
        server = subprocess.Popen(
            ["docker-registry", "serve", folder / "registry.yml"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(port)
            yield folder, f"127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()


def _wait(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return


def publish(folder: Path, to: str, name: str = "bench") -> str:
    """Publish a small image, signed by the folder's key; return its reference by tag."""
    recipe = folder / "recipes" / name
    recipe.mkdir(parents=True, exist_ok=True)
    (recipe / "recipe.yaml").write_text(RECIPE.format(name=name))
    (recipe / "hello.txt").write_text("hello\n")
    if not (folder / "imagekit.key").exists():
        imagekit(folder, "key", "generate", "--out", ".")
    imagekit(folder, "publish", str(recipe), "--to", to, "--key", "imagekit.key")
    return f"{to}/{name}:1.0.0"


def push_signed(folder: Path, to: str, count: int) -> list[str]:
    """Push images of a few bytes, each into a repository of its own, and sign them by the key."""
    signer = open_signer(folder / "imagekit.key", lambda: "bench")
    images = []
    for number in range(count):
        reference = TaggedReference(Repository.parse(f"{to}/image{number}"), "1.0.0")
        writer = connect.light(REGISTRY, RegistryOptions())
        raw = b'{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}'
        config = writer.put_bytes(reference.repository, CONFIG_TYPE, raw)
        entry = {"mediaType": CONFIG_TYPE, "digest": str(config.digest), "size": config.size}
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": entry, "layers": []}
        document["annotations"] = {"number": str(number)}
        pinned = writer.put_manifest(reference.repository, MANIFEST, json.dumps(document).encode())
        writer.tag(reference, writer.manifest(pinned))
        wanted, options = LocatedReference(REGISTRY, reference), RegistryOptions()
        sign_image(wanted, signer=signer, options=options, sbom=False, progress=silent)
        images.append(str(reference))
    return images


def write_policy(folder: Path, host: str, *require: str) -> str:
    """Write a policy that wants a signature by the folder's key, and attestations if said so."""
    words = ["policy", "new", "--image", f"{host}/**", "--key", "imagekit.pub"]
    words += ["--require", ",".join(require)] if require else []
    path = folder / f"policy{len(require)}.yaml"
    path.write_text(imagekit(folder, *words))
    return path.name


def imagekit(folder: Path, *words: str) -> str:
    """Run imagekit with a home of its own and return what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "imagekit", *words],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def matched(pattern: str, text: str) -> re.Match[str]:
    """Return where a pattern matches.

    Raises:
        ValueError: nowhere; the program that wrote the text writes something else by now.
    """
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"{pattern} is not in {text[:500]!r}")
    return found


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of the programs that are measured.

    Python must be able to keep what it compiles, or each start compiles imagekit anew.
    """
    own = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    own.pop("PYTHONDONTWRITEBYTECODE", None)
    return own | {"HOME": str(folder / "home"), "IMAGEKIT_KEY_PASSWORD": "bench"}


Times = tuple[float, float]
"""Seconds of wall clock and of processors."""


def process(folder: Path, argv: Sequence[str]) -> Times:
    """Run a command, which must end well; return what it took, its children included."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(argv, cwd=folder, env=environment(folder), capture_output=True, check=True)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def by_turns(
    runs: int, ours: Callable[[], Times], theirs: Callable[[], Times]
) -> tuple[list[Times], list[Times]]:
    """Measure both by turns, so that what else the machine does hits both; the first is no turn."""
    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(runs)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def tell(what: str, ours: Sequence[Times], theirs: Sequence[Times], peer: str) -> None:
    """Print medians and minima of both, and the medians of the ratios turn by turn."""
    turns = list(zip(ours, theirs, strict=True))
    wall, processors = (
        statistics.median(one[each] / max(other[each], 1e-3) for one, other in turns)
        for each in (0, 1)
    )
    print(
        f"{what}, {len(ours)} turns: ratio {wall:.2f} by the clock, {processors:.2f} of processors"
    )
    for name, times in (("imagekit", ours), (peer, theirs)):
        shown = [
            f"{word} {statistics.median(part):6.3f} s (least {min(part):6.3f})"
            for word, part in zip(("clock", "processors"), zip(*times, strict=True), strict=True)
        ]
        print(f"  {name:<26} {', '.join(shown)}", flush=True)


def cosign() -> Path | None:
    """Return the cosign of tests/support/bench/setup, if it was installed."""
    path = _bench() / "bin/cosign"
    return path if path.exists() else None


def sigstore() -> tuple[Path, str] | None:
    """Return the files of the private Sigstore and its issuer, if `scripts/sigstore up` ran."""
    folder = _bench() / "sigstore/stack"
    try:
        state = json.loads((folder / "stack.json").read_text())
    except OSError:
        return None
    return (folder, state["addresses"]["issuer"]) if state.get("ready") else None


def _bench() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("IMAGEKIT_BENCH") or cache / "imagekit-bench")
