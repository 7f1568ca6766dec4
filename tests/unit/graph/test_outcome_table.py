"""Documents of many publishes become one table, also of what left none."""

import json
from pathlib import Path

import pytest

from imagekit.errors import DocumentError, InputError
from imagekit.graph.export.work_plan import PublishTask
from imagekit.graph.outcome_table import (
    OutcomeRow,
    exit_code_of,
    markdown_table,
    read_outcomes,
    text_table,
    with_missing,
)


def write(folder: Path, name: str, *rows: object, **more: object) -> None:
    """Write a document of publish."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text(json.dumps({"schema": 1, "published": rows, **more}))


def row(name: str, status: str = "published", **more: object) -> dict[str, object]:
    """Return what publish says of a recipe."""
    return {"name": name, "version": "1", "status": status, "seconds": 1.25, **more}


def test_all_documents_of_all_folders_are_read(tmp_path: Path) -> None:
    """With the error of those that failed."""
    write(tmp_path / "one", "a.json", row("a", reference="r.org/a@sha256:00"))
    failed = row("b", "failed", error={"message": "step 2 failed"}, exit_code=6)
    write(tmp_path, "b.json", failed, row("c", "skipped", because=["b"]), error={}, exit_code=6)

    rows = read_outcomes(tmp_path)

    assert [(r.name, r.status, r.message, r.exit_code) for r in rows] == [
        ("b", "failed", "step 2 failed", 6),
        ("c", "skipped", "because of b", 0),
        ("a", "published", "", 0),
    ]
    assert exit_code_of(rows) == 6


def test_the_failure_of_one_recipe_alone_is_that_of_its_document(tmp_path: Path) -> None:
    """As ``imagekit publish RECIPE --json`` leaves it."""
    write(tmp_path, "a.json", row("a", "failed"), error={"message": "no disk"}, exit_code=6)

    (found,) = read_outcomes(tmp_path)

    assert (found.status, found.message, found.exit_code) == ("failed", "no disk", 6)


def test_what_left_nothing_is_told(tmp_path: Path) -> None:
    """Skipped where what it stands on is not there, else lost: its job was killed, or never ran."""
    write(tmp_path, "a.json", row("a", "failed", exit_code=2))
    (tmp_path / "killed.json").touch()
    tasks = [
        PublishTask(name=name, version="1", path="", bases=bases)
        for name, bases in (("a", ()), ("b", ("a",)), ("c", ("b",)), ("d", ()))
    ]

    rows = with_missing(read_outcomes(tmp_path), tasks)

    assert [(r.name, r.status, r.message) for r in rows] == [
        ("a", "failed", ""),
        ("b", "skipped", "because of a"),
        ("c", "skipped", "because of b"),
        ("d", "lost", "it left no document: see its log"),
    ]
    assert exit_code_of(rows) == 6


def test_a_second_try_that_succeeded_counts(tmp_path: Path) -> None:
    """And a later failure of another kind does not take it away."""
    write(tmp_path, "1.json", row("a", "failed", exit_code=6))
    write(tmp_path, "2.json", row("a", "completed"))
    write(tmp_path, "3.json", row("a", "failed", exit_code=6))

    (found,) = read_outcomes(tmp_path)

    assert (found.status, exit_code_of([found])) == ("completed", 0)


@pytest.mark.parametrize("status", ["published", "completed", "unchanged", "stale"])
def test_what_is_there_can_be_stood_on(tmp_path: Path, status: str) -> None:
    """Also where it would be built from something else now: what is above is lost by itself."""
    write(tmp_path, "a.json", row("a", status))
    tasks = [
        PublishTask(name=name, version="1", path="", bases=bases)
        for name, bases in (("a", ()), ("b", ("a",)))
    ]

    rows = with_missing(read_outcomes(tmp_path), tasks)

    assert [r.status for r in rows] == [status, "lost"]


def test_a_failure_before_the_recipe_was_known_has_no_row(tmp_path: Path) -> None:
    """It counts as lost where the plan has it."""
    (tmp_path / "a.json").write_text('{"schema": 1, "error": {"message": "no recipe"}}')

    assert read_outcomes(tmp_path) == ()


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", "no", '{"published": {}}', '{"published": [1]}', '{"published": [{"name": "a"}]}'],
)
def test_what_is_no_document_of_publish_is_refused(tmp_path: Path, text: str) -> None:
    """By its name."""
    (tmp_path / "a.json").write_text(text)

    with pytest.raises(DocumentError, match=r"a\.json"):
        read_outcomes(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """An empty one has no recipes, and one that is missing was misspelt."""
    assert read_outcomes(tmp_path) == ()
    with pytest.raises(InputError, match="is no folder"):
        read_outcomes(tmp_path / "none")


def test_what_a_recipe_says_is_no_markup() -> None:
    """A message may come from a step."""
    bad = OutcomeRow(name="a", version="1", status="failed", message="x|y <img> `z`\x1b[0m")

    lines = list(markdown_table([bad]))

    assert r"x\|y \<img\> \`z\`" in lines[2]
    assert list(text_table([bad]))[-1] == "1 failed"
