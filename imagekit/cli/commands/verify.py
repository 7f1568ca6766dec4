"""Judge images by a policy: who signed them, for which name, and what is attested of them.

  imagekit verify registry.example.org/apps/solver:2.1 --policy policies/production.yaml
  imagekit verify oci:FOLDER:solver:2.1 --policy site.yaml --json
  imagekit verify --from-file images.txt --policy site.yaml
  imagekit verify registry.example.org/apps/solver:2.1 --from solver.tar --policy site.yaml
  imagekit verify --local --policy site.yaml
  imagekit verify registry.example.org/apps/solver:2.1 --policy site.yaml --vsa --key gate.key

With --vsa the verdict is signed as a verification summary (SLSA VSA) and attached to the image, or
written to a file; nodes whose policy says `proof: vsa` rely on it. The key signs the summary and
proves nothing about the image: whose signatures count stands in the policy.

Ends with 0 where the policy allows all images, with 3 where it denies one, and with 6 or the code
of its error where no verdict could be reached of one. Nothing is pulled.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.commands.verify_vsa import add_summary_options, issued, issuer_of
from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_policy_option,
    add_registry_options,
    memory_of,
    policy_of,
    registry_of,
)
from imagekit.errors import DeniedError, InputError, UsageError
from imagekit.inputs import read_input

if TYPE_CHECKING:
    from imagekit.cli.commands.verify_vsa import Issue
    from imagekit.verify.verify import Judged, Verifier

_MAX_LIST = 4 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the command."""
    parser.add_argument(
        "reference",
        nargs="*",
        metavar="REFERENCE",
        help="HOST/NAME:TAG, HOST/NAME@sha256:... or oci:FOLDER:NAME:TAG",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--from-file",
        type=Path,
        metavar="FILE",
        help="a file with a reference in each line; empty lines and those with # are skipped",
    )
    where.add_argument(
        "--from",
        dest="source",
        default="",
        metavar="oci:FOLDER|FILE.tar",
        help="read the image from a layout or an exported file, and judge it by its own name",
    )
    where.add_argument(
        "--local",
        action="store_true",
        help="judge every image of this user's Podman, by what is stored under its name",
    )
    add_policy_option(parser)
    add_registry_options(parser)
    add_summary_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the verdict, or one for each reference.

    Raises:
        ImagekitError: the policy cannot be accepted, or there is no verdict on the only reference.
    """
    references = [*arguments.reference, *_listed(arguments.from_file)]
    if arguments.local == bool(references):
        raise UsageError(
            "no image is named, or --local and a REFERENCE",
            hint="name a REFERENCE, or a list with --from-file, or use --local",
        )
    several = len(references) != 1 or arguments.from_file is not None
    issue = issuer_of(arguments, several=several)
    judged = _judged(arguments, references, several=several)
    if several:
        return _many(judged, console, issue)
    shown, shown_document, code = _told(next(iter(judged)), issue, console)
    console.result(shown, shown_document)
    return code


def _judged(
    arguments: argparse.Namespace, references: Sequence[str], *, several: bool
) -> "Iterable[Judged]":
    from imagekit.verify.verify import Judged, Verifier

    memory = memory_of(arguments)
    policy = policy_of(arguments, memory=memory)
    options = registry_of(arguments)
    verifier = Verifier(policy, options=options, memory=memory)
    if arguments.local:
        from imagekit.hosts.local import local_images, verify_local

        return verify_local(local_images(), verifier.verify)
    if arguments.source:
        return _elsewhere(references, arguments.source, verifier)
    if several:
        return verifier.verify_many(references)
    return [Judged(reference=references[0], verdict=verifier.verify(references[0]))]


def _elsewhere(references: Sequence[str], place: str, verifier: "Verifier") -> "Iterator[Judged]":
    """Judge images by their names, as they lie in a layout or in one file."""
    from imagekit.oci.location import parse_located
    from imagekit.oci.registry.options import RegistryOptions
    from imagekit.verify.sources import source
    from imagekit.verify.verify import Judged

    for name in references:
        with source(parse_located(name), place, RegistryOptions()) as (reference, reader):
            yield Judged(reference=name, verdict=verifier.reading(reader).verify(reference))


def _many(judged: "Iterable[Judged]", console: Console, issue: "Issue | None") -> int:
    """Print each as it comes, the document of all at the end; return the worst exit code."""
    documents, worst = [], 0
    for judgement in judged:
        shown, shown_document, code = _told(judgement, issue, console)
        worst = max(worst, code)
        if console.json:
            documents.append(shown_document)
        else:
            console.result(shown, {})
    if console.json:
        console.result("", {"schema": 1, "verdicts": documents})
    return worst


def _told(
    judgement: "Judged", issue: "Issue | None", console: Console
) -> tuple[str, dict[str, object], int]:
    """Return text, document and exit code of a verdict, and of its summary if one is issued."""
    shown, shown_document, code = _shown(judgement)
    if judgement.verdict is not None and (
        judgement.verdict.digest is not None or issue is not None
    ):
        summary = issued(judgement.verdict, issue, console)
        shown = "\n".join(filter(None, (shown, summary.text)))
        shown_document |= summary.document
    return shown, shown_document, code


def _shown(judgement: "Judged") -> tuple[str, dict[str, object], int]:
    from imagekit.policy.findings import plain
    from imagekit.verify.verdict_text import document, text

    if judgement.verdict is not None:
        code = 0 if judgement.verdict.allowed else DeniedError.exit_code
        return text(judgement.verdict), document(judgement.verdict), code
    fault = judgement.error
    message, hint = (plain(fault.message), plain(fault.hint)) if fault else ("", "")
    error = {"code": fault.code if fault else "", "message": message, "hint": hint}
    lines = f"no verdict  {plain(judgement.reference)}\n  {message}" + (
        f"\n  {hint}" if hint else ""
    )
    code = fault.exit_code if fault else 1
    return lines, {"schema": 1, "reference": judgement.reference, "error": error}, code


def _listed(file: Path | None) -> list[str]:
    """Return the references of a file.

    Raises:
        InputError: it cannot be read, or is too large.
    """
    if file is None:
        return []
    from imagekit.verify.verify import MAX_REFERENCES

    try:
        raw = read_input(file, limit=_MAX_LIST)
        lines = [line.strip() for line in raw.decode().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}", code="BAD_LIST") from error
    references = [line for line in lines if line and not line.startswith("#")]
    if len(references) > MAX_REFERENCES:
        raise InputError(
            f"{file} lists too many images; {MAX_REFERENCES} are the most", code="BAD_LIST"
        )
    return references
