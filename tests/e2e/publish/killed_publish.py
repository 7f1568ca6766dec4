"""Publishes a recipe and kills its own process, as kill -9 would, after the N-th write.

Arguments: RECIPE DESTINATION KEY N; with N 0 nothing is killed. Run by test_killed.py.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from imagekit.build.build import BuildOptions
from imagekit.oci.destination import Destination
from imagekit.oci.registry.connect import writer
from imagekit.oci.registry.options import RegistryOptions
from imagekit.publish.publish import PublishOptions, publish
from imagekit.recipe import load
from imagekit.sign.open_signer import open_signer

WRITES = ("put_blob", "put_bytes", "put_manifest", "put_referrers", "tag", "tag_once")


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
    """Publish, as far as it goes."""
    folder, to, key, left = sys.argv[1:]
    recipe = load(Path(folder))
    destination = Destination.parse(to)
    place = destination.place(recipe.name)
    publish(
        recipe,
        to=destination,
        signer=open_signer(key, lambda: "secret"),
        options=PublishOptions(build=BuildOptions(test=False)),
        writer=Mortal(
            writer(
                place,
                RegistryOptions(settle_seconds=1),
            ),
            int(left),
        ),
    )


if __name__ == "__main__":
    main()
