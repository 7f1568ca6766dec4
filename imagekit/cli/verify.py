"""Judge images by a policy: who signed them, for which name, and what is attested of them.

  imagekit verify registry.example.org/apps/solver:2.1 --policy policies/production.yaml
  imagekit verify oci:FOLDER:solver:2.1 --policy site.yaml --json
  imagekit verify --from-file images.txt --policy site.yaml
  imagekit verify registry.example.org/apps/solver:2.1 --policy site.yaml --vsa --key gate.key

With --vsa the verdict is signed as a verification summary (SLSA VSA) and attached to the image, or
written to a file; nodes whose policy says `proof: vsa` rely on it. The key signs the summary and
proves nothing about the image: whose signatures count stands in the policy.

Ends with 0 where the policy allows all images, with 3 where it denies one, and with 6 or the code
of its error where no verdict could be reached of one. Nothing is pulled.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.options import (
    add_policy_option,
    add_registry_options,
    add_signer_options,
    memory_of,
    policy_of,
    signer_of,
)
from imagekit.errors import DeniedError, ImagekitError, InputError, UsageError

if TYPE_CHECKING:
    from imagekit.model.verdict import Verdict
    from imagekit.pipeline.summary import IssuedSummary
    from imagekit.pipeline.verify import Judged

    Issue = Callable[[Verdict], IssuedSummary]

_MAX_LIST = 4 << 20
_MAX_URI = 512


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the command."""
    parser.add_argument(
        "reference",
        nargs="*",
        metavar="REFERENCE",
        help="HOST/NAME:TAG, HOST/NAME@sha256:... or oci:FOLDER:NAME:TAG",
    )
    parser.add_argument(
        "--from-file",
        type=Path,
        metavar="FILE",
        help="a file with a reference in each line; empty lines and those with # are passed over",
    )
    add_policy_option(parser)
    add_registry_options(parser)
    _add_summary_options(parser)


def _add_summary_options(parser: argparse.ArgumentParser) -> None:
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


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the verdict, or one for each reference.

    Raises:
        ImagekitError: the policy cannot be accepted, or there is no verdict on the only reference.
    """
    from imagekit.model.registry import RegistryOptions
    from imagekit.pipeline.verify import verify, verify_many
    from imagekit.verify.explain import document, text

    references = [*arguments.reference, *_listed(arguments.from_file)]
    if not references:
        raise UsageError("which image?", hint="name a REFERENCE, or a list with --from-file")
    issue = _issuer(arguments, references)
    memory = memory_of(arguments)
    policy = policy_of(arguments, memory=memory)
    options = RegistryOptions(plain_http=arguments.plain_http, ca_file=arguments.ca_file)
    if len(references) == 1 and arguments.from_file is None:
        verdict = verify(references[0], policy=policy, options=options, memory=memory)
        issued = _issued(verdict, issue, console)
        console.result(
            "\n".join(filter(None, (text(verdict), issued.text))),
            {**document(verdict), **issued.document},
        )
        return 0 if verdict.allowed else DeniedError.exit_code
    judged = verify_many(references, policy=policy, options=options, memory=memory)
    return _many(judged, console, issue)


@dataclass(frozen=True, slots=True)
class _Issued:
    """What is told of a summary; nothing where none was asked for."""

    text: str = ""
    document: Mapping[str, object] = field(default_factory=dict)


def _issuer(arguments: argparse.Namespace, references: Sequence[str]) -> "Issue | None":
    """Return what issues summaries, or None where none are asked for.

    Raises:
        UsageError: the words do not fit together.
        SigningKeyError: the key does not open, or there is no token.
    """
    words = ("key", "keyless", "identity_token", "trust_config", "password_file")
    others = ("verifier_id", "level", "vsa_out", "attach")
    if not arguments.vsa:
        given = [word for word in (*words, *others) if getattr(arguments, word)]
        if given:
            raise UsageError(
                f"--{given[0].replace('_', '-')} belongs to --vsa, which signs the verdict",
                hint="what is trusted stands in the policy: imagekit policy new --key PUBLIC",
            )
        return None
    if arguments.vsa_out and len(references) > 1:
        raise UsageError("--vsa-out is one file, and there are several images")
    from imagekit.model.registry import RegistryOptions
    from imagekit.pipeline.summary import SummaryOptions, issue_summary
    from imagekit.sign.summary import LOCAL_VERIFIER

    return partial(
        issue_summary,
        signer=signer_of(arguments),
        options=SummaryOptions(
            verifier=_verifier_id(arguments.verifier_id) or LOCAL_VERIFIER,
            levels=tuple(arguments.level),
            attach=arguments.attach or arguments.vsa_out is None,
            file=arguments.vsa_out,
        ),
        registry=RegistryOptions(plain_http=arguments.plain_http, ca_file=arguments.ca_file),
    )


def _verifier_id(text: str) -> str:
    if text and (":" not in text or not text.isprintable() or len(text) > _MAX_URI):
        raise UsageError(
            "--verifier-id is a URI of one line", hint="such as https://gate.example.org"
        )
    return text


def _issued(verdict: "Verdict", issue: "Issue | None", console: Console) -> _Issued:
    """Issue the summary of a verdict; the verdict is told also where that fails.

    Raises:
        ImagekitError: the key or the registry refused, or no digest was judged.
    """
    from imagekit.verify.explain import text

    if issue is None:
        return _Issued()
    try:
        made = issue(verdict)
    except ImagekitError:
        console.note(text(verdict))
        raise
    where = str(made.attached.reference) if made.attached else str(made.file)
    return _Issued(
        f"  {made.summary.result}, signed as {made.summary.verifier}: {where}",
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


def _many(judged: Iterable["Judged"], console: Console, issue: "Issue | None") -> int:
    """Print each as it comes, the document of all at the end; return the worst exit code."""
    documents, worst = [], 0
    for one in judged:
        shown, shown_document, code = _shown(one)
        worst = max(worst, code)
        if one.verdict is not None and one.verdict.digest is not None:
            issued = _issued(one.verdict, issue, console)
            shown = "\n".join(filter(None, (shown, issued.text)))
            shown_document |= issued.document
        if console.json:
            documents.append(shown_document)
        else:
            console.result(shown, {})
    if console.json:
        console.result("", {"schema": 1, "verdicts": documents})
    return worst


def _shown(one: "Judged") -> tuple[str, dict[str, object], int]:
    from imagekit.verify.explain import document, text
    from imagekit.verify.findings import plain

    if one.verdict is not None:
        code = 0 if one.verdict.allowed else DeniedError.exit_code
        return text(one.verdict), document(one.verdict), code
    fault = one.error
    message, hint = (plain(fault.message), plain(fault.hint)) if fault else ("", "")
    error = {"code": fault.code if fault else "", "message": message, "hint": hint}
    lines = f"no verdict  {plain(one.reference)}\n  {message}" + (f"\n  {hint}" if hint else "")
    code = fault.exit_code if fault else 1
    return lines, {"schema": 1, "reference": one.reference, "error": error}, code


def _listed(file: Path | None) -> list[str]:
    """Return the references of a file.

    Raises:
        InputError: it cannot be read, or is too large.
    """
    from imagekit.pipeline.verify import MAX_REFERENCES

    if file is None:
        return []
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_LIST + 1)
        lines = [line.strip() for line in raw.decode().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}", code="BAD_LIST") from error
    found = [line for line in lines if line and not line.startswith("#")]
    if len(raw) > _MAX_LIST or len(found) > MAX_REFERENCES:
        raise InputError(
            f"{file} lists too many images; {MAX_REFERENCES} are the most", code="BAD_LIST"
        )
    return found
