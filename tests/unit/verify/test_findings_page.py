"""docs/findings.md explains every code of a verdict, and no other."""

import ast
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

_MAKERS = {"error": 1, "warning": 1}
_CODE = re.compile(r"[A-Z]{3,}(_[A-Z]+)*")
# Codes of errors that are no finding of a verdict.
_ERRORS = {"NO_DIGEST", "BAD_OUTPUT", "NO_EVIDENCE", "OTHER_BUNDLE", "MEMORY"}


def _codes(tree: ast.AST) -> Iterator[str]:
    """Yield what is given as the code of a finding or of a refusal."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        given = [word.value for word in node.keywords if word.arg == "code"]
        if name in _MAKERS and len(node.args) > _MAKERS[name]:
            given.append(node.args[_MAKERS[name]])
        for value in given:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value


def _made() -> set[str]:
    root = Path(str(files("imagekit")))
    rooms = [root / name for name in ("verify", "policy", "signatures/sigstore")]
    # Signing makes no verdicts.
    chosen = [file for room in rooms for file in room.rglob("*.py") if file.stem != "keyless"]
    found = {
        code for p in chosen if "export" not in p.parts for code in _codes(ast.parse(p.read_text()))
    }
    return {code for code in found if _CODE.fullmatch(code)}


@pytest.fixture(scope="module")
def documented(project: Path) -> set[str]:
    """Every code that the page has in the first column of a table."""
    text = (project / "docs/findings.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {code for row in rows for code in re.findall(r"`([A-Z_]+)`", row)}


def test_every_code_is_explained(documented: set[str]) -> None:
    """Whoever meets one looks it up there."""
    assert _made() - _ERRORS - documented == set()


def test_no_code_is_explained_that_there_is_not(documented: set[str], project: Path) -> None:
    """What a version cannot say any more is taken out."""
    source = "".join(p.read_text() for p in Path(str(files("imagekit"))).rglob("*.py"))

    assert {code for code in documented if f'"{code}"' not in source} == set()
