"""Publishing against bare Buildah: the same content, to the same registry on loopback.

    python benchmarks/publish.py [--runs N] [first] [changed] [unchanged]

``first``: a Debian system is made by mmdebstrap from the host's mirror, gets a step, and is pushed.
``changed``: the system is there already, ours in the cache of layers, theirs as an image in the
storage; both run a step that writes 60 MB of text and push to a repository that has the system.
``unchanged``: both are asked again for what they have just pushed.

Ours also writes the SBOM, provenance and signatures, and verifies them. Printed are seconds of
whole processes by the clock and of processors, and the ratios turn by turn. Believe those of
processors where others use the machine.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import common

RECIPE = """\
schema: 1
name: {name}
version: "1.0"
base: {{recipe: base/debian}}
steps:
  - run: seq {first} 8000000 > /usr/share/numbers
"""
STEP = "RUN seq {first} 8000000 > /usr/share/numbers\n"
BOOTSTRAP = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "bookworm"]
PUBLISH = ["--key", "imagekit.key", "--no-test", "--quiet"]
BUD = ["bud", "--quiet", "--isolation", "chroot"]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="*", help=f"of {', '.join(CASES)}; all where none is named")
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    arguments = parser.parse_args()
    with common.registry() as (_, registry):
        # Not /tmp: storage wants a file system that overlay can lie on.
        folder = Path(tempfile.mkdtemp(prefix="imagekit-bench-", dir="/var/tmp"))
        try:
            prepare(folder, registry)
            for what in arguments.what or CASES:
                ours, theirs = CASES[what](folder, registry)
                pairs = common.by_turns(1 if what == "first" else arguments.runs, ours, theirs)
                common.tell(what, *pairs, "buildah bud, push")
        finally:
            subprocess.run([*buildah(folder), "rm", "--all"], capture_output=True, check=False)
            shutil.rmtree(folder)
    return 0


def prepare(folder: Path, registry: str) -> None:
    """Make a key, build the system once for each, and push it once for each."""
    project = Path(__file__).resolve().parent.parent
    shutil.copytree(project / "recipes/base", folder / "recipes/base")
    (folder / "recipes/imagekit.toml").touch()
    common.imagekit(folder, "key", "generate", "--out", ".")
    image = common.imagekit(folder, "build", "recipes/base/debian", "--quiet").strip()
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
    ours(folder, registry, name="changed", first=0)
    bare(folder, registry, first=0)


class Numbers:
    """Numbers that were not there before, so that nothing is found in a cache."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        """Return the next number."""
        self._last += 1
        return self._last


def changed(folder: Path, registry: str) -> tuple[Callable[[], common.Times], ...]:
    """Return what publishes another state of the step, by both."""
    our, their = Numbers(), Numbers()
    return (
        lambda: ours(folder, registry, name="changed", first=our.next()),
        lambda: bare(folder, registry, first=their.next()),
    )


def unchanged(folder: Path, registry: str) -> tuple[Callable[[], common.Times], ...]:
    """Return what publishes what is there, by both."""
    return (
        lambda: ours(folder, registry, name="unchanged", first=0),
        lambda: bare(folder, registry, first=0),
    )


def first(folder: Path, registry: str) -> tuple[Callable[[], common.Times], ...]:
    """Return what makes the system, too, by both."""
    our = Numbers()

    def make_ours() -> common.Times:
        shutil.rmtree(folder / "home" / ".cache", ignore_errors=True)
        return ours(folder, registry, name="first", first=our.next())

    def make_theirs() -> common.Times:
        context = containerfile(folder, "FROM scratch\nADD system.tar /\n" + STEP.format(first=0))
        shell = f"{' '.join(BOOTSTRAP)} {context}/system.tar"
        return bud_and_push(folder, registry, before=shell)

    return make_ours, make_theirs


CASES = {"changed": changed, "unchanged": unchanged, "first": first}


def ours(folder: Path, registry: str, *, name: str, first: int) -> common.Times:
    """Time ``imagekit publish``."""
    recipe = folder / f"recipes/{name}"
    recipe.mkdir(exist_ok=True)
    text = RECIPE.format(name=name, first=first)
    (recipe / "recipe.yaml").write_text(text.replace("1.0", f"1.0.{first}"))
    imagekit = [sys.executable, "-m", "imagekit"]
    return common.process(
        folder, [*imagekit, "publish", str(recipe), "--to", f"{registry}/ours", *PUBLISH]
    )


def bare(folder: Path, registry: str, *, first: int) -> common.Times:
    """Time ``buildah bud`` and ``buildah push``."""
    containerfile(folder, "FROM localhost/bench-base\n" + STEP.format(first=first))
    return bud_and_push(folder, registry)


def containerfile(folder: Path, text: str) -> Path:
    """Write a Containerfile into a folder of its own, and return that."""
    context = folder / "context"
    context.mkdir(exist_ok=True)
    (context / "Containerfile").write_text(text)
    return context


def bud_and_push(folder: Path, registry: str, *, before: str = ":") -> common.Times:
    """Time a command of the shell, ``buildah bud`` of the context, and ``buildah push``."""
    program = " ".join(buildah(folder))
    bud = f"{program} {' '.join(BUD)} --layers --tag localhost/bench {folder}/context"
    to = f"docker://{registry}/theirs/bench:1"
    push = f"{program} push --quiet --tls-verify=false localhost/bench {to}"
    return common.process(folder, ["sh", "-ec", f"{before}; {bud}; {push}"])


def buildah(folder: Path) -> list[str]:
    """Return Buildah with a storage of its own."""
    storage = folder / "storage"
    return [
        "buildah",
        *("--root", f"{storage}/root"),
        *("--runroot", f"{storage}/run"),
        *("--storage-driver", "overlay"),
    ]


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
