r"""Find the known vulnerabilities of an image, or of all that a registry has.

  imagekit scan registry.example.org/apps/solver:2.1 --db /srv/advisories --fail-on high
  imagekit scan registry.example.org/apps/solver:2.1 --db /srv/advisories --attest --key my.key
  imagekit scan registry.example.org/apps/solver:2.1 --report trivy.json --attest --key my.key
  imagekit scan --published registry.example.org/apps --policy site.yaml --db /srv/advisories
  imagekit scan --published registry.example.org/apps --policy site.yaml --db /srv/advisories \
      --withdraw --key my.key

The packages are read from the image's layers, as for its SBOM, and compared with the advisories of
a folder: exports of OSV (ECOSYSTEM/all.zip) and Debian's security tracker (JSON). No network is
used but for the registry. With --report, what Trivy or Grype found is taken instead; the report
must name the image's digest. With --attest the result is signed and attached, and a policy can
require it (`attestations: [{type: vuln, maxSeverity: medium}]`).

With --published each image of a registry is judged by the policy, and with --db by a fresh scan as
well: what is listed as vulnerable would be refused if it were scanned anew, and --withdraw signs
that these must not be used any more.

With --fail-on LEVEL the exit code is 4 where something is found that is as bad, or that nobody
rates. With --published it is 3 where an image is refused, and 6 where one cannot be read.
"""

import argparse
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.commands.scan_published import add_published_options, scan_published
from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_policy_option,
    add_registry_options,
    add_signer_options,
    registry_of,
    signer_of,
)
from imagekit.errors import InputError, UsageError, VerificationError

if TYPE_CHECKING:
    from imagekit.oci.location import LocatedReference
    from imagekit.scan.scan import ScannedImage
    from imagekit.scan.scan_result import FoundVulnerability, ScanResult
    from imagekit.signatures.ports import Signer

_LEVELS = ("low", "medium", "high", "critical")
_HEADS = ("SEVERITY", "ID", "PACKAGE", "VERSION", "FIXED IN", "KIND")
_FOUND = VerificationError.exit_code
"""The exit code of --fail-on, as that of what `imagekit check` finds."""
_STALE_DAYS = 7


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the command."""
    parser.add_argument("reference", nargs="?", metavar="REFERENCE", help="the image to scan")
    known_by = parser.add_mutually_exclusive_group()
    known_by.add_argument(
        "--db", type=Path, metavar="FOLDER", help="advisories: exports of OSV, or Debian's tracker"
    )
    known_by.add_argument(
        "--report", type=Path, metavar="FILE", help="what Trivy or Grype found (JSON)"
    )
    parser.add_argument(
        "--fail-on",
        choices=_LEVELS,
        metavar="LEVEL",
        help="end with 1 where something is at least so bad: low, medium, high, critical",
    )
    parser.add_argument(
        "--attest", action="store_true", help="sign what was found, and attach it to the image"
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="attest also where the advisories say nothing of some kinds of packages",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="sign and attach nothing, show what would be"
    )
    add_published_options(parser)
    add_policy_option(parser)
    add_signer_options(parser)
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Scan.

    Raises:
        UsageError: what is to be scanned, or by what, is not said.
        ImagekitError: the image or the advisories cannot be read, or the result not signed.
    """
    if arguments.published is not None:
        if arguments.reference or arguments.report or arguments.attest or arguments.fail_on:
            raise UsageError(
                "--published goes with --policy, --db and --withdraw",
                hint="scan a single image by its REFERENCE",
            )
        return scan_published(arguments, console)
    if arguments.withdraw:
        raise UsageError(
            "--withdraw goes with --published", hint="for one image: imagekit withdraw REFERENCE"
        )
    return _scan_one(arguments, console)


def _scan_one(arguments: argparse.Namespace, console: Console) -> int:
    from imagekit.oci.location import parse_located
    from imagekit.policy.condition import Severity

    if not arguments.reference:
        raise UsageError("no image is named", hint="imagekit scan REFERENCE --db FOLDER")
    if arguments.db is None and arguments.report is None:
        raise UsageError("nothing says by what to scan", hint="--db FOLDER, or --report FILE")
    wanted = parse_located(arguments.reference)
    # A key that does not open is told before the image is read.
    signer = signer_of(arguments) if arguments.attest and not arguments.dry_run else None
    scanned = _scanned(wanted, arguments, console)
    if arguments.attest and not arguments.partial:
        _check_gaps(scanned)
    attached = _attested(wanted, scanned, signer, arguments=arguments)
    level = Severity[arguments.fail_on.upper()] if arguments.fail_on else None
    failed = level is not None and any(each.result.at_least(level) for each in scanned)
    document = {
        "schema": 1,
        "reference": str(wanted),
        "images": [
            _image_document(each, attestation)
            for each, attestation in zip(scanned, attached, strict=True)
        ],
        "failed": failed,
        "dry_run": arguments.dry_run,
    }
    _tell(scanned, console)
    if arguments.attest:
        done = "would be signed and attached" if signer is None else "signed and attached"
        console.note(f"  {done}: {len(scanned)} attestation{'s' * (len(scanned) != 1)}")
    console.result(_text(scanned, console), document)
    return _FOUND if failed else 0


