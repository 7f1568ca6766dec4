"""Write the SBOM of an image or folder: CycloneDX 1.6 or 1.7, or SPDX 3.0.1.

  imagekit sbom registry.example.org/apps/solver:2.1
  imagekit sbom oci:images:apps/solver:2.1 -o solver.cdx.json
  imagekit sbom /srv/rootfs --format spdx3
  imagekit sbom solver.tar                                  docker save, podman save, skopeo copy
  imagekit sbom containers-storage:localhost/solver:2.1     Podman's store
  imagekit sbom oci:images:apps/solver:2.1 --profile bsi --manufacturer "HPC <sbom@example.org>"

--profile bsi adds what BSI TR-03183-2 wants, in CycloneDX 1.7. What an image does not tell is not
made up: how many components lack a field is noted. NTIA's minimum elements are among them, where
--author says who wrote the document.
"""

import argparse
import json
from pathlib import Path

from imagekit.cli.console import Console
from imagekit.cli.sbom_source import WORD, add_source_options, catalogued, sbom_options_of
from imagekit.errors import InputError, UsageError
from imagekit.sbom.contents import Sbom
from imagekit.sbom.sbom_options import FORMATS, PROFILES, VERSIONS, SbomOptions


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the verb."""
    parser.add_argument(
        "image", metavar=WORD, help="an image, a root file system, or an archive of one image"
    )
    parser.add_argument(
        "--output", "-o", type=Path, metavar="FILE", help="write it there instead of to stdout"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default=FORMATS[0], help="CycloneDX (default), or SPDX 3.0.1"
    )
    parser.add_argument(
        "--spec", choices=VERSIONS, help="the version of CycloneDX (default: 1.6; 1.7 for bsi)"
    )
    parser.add_argument("--profile", choices=PROFILES, help="rules that the document fulfils")
    who = parser.add_argument_group("in whose name")
    for name, text in (
        ("author", "who makes the document"),
        ("manufacturer", "the organization that does"),
    ):
        who.add_argument(
            f"--{name}",
            dest=f"sbom_{name}",
            metavar="NAME <EMAIL|URL>",
            help=f"{text} (default: sbom-{name} in imagekit.toml)",
        )
    add_source_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Write it.

    Raises:
        UsageError: two of the options exclude each other.
        InputError: there is no such folder, and it is no reference either.
        ImagekitError: the image cannot be read or catalogued.
    """
    from imagekit.files import is_stdout

    options = _options(arguments)
    sbom = catalogued(arguments.image, arguments, console)
    raw = _rendered(sbom, arguments.format, options)
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


def _options(arguments: argparse.Namespace) -> SbomOptions:
    """Return how it is written; what cannot be is refused before the image is read."""
    if arguments.format != "cyclonedx" and (arguments.spec or arguments.profile):
        raise UsageError(
            "--spec and --profile are of CycloneDX", hint="leave --format out, or leave them out"
        )
    return sbom_options_of(arguments, version=arguments.spec, profile=arguments.profile)


def _rendered(sbom: Sbom, form: str, options: SbomOptions) -> bytes:
    from imagekit.sbom.sbom import render, render_spdx

    return render_spdx(sbom, options) if form == "spdx3" else render(sbom, options)


def _write(path: Path, raw: bytes) -> None:
    from imagekit.files import write_output

    try:
        write_output(path, raw)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
