"""Publishes a recipe and kills its own process, as kill -9 would, after the N-th write.

Arguments: RECIPE KEY. Each line of the input, `DESTINATION N`, is published by a process of its
own, forked from this one, which has imported all that it needs and opened the key; with N 0 nothing
is killed. What is printed is the exit code, or the signal below zero. Run by test_killed.py.
"""

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from imagekit.build.build import BuildOptions
from imagekit.oci.destination import Destination
from imagekit.oci.registry.connect import writer
from imagekit.oci.registry.options import RegistryOptions
from imagekit.publish.publish import PublishOptions
from imagekit.publish.publish_platforms import publish_recipe
from imagekit.recipe import load
from imagekit.recipe.recipe import Recipe
from imagekit.sign.keyed import KeySigner
from imagekit.sign.open_signer import open_signer

LATER = (
    "imagekit.oci.registry.oras",
    "imagekit.sbom.catalogue",
    "imagekit.sbom.cyclonedx",
    "imagekit.signatures.sigstore.verifier",
    "imagekit.verify.judge",
)
"""What publish imports when it needs it: once for all processes here."""
WRITES = ("put_blob", "put_bytes", "put_manifest", "put_referrers", "tag", "tag_once")
LIMIT = 120
"""Seconds after which a publish is taken for one that hangs, and ended."""


class Mortal:
    """A registry's writer that does not survive its N-th write."""

    def __init__(self, real: Any, left: int) -> None:
        self._real = real
        self._left = left

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if name not in WRITES:
            return method

        def write(*arguments: Any, **words: Any) -> Any:
            result = method(*arguments, **words)
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return write


def main() -> None:
    """Publish once for every line of the input."""
    folder, key = sys.argv[1:]
    recipe, signer = load(Path(folder)), open_signer(key, lambda: "secret")
    for name in LATER:
        importlib.import_module(name)
    for line in sys.stdin:
        to, left = line.rsplit(maxsplit=1)
        child = os.fork()
        if child == 0:
            # What it raises ends this loop too, as in any other program.
            _publish(recipe, signer, to, int(left))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _publish(recipe: Recipe, signer: KeySigner, to: str, left: int) -> None:
    """Publish, as far as it goes."""
    signal.alarm(LIMIT)
    destination = Destination.parse(to)
    real = writer(destination.place(recipe.name), RegistryOptions(settle_seconds=1))
    publish_recipe(
        recipe,
        to=destination,
        signer=signer,
        options=PublishOptions(build=BuildOptions(test=False)),
        writer=Mortal(real, left),
    )


if __name__ == "__main__":
    main()
