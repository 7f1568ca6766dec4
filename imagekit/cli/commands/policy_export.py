"""Write a policy in the format of another tool, and report what that format cannot express.

  imagekit policy export --policy site.yaml --format containers-policy --to etc-containers
  imagekit policy export --policy site.yaml --format containers-policy:5.4 --to out --dry-run
  imagekit policy export --policy site.yaml --format docs > policy.md

formats:
  containers-policy[:PODMAN]  policy.json and registries.d for Podman, Skopeo, Buildah, CRI-O
                              (default: the newest Podman known; Debian 13 has 5.4)
  docs                        a page for people: every rule, signer, condition and date

Where the target would accept what the policy refuses, nothing is written: the command ends with 2
and names each loss. --allow-loss CODE,... permits these losses, and no others that a later change
of the policy brings; --allow-loss alone permits all. What makes the target stricter is a note.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.options import policy_file
from imagekit.errors import Diagnostic, InputError, PolicyError, UsageError
from imagekit.files import write_output

if TYPE_CHECKING:
    from imagekit.policy.export import Document, Loss, PolicyExport


def configure(export: argparse.ArgumentParser) -> None:
    """Declare the words of the verb."""
    export.add_argument("--policy", type=Path, metavar="FILE", help="the policy")
    export.add_argument(
        "--format",
        dest="target",
        required=True,
        metavar="FORMAT",
        help="containers-policy[:PODMAN] or docs",
    )
    export.add_argument(
        "--to", type=Path, metavar="FOLDER", help="write files there (default: print on stdout)"
    )
    export.add_argument(
        "--allow-loss",
        nargs="?",
        const="all",
        default="",
        metavar="CODE,...",
        help="permit these losses, or all",
    )
    export.add_argument(
        "--dry-run", action="store_true", help="show what would be written; nothing is"
    )
    export.add_argument(
        "--force", action="store_true", help="replace files whose content is another"
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print or write the documents, and report every loss.

    Raises:
        PolicyError: the policy cannot be accepted, or something would be lost without permission.
        InputError: a file is in the way, or cannot be written.
        UsageError: no such format, or several documents for stdout.
    """
    from datetime import UTC, datetime

    from imagekit.policy.export import export_policy
    from imagekit.policy.load import load_policy

    policy = load_policy(policy_file(arguments))
    export = export_policy(policy, arguments.target, now=datetime.now(UTC))
    _permit(export, arguments, console)
    if arguments.to is None and len(export.documents) > 1 and not console.json:
        names = " and ".join(document.name for document in export.documents)
        raise UsageError(
            f"{arguments.target} is more than one file: {names}",
            hint="give a folder: --to FOLDER; or --json for one document",
        )
    files = _written(export.documents, arguments) if arguments.to is not None else []
    for loss in export.losses:
        console.note(_line(loss, console))
    text = "" if files else export.documents[0].text
    console.copied(text or "\n".join(files), _document(export, arguments, files))
    return 0


def _permit(export: "PolicyExport", arguments: argparse.Namespace, console: Console) -> None:
    """Check that every loss is permitted.

    Raises:
        PolicyError: one is not; its diagnostics name each.
        UsageError: a code that no loss has is permitted.
    """
    from imagekit.policy.export import CODES

    allowed = {word.strip() for word in arguments.allow_loss.split(",") if word.strip()}
    unknown = sorted(allowed - CODES - {"all"})
    if unknown:
        raise UsageError(
            f"no loss has the code {', '.join(unknown)}", hint=f"known: {', '.join(sorted(CODES))}"
        )
    lost = {loss.code for loss in export.blocking}
    if not (lost <= allowed or "all" in allowed):
        raise _refusal(export, arguments, lost=lost, allowed=allowed)
    for code in sorted(allowed - lost - {"all"}):
        console.note(f"note: --allow-loss {code} is not needed (any more)")


def _refusal(
    export: "PolicyExport", arguments: argparse.Namespace, *, lost: set[str], allowed: set[str]
) -> PolicyError:
    words = ",".join(sorted(lost | allowed))
    return PolicyError(
        f"{export.target} cannot express all that the policy requires",
        hint=f"{export.target} would accept what the policy refuses, or lack a rule. If that is "
        f"meant: --format {arguments.target} --allow-loss {words}",
        code="export/loss",
        diagnostics=[
            Diagnostic(
                code=f"export/{loss.code}",
                message=f"{loss.rule}: {loss.message}" if loss.rule else loss.message,
                file=str(policy_file(arguments)),
            )
            for loss in export.blocking
            if loss.code not in allowed
        ],
    )


def _line(loss: "Loss", console: Console) -> str:
    word = {"weaker": "warning", "dropped": "warning", "stricter": "note", "remark": "remark"}
    shown = word[loss.effect]
    kind = "warn" if shown == "warning" else "bold"
    return f"{console.paint(shown, kind)}: {_said(loss)}"


def _said(loss: "Loss") -> str:
    where = f"{loss.rule}: " if loss.rule else ""
    return f"[{loss.code}] {where}{loss.message}"


def _written(documents: Sequence["Document"], arguments: argparse.Namespace) -> list[str]:
    """Write all files or none; return a line for each."""
    plans = [(arguments.to / document.name, document.text) for document in documents]
    states = [_state(file, text, force=arguments.force) for file, text in plans]
    if not arguments.dry_run:
        for (file, text), state in zip(plans, states, strict=True):
            if state != "unchanged":
                _write(file, text)
    would = "would be " if arguments.dry_run else ""
    return [
        f"{file}: {state if state == 'unchanged' else would + state}"
        for (file, _), state in zip(plans, states, strict=True)
    ]


def _state(file: Path, text: str, *, force: bool) -> str:
    """Return what becomes of a file.

    Raises:
        InputError: it is there and is another, or cannot be read.
    """
    try:
        if not os.path.lexists(file):
            return "written"
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            return "unchanged"
    except (OSError, UnicodeDecodeError):
        pass
    if file.is_dir() or not force:
        raise InputError(
            f"{file} is there already and is not what would be written",
            hint="look at it, then replace it with --force, or write elsewhere: --to FOLDER",
            code="export/exists",
        )
    return "replaced"


def _write(file: Path, text: str) -> None:
    """Write a file atomically: half a policy.json would stop every pull."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_output(file, text.encode())
    except OSError as error:
        raise InputError(
            f"{file} cannot be written: {error.strerror or type(error).__name__}",
            code="export/unwritable",
        ) from error


def _document(
    export: "PolicyExport", arguments: argparse.Namespace, files: Sequence[str]
) -> dict[str, object]:
    return {
        "schema": 1,
        "format": arguments.target,
        "target": export.target,
        "dry_run": arguments.dry_run,
        "folder": str(arguments.to) if files else None,
        "documents": [
            {"name": document.name, "text": document.text} for document in export.documents
        ],
        "losses": [
            {"code": loss.code, "effect": loss.effect, "rule": loss.rule, "message": loss.message}
            for loss in export.losses
        ],
    }
