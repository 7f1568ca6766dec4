"""``imagekit scan --published``: the images of a registry, judged anew."""

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.options import memory_of, policy_of, registry_of, signer_of
from imagekit.errors import DeniedError, RegistryError, UsageError

if TYPE_CHECKING:
    from imagekit.oci.destination import Destination
    from imagekit.scan.scan_registry import PublishedFinding, PublishedImages
    from imagekit.signatures.ports import Signer

_HEADS = ("STATUS", "IMAGE", "TAGS", "CODE", "WHY")


def add_published_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a scan of a registry."""
    group = parser.add_argument_group("a whole registry")
    group.add_argument(
        "--published",
        metavar="DESTINATION",
        help="judge each image of HOST[/PREFIX] or oci:FOLDER by --policy, list what is refused",
    )
    group.add_argument(
        "--withdraw",
        action="store_true",
        help="withdraw what a fresh scan (--db) speaks against, with its worst vulnerability as "
        "the reason",
    )


def scan_published(arguments: argparse.Namespace, console: Console) -> int:
    """List what a policy would refuse now, and withdraw it where that is asked for.

    Raises:
        UsageError: --withdraw is given without --db.
        ImagekitError: the policy, the registry or the advisories cannot be read.
    """
    from imagekit.oci.destination import Destination
    from imagekit.oci.registry import connect
    from imagekit.scan.scan_registry import published_images

    if arguments.withdraw and arguments.db is None:
        raise UsageError(
            "--withdraw needs --db FOLDER", hint="only what a fresh scan finds is withdrawn"
        )
    destination = Destination.parse(arguments.published)
    signer = signer_of(arguments) if arguments.withdraw and not arguments.dry_run else None
    reader = connect.catalog(destination.location, registry_of(arguments))
    published = published_images(reader, destination)
    for fault in published.unread:
        console.note(f"  ! {fault}")
    findings = list(_findings(arguments, console, destination, published=published))
    if any(finding.scanned and not finding.judged for finding in findings):
        console.note(
            "  ! the policy has no maxSeverity for some of these: their scans decide nothing"
        )
    withdrawn = _withdrawn(findings, destination, signer, arguments=arguments)
    shown, document = _shown(findings, withdrawn, destination, arguments=arguments, console=console)
    console.result(shown, {**document, "unread": list(published.unread)})
    if any(finding.code for finding in findings):
        return DeniedError.exit_code
    return RegistryError.exit_code if published.unread else 0


def _findings(
    arguments: argparse.Namespace,
    console: Console,
    destination: "Destination",
    *,
    published: "PublishedImages",
) -> "Iterator[PublishedFinding]":
    from contextlib import ExitStack, closing

    from imagekit.clock import SystemClock
    from imagekit.oci.registry import connect
    from imagekit.scan.advisory_index import open_index
    from imagekit.scan.scan_registry import PublishedScan
    from imagekit.verify.verify import Verifier

    memory, options = memory_of(arguments), registry_of(arguments)
    policy = policy_of(arguments, memory=memory)
    with ExitStack() as open_ones:
        index = None
        if arguments.db is not None:
            index = open_ones.enter_context(
                closing(open_index(arguments.db, progress=console.progress))
            )
        scan = PublishedScan(
            reader=connect.reader(destination.location, options),
            verifier=Verifier(policy, options=options, memory=memory),
            policy=policy,
            clock=SystemClock(),
            index=index,
        )
        yield from scan.findings(published.images, destination)


def _withdrawn(
    findings: "Sequence[PublishedFinding]",
    destination: "Destination",
    signer: "Signer | None",
    *,
    arguments: argparse.Namespace,
) -> list[str | None]:
    """Withdraw what a fresh scan speaks against; return the digests of the statements."""
    from imagekit.oci.location import LocatedReference
    from imagekit.sign.withdraw import withdraw
    from imagekit.signatures.release import MAX_REASON

    statements: list[str | None] = []
    for finding in findings:
        if signer is None or not finding.vulnerable:
            statements.append(None)
            continue
        _, attached = withdraw(
            LocatedReference(destination.location, finding.image),
            signer=signer,
            reason=f"vulnerable: {finding.message}"[:MAX_REASON],
            options=registry_of(arguments),
        )
        statements.append(str(attached.reference.digest))
    return statements


def _shown(
    findings: "Sequence[PublishedFinding]",
    withdrawn: Sequence[str | None],
    destination: "Destination",
    *,
    arguments: argparse.Namespace,
    console: Console,
) -> tuple[str, dict[str, object]]:
    """Return the table of what is refused, and the document of all."""
    from imagekit.cli.table import table

    refused = [finding for finding in findings if finding.code]
    rows = [_row(finding, destination) for finding in refused]
    done = sum(statement is not None for statement in withdrawn)
    could = sum(finding.vulnerable for finding in findings) if arguments.withdraw else 0
    text = f"{len(findings)} images, {len(refused)} refused"
    if arguments.withdraw:
        text += f", {could} would be withdrawn" if arguments.dry_run else f", {done} withdrawn"
    console.note(f"  {text}")
    document = {
        "schema": 1,
        "destination": arguments.published,
        "images": [
            _document(finding, destination, statement)
            for finding, statement in zip(findings, withdrawn, strict=True)
        ],
        "refused": len(refused),
        "withdrawn": done,
        "dry_run": arguments.dry_run,
    }
    return table(_HEADS, rows, terminal=console.out.isatty()) if rows else "", document


def _row(finding: "PublishedFinding", destination: "Destination") -> tuple[str, ...]:
    name = destination.location.shown(str(finding.image))
    return (finding.status, name, ", ".join(finding.tags), finding.code, finding.message)


def _document(
    finding: "PublishedFinding", destination: "Destination", statement: str | None
) -> dict[str, object]:
    return {
        "reference": destination.location.shown(str(finding.image)),
        "digest": str(finding.image.digest),
        "tags": list(finding.tags),
        "status": finding.status,
        "code": finding.code,
        "message": finding.message,
        "scans": [
            {
                "digest": str(each.image.digest),
                "platform": each.platform,
                "vulnerabilities": len(each.result.vulnerabilities),
                "gaps": list(each.result.gaps),
            }
            for each in finding.scanned
        ],
        "withdrawn": statement,
    }
