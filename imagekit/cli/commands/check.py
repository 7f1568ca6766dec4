"""Show what keeps an image from being self-contained and portable; nothing of it is run.

Libraries that the loader does not find, interpreters, links, rights, secrets, what the build host
has left: each finding has a number (docs/check.md), a place, what it breaks, and a remedy. IMAGE is
read from its registry, layout or archive as a stream; FOLDER is a root file system. Ends with 4
where something was found that the recipe of --recipe does not except.

  imagekit check registry.example.org/apps/solver:2.1
  imagekit check oci:images:apps/solver:2.1 --recipe recipes/solver
  imagekit check /srv/rootfs --json | jq '.findings[].code'
  imagekit check registry.example.org/apps/solver:2.1 --attest --key imagekit.key
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.image_words import image_or_no_folder
from imagekit.cli.options import (
    add_recipes,
    add_registry_options,
    add_signer_options,
    recipes_of,
    registry_of,
    signer_of,
)
from imagekit.errors import InputError, UsageError, VerificationError

if TYPE_CHECKING:
    from imagekit.check.static.portability_finding import PortabilityFinding
    from imagekit.check.static.static_check import CheckedImage
    from imagekit.oci.location import LocatedReference
    from imagekit.oci.reference import PinnedReference
    from imagekit.oci.registry.ports import RegistryReader, RegistryWriter
    from imagekit.recipe.check_key import FindingException
    from imagekit.signatures.ports import Signer


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("image", metavar="IMAGE-or-FOLDER", help="an image, or a root file system")
    parser.add_argument(
        "--recipe", type=Path, metavar="RECIPE", help="the recipe whose exceptions hold"
    )
    parser.add_argument(
        "--attest",
        action="store_true",
        help="where nothing is found, sign that, and attach it to the image",
    )
    add_recipes(parser)
    add_signer_options(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Check an image.

    Raises:
        UsageError: --attest is for an image of a registry or layout.
        InputError: there is no such image or folder.
        ImagekitError: the image cannot be read, or the statement not signed.
    """
    from imagekit.check.static.read_tree import tree_of_folder, tree_of_reference
    from imagekit.check.static.static_check import check_tree, with_exceptions
    from imagekit.oci.registry import connect

    folder = _folder(arguments.image)
    file = Path(arguments.image.removeprefix("oci:").partition(":")[0])
    if arguments.attest and (folder is not None or file.is_file()):
        raise UsageError("--attest is for images of a registry or layout, and not for folders")
    signer = signer_of(arguments) if arguments.attest else None
    wanted = None if folder is not None else image_or_no_folder(arguments.image)
    exceptions = _exceptions(arguments)
    attached, name = "", str(folder)
    if wanted is None:
        checked = with_exceptions(check_tree(tree_of_folder(folder or Path())), exceptions)
    else:
        with _reader(wanted, arguments) as reader:
            image, tree = tree_of_reference(reader, wanted.reference, progress=console.progress)
        checked = with_exceptions(check_tree(tree), exceptions)
        name = wanted.location.shown(str(image))
        if signer is not None and checked.passed:
            writer = connect.light(wanted.location, registry_of(arguments))
            attached = _attest(writer, image, checked, signer=signer)
    console.result("\n".join(_lines(checked, attached)), _document(name, checked, attached))
    return 0 if checked.passed else VerificationError.exit_code


@contextmanager
def _reader(
    wanted: "LocatedReference", arguments: argparse.Namespace
) -> "Iterator[RegistryReader]":
    """Open where an image is: an archive of a layout is read as the layout is."""
    from imagekit.oci.archive import open_archive
    from imagekit.oci.location import LayoutLocation
    from imagekit.oci.registry import connect

    location = wanted.location
    if isinstance(location, LayoutLocation) and location.path.is_file():
        with open_archive(location.path) as archive:
            yield archive.registry
    else:
        yield connect.reader(location, registry_of(arguments))


def _folder(text: str) -> Path | None:
    folder = Path(text)
    if text.startswith("oci:") or not folder.is_dir():
        return None
    if (folder / "oci-layout").is_file():
        raise InputError(
            f"{folder} is an OCI layout", hint=f"name an image of it: oci:{folder}:NAME:TAG"
        )
    return folder


def _exceptions(arguments: argparse.Namespace) -> "tuple[FindingException, ...]":
    if arguments.recipe is None:
        return ()
    recipe = recipes_of(arguments).load(arguments.recipe)
    return recipe.check.exceptions if recipe.check is not None else ()


def _attest(
    writer: "RegistryWriter", image: "PinnedReference", checked: "CheckedImage", *, signer: "Signer"
) -> str:
    from imagekit.clock import SystemClock
    from imagekit.sign.contained import contained_statement
    from imagekit.sign.signing import attest, subjects

    clock = SystemClock()
    statement = contained_statement(checked, subjects=subjects(image, ()), finished=clock.now())
    manifest = writer.manifest(image).descriptor
    attached = attest(writer, signer, image, manifest=manifest, statement=statement, clock=clock)
    return str(attached.reference.digest)


def _lines(checked: "CheckedImage", attached: str) -> list[str]:
    from imagekit.check.static.told import exception_lines, finding_lines, summary

    lines = [*finding_lines(checked), *exception_lines(checked), summary(checked)]
    return [*lines, f"attested as {attached}"] if attached else lines


def _document(name: str, checked: "CheckedImage", attached: str) -> dict[str, object]:
    return {
        "schema": 1,
        "reference": name,
        "result": "PASSED" if checked.passed else "FAILED",
        "files": checked.files,
        "programs": checked.programs,
        "findings": [_found(finding) for finding in checked.findings],
        "excepted": [_found(finding) | {"reason": finding.reason} for finding in checked.excepted],
        "unused_exceptions": [{"finding": one.finding, "path": one.path} for one in checked.unused],
        "attestation": attached or None,
    }


def _found(finding: "PortabilityFinding") -> dict[str, object]:
    from imagekit.check.static.told import place, plain

    return {
        "code": finding.code,
        "title": finding.kind.title,
        "path": place(finding.path),
        "message": plain(finding.message),
        "breaks": [place(path) for path in finding.breaks],
        "hint": finding.hint,
    }
