"""Write the CycloneDX 1.6 SBOM of an image or folder.

imagekit sbom registry.example.org/apps/solver:2.1
imagekit sbom oci:images:apps/solver:2.1 -o solver.cdx.json
imagekit sbom /srv/rootfs
"""

import argparse
import json
from pathlib import Path

from imagekit.cli.console import Console
from imagekit.cli.options import add_registry_options, registry_of
from imagekit.errors import InputError, InvalidReferenceError
from imagekit.oci.location import LocatedReference, parse_located
from imagekit.sbom.contents import Sbom


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``imagekit sbom``."""
    parser.add_argument(
        "image", metavar="IMAGE-or-REFERENCE-or-FOLDER", help="an image, or a root file system"
    )
    parser.add_argument(
        "--output", "-o", type=Path, metavar="FILE", help="write it there instead of to stdout"
    )
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Run ``imagekit sbom``.

    Raises:
        InputError: there is no such folder, and it is no reference either.
        ImagekitError: the image cannot be read or catalogued.
    """
    from imagekit.files import is_stdout
    from imagekit.sbom.sbom import render

    sbom = _catalogued(arguments, console)
    raw = render(sbom)
    for note in sbom.notes:
        console.note(f"  ! {note}")
    if arguments.output is None or is_stdout(arguments.output):
        console.copied(raw.decode(), json.loads(raw))
        return 0
    _write(arguments.output, raw)
    console.result(
        f"{arguments.output}: {sbom.summary}",
        {
            "schema": 1,
            "file": str(arguments.output),
            "subject": sbom.subject.name,
            "digest": sbom.subject.digest or None,
            "components": len(sbom.components),
            "notes": list(sbom.notes),
        },
    )
    return 0


def _catalogued(arguments: argparse.Namespace, console: Console) -> Sbom:
    from imagekit.oci.registry import connect
    from imagekit.sbom.sbom import catalogue_folder, catalogue_reference

    folder = Path(arguments.image)
    if not arguments.image.startswith("oci:") and folder.is_dir():
        return catalogue_folder(folder, progress=console.progress)
    wanted = _wanted(arguments.image)
    reader = connect.reader(wanted.location, registry_of(arguments))
    return catalogue_reference(reader, wanted.reference, progress=console.progress)


def _wanted(text: str) -> LocatedReference:
    try:
        return parse_located(text)
    except InvalidReferenceError as error:
        if text.startswith("oci:") or not text.startswith((".", "/")):
            raise
        raise InputError(
            f"there is no folder {text}",
            hint="name a root file system, an OCI layout, HOST/NAME:TAG or oci:FOLDER:NAME:TAG",
        ) from error


def _write(path: Path, raw: bytes) -> None:
    from imagekit.files import write_output

    try:
        write_output(path, raw)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
