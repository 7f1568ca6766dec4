"""``imagekit verify --vsa``: the verdict, signed as a verification summary."""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from imagekit.cli.console import Console
from imagekit.cli.options import add_signer_options, registry_of, signer_of
from imagekit.errors import ImagekitError, UsageError

if TYPE_CHECKING:
    from imagekit.sign.issue_vsa import IssuedSummary
    from imagekit.verify.verdict import Verdict

    Issue = Callable[[Verdict], IssuedSummary]

_MAX_URI = 512
_WORDS = ("key", "keyless", "identity_token", "trust_config", "password_file")
_OTHERS = ("verifier_id", "level", "vsa_out", "attach")


class Issued(Struct, frozen=True):
    """What is printed of a summary; nothing where none was asked for."""

    text: str = ""
    document: Mapping[str, object] = field(default_factory=dict)


def add_summary_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--vsa`` and what belongs to it."""
    group = parser.add_argument_group("verification summary")
    group.add_argument(
        "--vsa", action="store_true", help="sign a verification summary of each verdict"
    )
    group.add_argument(
        "--verifier-id",
        default="",
        metavar="URI",
        help="what the summary calls this verifier; policies list it as verifierIds "
        "(default: https://imagekit.dev/verifier/local)",
    )
    group.add_argument(
        "--level",
        action="append",
        default=[],
        metavar="LEVEL",
        help="what a passed verification by this policy means besides, such as "
        "SLSA_BUILD_LEVEL_3; may be repeated",
    )
    group.add_argument(
        "--vsa-out",
        type=Path,
        metavar="FILE",
        help="write the signed summary, a Sigstore bundle, to a file instead of attaching it",
    )
    group.add_argument(
        "--attach", action="store_true", help="with --vsa-out: attach it to the image as well"
    )
    add_signer_options(parser)


def issuer_of(arguments: argparse.Namespace, *, several: bool) -> "Issue | None":
    """Return what issues summaries, or None where none are asked for.

    Args:
        arguments: what ``add_summary_options`` declared.
        several: whether more than one image is judged.

    Raises:
        UsageError: the options do not fit together.
        SigningKeyError: the key does not open, or there is no token.
    """
    if not arguments.vsa:
        _check_unwanted(arguments)
        return None
    if arguments.vsa_out and several:
        raise UsageError("--vsa-out is one file, and there are several images")
    if arguments.source and (arguments.attach or arguments.vsa_out is None):
        raise UsageError(
            "an image read by --from has no registry to attach a summary in",
            hint="write it to a file: --vsa-out FILE",
        )
    from imagekit.sign.issue_vsa import SummaryOptions, issue_summary
    from imagekit.sign.sign_vsa import LOCAL_VERIFIER

    return partial(
        issue_summary,
        signer=signer_of(arguments),
        options=SummaryOptions(
            verifier=_verifier_id(arguments.verifier_id) or LOCAL_VERIFIER,
            levels=tuple(arguments.level),
            attach=arguments.attach or arguments.vsa_out is None,
            file=arguments.vsa_out,
        ),
        registry=registry_of(arguments),
    )


def issued(verdict: "Verdict", issue: "Issue | None", console: Console) -> Issued:
    """Issue the summary of a verdict; the verdict is printed also where that fails.

    Raises:
        ImagekitError: the key or the registry refused, or no digest was judged.
    """
    from imagekit.verify.verdict_text import text

    if issue is None:
        return Issued()
    try:
        made = issue(verdict)
    except ImagekitError:
        console.note(text(verdict))
        raise
    where = str(made.file)
    if made.attached is not None:
        where = verdict.location.shown(str(made.attached.reference))
    lacks = ", ".join(digest.short for digest in verdict.unread)
    why = f" (its registry does not have {lacks}; copy the image whole)" if lacks else ""
    return Issued(
        f"  {made.summary.result}{why}, signed as {made.summary.verifier}: {where}",
        {
            "summary": {
                "verifier": made.summary.verifier,
                "result": made.summary.result,
                "levels": list(made.summary.levels),
                "statement": str(made.attached.reference.digest) if made.attached else None,
                "file": str(made.file) if made.file else None,
            }
        },
    )


def _check_unwanted(arguments: argparse.Namespace) -> None:
    given = [word for word in (*_WORDS, *_OTHERS) if getattr(arguments, word)]
    if given:
        raise UsageError(
            f"--{given[0].replace('_', '-')} belongs to --vsa, which signs the verdict",
            hint="what is trusted stands in the policy: imagekit policy new --key PUBLIC",
        )


def _verifier_id(text: str) -> str:
    if text and (":" not in text or not text.isprintable() or len(text) > _MAX_URI):
        raise UsageError(
            "--verifier-id is a URI of one line", hint="such as https://gate.example.org"
        )
    return text
