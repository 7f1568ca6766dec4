"""The verdicts as a table for people, and their sum in a line."""

from collections.abc import Sequence

from tests.e2e.differential.matrix import Row
from tests.e2e.differential.peers import PEERS, Verdict


def summary(rows: Sequence[Row]) -> str:
    """Return how many cases and verdicts there are, and in how many cases we are stricter."""
    asked = [
        answer
        for row in rows
        for answer in row.peers.values()
        if answer.verdict is not Verdict.NOT_APPLICABLE
    ]
    verdicts = len(asked) + len(rows) + sum(bool(row.command) for row in rows)
    cases = {row.case.name: row.case for row in rows}
    stricter = sum(bool(case.stricter) for case in cases.values())
    return f"{len(cases)} cases, {verdicts} verdicts, stricter in {stricter}"


def markdown(rows: Sequence[Row]) -> str:
    """Return the table: case by verifier, with the reasons where we are stricter."""
    lines = [
        "# Verdicts on changed images",
        "",
        summary(rows) + ".",
        "",
        "| case | attack | signed | imagekit | " + " | ".join(PEERS) + " | why they differ |",
        "| --- " * (len(PEERS) + 5) + "|",
    ]
    lines += [_line(row) for row in rows]
    lines += ["", "## What each said", ""]
    lines += [line for row in rows for line in _details(row)]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    said = [str(answer.verdict) for answer in row.peers.values()]
    why = row.case.why or row.case.harmless
    attack = str(row.case.attack or "")
    cells = [row.name, attack, str(row.case.form), row.ours, *said, why]
    return "| " + " | ".join(_plain(cell) for cell in cells) + " |"


def _details(row: Row) -> list[str]:
    return [f"- {row.name}", *(f"  - {_plain(line)}" for line in row.details())]


def _plain(text: str) -> str:
    shown = "".join(each if each.isprintable() else " " for each in text)
    return shown.replace("|", "\\|")[:400]
