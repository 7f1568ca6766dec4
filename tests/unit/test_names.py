"""A name of a module or of a public class stands once: what is found by it is what was meant."""

import ast
from collections import Counter
from pathlib import Path

_NEEDED = {
    # The part of a policy, as it is read, and what it is read into.
    "authority",
    # A module of verify/conditions is called by the word of the policy that it judges.
    "licences",
    "needs",
    "packages",
    "provenance",
    "sbom",
    # Of the settings, and of a lock: each is the one document of its room.
    # Of the command line, and of how registries are reached.
    "options",
    # What a room asks of others stands in the room.
    "ports",
}


def _modules(project: Path) -> list[Path]:
    """Return the package's modules; those of commands are called by their commands.

    The files of a recipe that is written for an admin are none.
    """
    files = sorted((project / "imagekit").rglob("*.py"))
    other = {"commands", "templates"}
    return [file for file in files if file.name != "__init__.py" and not other & set(file.parts)]


def test_a_modules_name_stands_once_unless_there_is_a_need(project: Path) -> None:
    """A new one of a name that is taken says what is in it, or why there are two."""
    names = Counter(file.stem for file in _modules(project))

    assert {name for name, count in names.items() if count > 1} == _NEEDED


def test_a_public_classs_name_stands_once(project: Path) -> None:
    """Wherever it is."""
    names = Counter(
        node.name
        for file in _modules(project)
        for node in ast.parse(file.read_bytes()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )

    assert [name for name, count in names.items() if count > 1] == []
