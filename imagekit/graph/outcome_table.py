"""What came of recipes that were published by commands of their own, on one machine or many.

Each command leaves its document (``imagekit publish --json``); here they become one table.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import get_args

from msgspec import Struct

from imagekit.documents.fields import Fields
from imagekit.documents.strictjson import loads_object
from imagekit.errors import DocumentError, InputError
from imagekit.graph.export.work_plan import PublishTask
from imagekit.inputs import read_regular
from imagekit.publish.published import Status

MAX_DOCUMENT = 16 << 20
MAX_DOCUMENTS = 10_000
_LONGEST = 300
_MAX_ROWS = 10_000
_MOST = 10**9
GOOD = frozenset(get_args(Status))
"""How a recipe ends on which others may stand."""
NO_OUTCOME = "lost"
"""What is said of a recipe of which no command left a document, and nothing below it failed."""


class OutcomeRow(Struct, frozen=True, kw_only=True):
    """What came of one recipe."""

    name: str
    version: str
    status: str
    seconds: float = 0.0
    message: str = ""
    """Why it failed, or because of what it was skipped."""
    reference: str = ""
    changes: str = ""
    """What a release changes since the one before it."""
    exit_code: int = 0


def read_outcomes(folder: Path) -> tuple[OutcomeRow, ...]:
    """Return what the documents of a folder and of the folders in it say.

    A recipe that has several rows keeps its last good one, else its last one.

    Raises:
        InputError: the folder cannot be read, or has too many documents.
        DocumentError: one is no document of ``imagekit publish --json``.
    """
    try:
        files = sorted(folder.rglob("*.json"))
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}", hint="is the path right?") from error
    if not folder.is_dir() or len(files) > MAX_DOCUMENTS:
        raise InputError(
            f"{folder} is no folder of at most {MAX_DOCUMENTS} documents",
            hint="name the folder into which `imagekit publish --json` was written",
        )
    rows: dict[str, OutcomeRow] = {}
    for file in files:
        for row in _rows(file):
            known = rows.get(row.name)
            if known is None or row.status in GOOD or known.status not in GOOD:
                rows[row.name] = row
    return tuple(rows.values())


def with_missing(
    rows: Sequence[OutcomeRow], tasks: Iterable[PublishTask]
) -> tuple[OutcomeRow, ...]:
    """Return a row for each task, in their order, and behind them the rows of no task.

    Args:
        rows: what came of those that were begun.
        tasks: what was to be done, each behind those that it stands on.
    """
    known = {row.name: row for row in rows}
    found: dict[str, OutcomeRow] = {}
    for task in tasks:
        bad = [name for name in task.bases if name in found and found[name].status not in GOOD]
        found[task.name] = known.get(task.name) or OutcomeRow(
            name=task.name,
            version=task.version,
            status="skipped" if bad else NO_OUTCOME,
            message=f"because of {', '.join(bad)}" if bad else "it left no document: see its log",
            exit_code=0 if bad else 6,
        )
    return (*found.values(), *(row for row in rows if row.name not in found))


def exit_code_of(rows: Iterable[OutcomeRow]) -> int:
    """Return the highest exit code of any recipe."""
    return max((row.exit_code for row in rows), default=0)


def text_table(rows: Sequence[OutcomeRow]) -> Iterator[str]:
    """Yield the lines of a table for a terminal."""
    for row in rows:
        line = f"{row.status:<11} {row.name} {row.version}"
        yield line + (f"  {row.message}" if row.message else "")
    yield _counts(rows)


def markdown_table(rows: Sequence[OutcomeRow]) -> Iterator[str]:
    """Yield the lines of a table in Markdown, as GitHub shows it."""
    yield "| status | recipe | seconds | image, or what happened |"
    yield "| --- | --- | --- | --- |"
    for row in rows:
        last = f"`{row.reference}`" if row.reference else _escaped(row.message)
        last += f", {_escaped(row.changes)}" if row.changes else ""
        cells = (row.status, f"{_escaped(row.name)} {_escaped(row.version)}")
        yield f"| {' | '.join(cells)} | {row.seconds:.1f} | {last} |"
    yield ""
    yield _counts(rows)


def _counts(rows: Sequence[OutcomeRow]) -> str:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.status] = counts.get(row.status, 0) + 1
    return ", ".join(f"{number} {status}" for status, number in counts.items()) or "no recipes"


def _escaped(text: str) -> str:
    # GitHub Flavored Markdown, Tables: a pipe ends a cell; and what a recipe says is no markup.
    return "".join(f"\\{letter}" if letter in "\\|`*_<>[]" else letter for letter in text)


def _rows(file: Path) -> Iterator[OutcomeRow]:
    what = file.name
    try:
        raw = read_regular(file, limit=MAX_DOCUMENT)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}", hint="is it yours?") from error
    if not raw.strip():
        # A command that was killed before it wrote.
        return
    document = Fields.of(loads_object(raw, what=what), what=what, code="BAD_DOCUMENT")
    if "published" not in document.values:
        if "error" in document.values:
            # It failed before it knew its recipe: what it leaves out counts as lost.
            return
        raise DocumentError(
            f"{file} is no document of `imagekit publish --json`", code="BAD_DOCUMENT"
        )
    for value in document.array("published", limit=_MAX_ROWS):
        row = Fields.of(value, what=what, code="BAD_DOCUMENT")
        # Of one recipe alone, what failed stands in the document itself.
        alone = row.get("status") == "failed" and "error" not in row.values
        yield _row(row, failure=document if alone else row)


def _row(fields: Fields, *, failure: Fields) -> OutcomeRow:
    """Return a row.

    Args:
        fields: what is said of a recipe.
        failure: has its ``error`` and ``exit_code``, where it failed.
    """
    error = failure.optional_object("error")
    because = fields.array("because", limit=_MAX_ROWS) if fields.get("because") else []
    message = error.optional_text("message")
    if because and not message:
        message = f"because of {', '.join(map(str, because))}"
    return OutcomeRow(
        name=_plain(fields.text("name")),
        version=_plain(fields.optional_text("version")),
        status=_plain(fields.text("status")),
        seconds=_number(fields, "seconds"),
        message=_plain(message),
        reference=_plain(fields.optional_text("reference")),
        changes=_plain(fields.optional_text("changes")),
        exit_code=int(_number(failure, "exit_code")),
    )


def _number(fields: Fields, key: str) -> float:
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 <= value < _MOST else 0.0


def _plain(text: str) -> str:
    """Return a text without what would break a line: a step may print anything."""
    return "".join(c if c.isprintable() else " " for c in text[:_LONGEST])
