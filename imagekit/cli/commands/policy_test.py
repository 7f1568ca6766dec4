"""Test a policy by a table of cases: images, and the verdicts that are expected.

  imagekit policy test tests/policy.yaml
  imagekit policy test tests/*.yaml --junit report.xml

A table is a file of YAML (imagekit schema policy-test):

  apiVersion: imagekit/v1
  kind: PolicyTest
  policy: ../site.yaml                  # paths are relative to this file
  now: 2026-11-25T12:00:00Z             # else the present
  cases:
    - name: the release is allowed
      reference: registry.example.org/apps/solver:2.1
      evidence: evidence                # saved by: imagekit policy save REFERENCE --to evidence
      expect: allow
    - name: a tag that went back is refused
      reference: registry.example.org/apps/solver:2.1
      evidence: evidence
      # A later release was seen here.
      seen: {"registry.example.org/apps/solver:2.1": 9}
      expect: deny
      code: ROLLBACK

Cases without evidence ask the registry. What you have seen yourself is neither asked nor changed.
Ends with 3 where a verdict is not as expected, and with 2 where a table or its policy has faults.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from imagekit.cli.console import Console
from imagekit.cli.options import add_registry_options, registry_of
from imagekit.errors import DeniedError

if TYPE_CHECKING:
    from imagekit.policy.ruleset import Policy
    from imagekit.verify.expected import Table
    from imagekit.verify.run_table import Tested


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the verb."""
    parser.add_argument("tables", nargs="+", type=Path, metavar="CASES", help="tables of cases")
    parser.add_argument(
        "--junit", type=Path, metavar="FILE", help="write the results as JUnit's XML, too"
    )
    add_registry_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Test.

    Raises:
        ImagekitError: a table or a policy cannot be accepted; then nothing is tested.
    """
    from imagekit.verify.expected import load_table
    from imagekit.verify.run_table import policy_of, run_table

    tables = [load_table(file) for file in arguments.tables]
    policies = [policy_of(table) for table in tables]
    options = registry_of(arguments)
    done: list[tuple[Table, Policy, list[Tested]]] = []
    for table, policy in zip(tables, policies, strict=True):
        console.note(f"{table.file}: {policy.name} version {policy.version}")
        tested = []
        for result in run_table(table, policy, options):
            tested.append(result)
            if not console.json:
                console.result(_line(result, console), {})
        done.append((table, policy, tested))
    _finish(done, arguments.junit, console)
    return (
        0
        if all(result.passed for *_, tested in done for result in tested)
        else DeniedError.exit_code
    )


def _finish(
    done: "list[tuple[Table, Policy, list[Tested]]]", junit: Path | None, console: Console
) -> None:
    if junit is not None:
        from imagekit.cli.junit import write

        write(junit, [(str(table.file), tested) for table, _, tested in done])
    every = [result for *_, tested in done for result in tested]
    failed = sum(not result.passed for result in every)
    if console.json:
        console.result("", _document(done, failed=failed, passed=len(every) - failed))
    else:
        console.result(f"{len(every) - failed} as expected, {failed} not", {})


def _line(result: "Tested", console: Console) -> str:
    """Return the line of a case; where it failed, with all findings."""
    from imagekit.policy.findings import plain
    from imagekit.verify.verdict_text import text

    name = plain(result.case.name)
    if result.passed:
        code = f" {result.case.code}" if result.case.code else ""
        return f"  {console.paint('✓', 'good')} {name}: {result.case.expect}{code}"
    lines = [f"  {console.paint('✗', 'bad')} {name}: {result.why_not}"]
    if result.verdict is not None:
        lines += [f"      {line}" for line in text(result.verdict).splitlines()]
    if result.error is not None:
        lines.append(f"      {plain(result.error.message)}")
        lines += [f"      {plain(result.error.hint)}"] if result.error.hint else []
    return "\n".join(lines)


def _document(
    done: "list[tuple[Table, Policy, list[Tested]]]", *, passed: int, failed: int
) -> dict[str, object]:
    return {
        "schema": 1,
        "passed": passed,
        "failed": failed,
        "tables": [
            {
                "file": str(table.file),
                "policy": {
                    "name": policy.name,
                    "version": policy.version,
                    "digest": str(policy.digest),
                },
                "cases": [_case(result) for result in tested],
            }
            for table, policy, tested in done
        ],
    }


def _case(result: "Tested") -> dict[str, object]:
    from imagekit.verify.verdict_text import document

    error = result.error
    return {
        "name": result.case.name,
        "passed": result.passed,
        "why_not": result.why_not,
        "verdict": document(result.verdict) if result.verdict is not None else None,
        "error": {"code": error.code, "message": error.message, "hint": error.hint}
        if error
        else None,
    }
