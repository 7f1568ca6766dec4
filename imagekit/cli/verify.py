"""Judge images by a policy: who signed them, for which name, and what is attested of them.

  imagekit verify registry.example.org/apps/solver:2.1 --policy policies/production.yaml
  imagekit verify oci:FOLDER:solver:2.1 --policy site.yaml --json
  imagekit verify --from-file images.txt --policy site.yaml

Ends with 0 where the policy allows all images, with 3 where it denies one, and with 6 or the code
of its error where no verdict could be reached of one. Nothing is pulled.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.options import add_policy_option, add_registry_options, memory_of, policy_of
from imagekit.errors import DeniedError, InputError, UsageError

if TYPE_CHECKING:
    from imagekit.pipeline.verify import Judged

_MAX_LIST = 4 << 20


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
    memory = memory_of(arguments)
    policy = policy_of(arguments, memory=memory)
    options = RegistryOptions(plain_http=arguments.plain_http, ca_file=arguments.ca_file)
    if len(references) == 1 and arguments.from_file is None:
        verdict = verify(references[0], policy=policy, options=options, memory=memory)
        console.result(text(verdict), document(verdict))
        return 0 if verdict.allowed else DeniedError.exit_code
    judged = verify_many(references, policy=policy, options=options, memory=memory)
    return _many(judged, console)


def _many(judged: Iterable["Judged"], console: Console) -> int:
    """Print each as it comes, the document of all at the end; return the worst exit code."""
    documents, worst = [], 0
    for one in judged:
        shown, shown_document, code = _shown(one)
        worst = max(worst, code)
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
