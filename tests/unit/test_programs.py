"""One module drives one program."""

import ast
from collections.abc import Iterator
from pathlib import Path

_DRIVER = "imagekit/build/tools/podman.py"
# What lists of programs name beside Podman; a command has other words behind it.
_PROGRAMS = {"podman", "buildah", "skopeo", "apptainer", "crio", "docker"}


def _commands(file: Path) -> Iterator[int]:
    """Yield the lines of lists that begin with Podman and go on with its words."""
    raw = file.read_bytes()
    for node in ast.walk(ast.parse(raw)) if b"podman" in raw else ():
        if isinstance(node, ast.List | ast.Tuple) and node.elts:
            words = [each.value if isinstance(each, ast.Constant) else None for each in node.elts]
            if words[0] == "podman" and not _PROGRAMS.issuperset(words):
                yield node.lineno


def test_only_the_driver_of_podman_makes_commands_of_it(project: Path) -> None:
    """Everybody else asks the driver."""
    files = (project / "imagekit").rglob("*.py")

    found = {str(file.relative_to(project)) for file in files if list(_commands(file))}

    assert found == {_DRIVER}
