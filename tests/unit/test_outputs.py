"""Every option that names an output file uses the one function for it."""

import ast
from pathlib import Path

_WRITES = {"write_bytes", "write_text", "NamedTemporaryFile", "mkstemp", "rename", "write_whole"}
# What no option names as a file: temporary copies, and versions in folders of their own.
_ALLOWED = {
    "pipeline/guard.py",
    "pipeline/import_.py",
    "pipeline/stage_shelf.py",
    "pipeline/staged.py",
}


def _writes(file: Path) -> bool:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            mode = [each.value for each in node.args if isinstance(each, ast.Constant)]
            opens = name == "open" and bool({"w", "wb", "x", "xb"} & {*map(str, mode)})
            if name in _WRITES or opens:
                return True
    return False


def test_commands_write_files_by_one_function(project: Path) -> None:
    """A new command that writes by itself would replace devices and links."""
    package = project / "imagekit"
    files = [*(package / "cli").rglob("*.py"), *(package / "pipeline").rglob("*.py")]

    found = {str(file.relative_to(package)) for file in files if _writes(file)}

    assert found == _ALLOWED
