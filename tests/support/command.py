"""The command line as a process of its own, so that a test sees what a user sees."""

import gzip
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.tinyroot import tiny_root

DATE = "1700000000"


def imagekit(
    folder: Path, *words: str, before: Sequence[str] = (), **more: str
) -> subprocess.CompletedProcess[str]:
    """Run ``imagekit`` in a folder, and wait for it.

    Args:
        folder: where it runs.
        words: the command and its arguments.
        before: a program that runs it, with its arguments.
        more: variables of the environment, besides those of the test.
    """
    return subprocess.run(
        [*before, *command(*words)],
        env=environment(**more),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def command(*words: str) -> list[str]:
    """Return the program and its arguments."""
    return [sys.executable, "-m", "imagekit", *words]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of the test, in which the same imagekit is found."""
    own = {"PYTHONPATH": os.pathsep.join(sys.path), "SOURCE_DATE_EPOCH": DATE}
    return {**os.environ, **own, "IMAGEKIT_KEY_PASSWORD": "test", **more}


def at_home(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of somebody whose home that is, in which imagekit is found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    own = {"HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path), "SOURCE_DATE_EPOCH": DATE}
    return {**kept, **own, **more}


def recipe(folder: Path, name: str, rest: str) -> Path:
    """Write a recipe, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = f"schema: 1\nname: {name}\nversion: 1.0.0\n{rest}"
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    return folder


def tiny_recipe(folder: Path, *steps: str) -> Path:
    """Write a recipe of the host's own shell and Perl, and of steps of the shell."""
    tiny_root(folder / "root")
    lines = ["base: scratch", "steps:", "  - copy: {from: root, to: /}"]
    return recipe(folder, "tiny", "\n".join([*lines, *(f"  - {step}" for step in steps)]) + "\n")


def signed_image(folder: Path, *lines: str) -> None:
    """Publish a tiny image into the layout ``out``, and write the policy ``p.yaml`` for it.

    Args:
        folder: where its recipe, key, layout and policy are.
        lines: of the recipe.
    """
    with (tiny_recipe(folder / "recipe") / "recipe.yaml").open("a") as file:
        file.write("\n".join([*lines, ""]))
    assert imagekit(folder, "key", "generate").returncode == 0
    words = ("recipe", "--to", "oci:out", "--key", "imagekit.key", "--no-test")
    made = imagekit(folder, "publish", *words)
    assert made.returncode == 0, made.stderr
    new = imagekit(folder, "policy", "new", "--image", "**", "--key", "imagekit.pub")
    (folder / "p.yaml").write_text(new.stdout)


def members(layout: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the names in the layers of an OCI layout, each with what the file holds."""
    for blob in sorted((layout / "blobs/sha256").iterdir()):
        raw = blob.read_bytes()
        if not raw.startswith(b"\x1f\x8b"):
            continue
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(raw))) as archive:
            for member in archive:
                held = archive.extractfile(member) if member.isreg() else None
                yield member.name.strip("/"), b"" if held is None else held.read()
