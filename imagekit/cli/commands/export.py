r"""Verify an image, then write it with everything that is attached to it into one file.

  imagekit export registry.example.org/apps/solver:2.1 --policy policy.yaml --to solver.tar
  imagekit export oci:images:solver:2.1 --policy policy.yaml --to oci-archive:solver.tar
  imagekit export registry.example.org/apps/solver:2.1 --policy policy.yaml --to solver.tar \
    --platform linux/amd64 --dry-run

The file is an OCI image layout in a tar archive, which other tools read as oci-archive:FILE. In it
are the image, its signatures in both forms, SBOM, provenance, releases and whatever else is
attached to it, and the policy with its keys and trusted roots. The same image and policy give the
same bytes. At the other end: imagekit import FILE, or imagekit verify REFERENCE --from FILE.

Ends with 3, and writes nothing, where the policy says no.
"""

import argparse
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_policy_option,
    add_registry_options,
    memory_of,
    policy_file,
    policy_of,
    registry_of,
)
from imagekit.documents.quantity import count, size
from imagekit.errors import DeniedError

if TYPE_CHECKING:
    from imagekit.offline.export import Export


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "reference",
        metavar="REFERENCE",
        help="HOST/NAME:TAG, HOST/NAME@sha256:... or oci:FOLDER:NAME:TAG",
    )
    parser.add_argument(
        "--to",
        required=True,
        metavar="FILE",
        help="FILE.tar or oci-archive:FILE; replaced whole where it is there",
    )
    parser.add_argument(
        "--platform",
        action="append",
        default=[],
        metavar="OS/ARCH[/VARIANT]",
        help="only this platform of an image of several; may be given again (default: all)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="verify and show what the file would hold"
    )
    add_policy_option(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Verify and export."""
    from imagekit.files import is_stdout
    from imagekit.oci.location import LocatedReference, parse_located
    from imagekit.oci.reference import Reference
    from imagekit.oci.registry.connect import reader
    from imagekit.offline.export import ExportOptions, enclose, export
    from imagekit.verify.sources import archive_of
    from imagekit.verify.verdict import Verdict
    from imagekit.verify.verdict_text import document, text
    from imagekit.verify.verify import verify

    wanted = parse_located(arguments.reference)
    file = archive_of(arguments.to)
    options = registry_of(arguments)
    source = reader(wanted.location, options)
    memory = memory_of(arguments)
    policy = policy_of(arguments, memory=memory)

    def judge(reference: Reference) -> Verdict:
        located = LocatedReference(wanted.location, reference)
        return verify(located, policy=policy, reader=source, memory=memory)

    done = export(
        wanted.reference,
        file,
        judge=judge,
        reader=source,
        policy=enclose(policy_file(arguments), policy),
        options=ExportOptions(platforms=tuple(arguments.platform), dry_run=arguments.dry_run),
        progress=console.progress,
    )
    report = dict(document(done.verdict))
    if done.closure is None:
        console.result(text(done.verdict), report)
        return DeniedError.exit_code
    console.note(text(done.verdict))
    shown = _summary(done) if arguments.dry_run else str(file)
    if is_stdout(file):
        console.note(shown)
    else:
        console.result(shown, report | _document(done, str(file)))
    return 0


def _summary(done: "Export") -> str:
    closure, record = done.closure, done.record
    if closure is None or record is None:
        return ""
    platforms = len(closure.manifests)
    return (
        f"would hold {count(len(record.members), 'file')}, {size(closure.size)}: "
        f"{platforms} manifests, {len(closure.attached)} attached, {len(closure.tags)} legacy tags"
    )


def _document(done: "Export", file: str) -> dict[str, object]:
    closure, record = done.closure, done.record
    if closure is None or record is None:
        return {}
    return {
        "file": file,
        "written": done.new,
        "bytes": sum(member.size for member in record.members.values()),
        "manifests": [str(raw.digest) for raw in closure.manifests],
        "attached": [str(raw.digest) for raw in closure.attached],
        "tags": [tag for tag, _ in closure.tags],
        "left_out": list(closure.left_out),
    }
