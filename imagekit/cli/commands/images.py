"""List the images of the local image store: what was built here.

  imagekit images
  skopeo inspect "oci:$HOME/.local/share/imagekit/images:hello-mpi:1.2.0"

The store is an OCI image layout, in which an image has the name NAME:VERSION, or where an image for
another platform has that already, NAME:VERSION+ARCHITECTURE. Its size counts
layers that it shares with others. Where it was published is what publish noted on this host.
"""

import argparse
from typing import TYPE_CHECKING

from imagekit.cli.console import Console

if TYPE_CHECKING:
    from imagekit.build.local_store import ListedImage

_HEADS = ("NAME", "VERSION", "DIGEST", "SIZE", "BUILT", "PUBLISHED")
_DIGITS = 12


def configure(parser: argparse.ArgumentParser) -> None:
    """The command has no options of its own."""
    del parser


def run(arguments: argparse.Namespace, console: Console) -> int:
    """List the images."""
    import os

    from imagekit.build.local_store import local_images
    from imagekit.build.tools.storage import Folders
    from imagekit.cli.table import table

    del arguments
    folders = Folders.of(os.environ)
    images = local_images(folders)
    if not images:
        console.note(f"no image was built yet: {folders.images} has none")
    terminal = console.out.isatty()
    rows = [_row(image, terminal=terminal) for image in images]
    document = {
        "schema": 1,
        "store": str(folders.images),
        "images": [_document(image) for image in images],
    }
    console.result(table(_HEADS, rows, terminal=terminal) if images else "", document)
    return 0


def _row(image: "ListedImage", *, terminal: bool) -> tuple[str, ...]:
    from imagekit.cli.table import size_text, time_text

    digest, built = str(image.digest), time_text(image.built)
    if terminal:
        digest, built = image.digest.hex[:_DIGITS], built.replace("T", " ").removesuffix(":00Z")
    size = size_text(image.size) if terminal else str(image.size)
    return (image.name, image.label, digest, size, built, ", ".join(image.published))


def _document(image: "ListedImage") -> dict[str, object]:
    from imagekit.cli.table import time_text

    return {
        "name": image.name,
        "version": image.version,
        "platform": str(image.platform or ""),
        "digest": str(image.digest),
        "size": image.size,
        "built": time_text(image.built),
        "published": list(image.published),
    }