def _scanned(
    wanted: "LocatedReference", arguments: argparse.Namespace, console: Console
) -> "tuple[ScannedImage, ...]":
    from imagekit.clock import SystemClock
    from imagekit.oci.registry import connect
    from imagekit.scan.scan import reported, scan_reference

    reader = connect.reader(wanted.location, registry_of(arguments))
    if arguments.report is not None:
        from imagekit.scan.foreign_reports import parse_report

        return reported(reader, wanted.reference, parse_report(_read(arguments.report)))
    from imagekit.scan.advisory_index import open_index

    with closing(open_index(arguments.db, progress=console.progress)) as index:
        if index.facts.unread:
            places = ", ".join(index.facts.unread_places)
            console.note(f"  ! {index.facts.unread} files are no advisories, such as {places}")
        return scan_reference(
            reader, wanted.reference, index, clock=SystemClock(), progress=console.progress
        )


def _read(file: Path) -> bytes:
    from imagekit.inputs import read_input
    from imagekit.scan.foreign_reports import MAX_REPORT

    try:
        return read_input(file, limit=MAX_REPORT)
    except OSError as error:
        raise InputError(
            f"the report {file} cannot be read: {error.strerror or error}", code="scan/report"
        ) from error


def _check_gaps(scanned: "Sequence[ScannedImage]") -> None:
    gaps = dict.fromkeys(gap for each in scanned for gap in each.result.gaps)
    if gaps:
        raise InputError(
            f"the advisories say nothing of {', '.join(list(gaps)[:5])}: to attest a scan without "
            "these would say that they have no vulnerabilities",
            hint="put the exports of these ecosystems into the folder, or attest it with --partial",
            code="scan/gaps",
        )


def _attested(
    wanted: "LocatedReference",
    scanned: "Sequence[ScannedImage]",
    signer: "Signer | None",
    *,
    arguments: argparse.Namespace,
) -> list[str | None]:
    """Sign and attach each result; return the digests of what was attached."""
    if signer is None:
        return [None for _ in scanned]
    from imagekit.clock import SystemClock
    from imagekit.oci.registry import connect
    from imagekit.scan.scan import attest_scan

    writer, clock = connect.light(wanted.location, registry_of(arguments)), SystemClock()
    tags = (wanted.reference.tag,) if wanted.reference.tag else ()
    return [
        str(attest_scan(writer, signer, each, tags=tags, clock=clock).reference.digest)
        for each in scanned
    ]


def _tell(scanned: "Iterable[ScannedImage]", console: Console) -> None:
    """Say beside the table what it does not show."""
    from datetime import timedelta

    from imagekit.scan.vulnerability_report import time_of

    for each in scanned:
        result = each.result
        for gap in result.gaps:
            console.note(f"  ! no advisories for {gap}")
        for note in result.notes:
            console.note(f"    {note}")
        newest = time_of(result.scanner.database_date)
        if newest is not None and result.finished - newest > timedelta(days=_STALE_DAYS):
            console.note(f"  ! the newest advisory is of {newest:%Y-%m-%d}: fetch the exports anew")
        platform = f"{each.platform}  " if each.platform else ""
        console.note(f"  {platform}{_summary(result)}")


def _summary(result: "ScanResult") -> str:
    counts = severity_counts(result)
    found = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
    return found or "no known vulnerability"


def severity_counts(result: "ScanResult") -> dict[str, int]:
    """Return how many vulnerabilities there are of each severity, the worst first."""
    from collections import Counter

    from imagekit.policy.condition import Severity

    counted = Counter(each.severity for each in result.vulnerabilities)
    return {severity.name.lower(): counted[severity] for severity in sorted(Severity, reverse=True)}


def _text(scanned: "Sequence[ScannedImage]", console: Console) -> str:
    from imagekit.cli.table import table

    several = len(scanned) > 1
    heads = ("PLATFORM", *_HEADS) if several else _HEADS
    rows = [
        (each.platform, *_row(found)) if several else _row(found)
        for each in scanned
        for found in each.result.vulnerabilities
    ]
    return table(heads, rows, terminal=console.out.isatty()) if rows else ""


def _row(found: "FoundVulnerability") -> tuple[str, ...]:
    fixed = "not stated" if found.fixed_in is None else ", ".join(found.fixed_in)
    version = f"{found.version} (?)" if found.doubt else found.version
    return (found.severity.name.lower(), found.id, found.package, version, fixed, found.kind)


def _image_document(each: "ScannedImage", attestation: str | None) -> dict[str, object]:
    result = each.result
    return {
        "digest": str(each.image.digest),
        "platform": each.platform,
        "scanner": {
            "uri": result.scanner.uri,
            "version": result.scanner.version,
            "database": result.scanner.database,
            "database_date": result.scanner.database_date,
        },
        "finished": result.finished.isoformat(),
        "targets": [
            {"kind": target.kind, "packages": target.packages} for target in result.targets
        ],
        "counts": severity_counts(result),
        "vulnerabilities": [
            {
                "id": found.id,
                "aliases": list(found.aliases),
                "kind": found.kind,
                "package": found.package,
                "version": found.version,
                "severity": found.severity.name.lower(),
                "fixed_in": None if found.fixed_in is None else list(found.fixed_in),
                "doubt": found.doubt,
            }
            for found in result.vulnerabilities
        ],
        "gaps": list(result.gaps),
        "notes": list(result.notes),
        "attestation": attestation,
    }
