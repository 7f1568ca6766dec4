"""Every option that names an output file uses the one function for it."""

import ast
from pathlib import Path

_WRITES = {"write_bytes", "write_text", "NamedTemporaryFile", "mkstemp", "rename", "write_whole"}
# What no option names as a file: temporary copies, caches, layouts and versions in folders of their
# own, and keys, which replace nothing.
_ALLOWED = {
    "imagekit/adapters/bootstrap.py",
    "imagekit/adapters/buildah.py",
    "imagekit/adapters/cache.py",
    "imagekit/adapters/chain.py",
    "imagekit/adapters/fetch.py",
    "imagekit/adapters/isolation.py",
    "imagekit/adapters/journal.py",
    "imagekit/signatures/keys/files.py",
    "imagekit/oci/layout.py",
    "imagekit/files.py",
    "imagekit/adapters/podman.py",
    "imagekit/adapters/storage.py",
    "imagekit/adapters/workshop.py",
    "imagekit/build/layer.py",
    "imagekit/gate/blobs/cache.py",
    "imagekit/pipeline/guard.py",
    "imagekit/pipeline/import_.py",
    "imagekit/pipeline/stage_shelf.py",
    "imagekit/pipeline/staged.py",
    "imagekit/recipe/schema.py",
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


def test_files_that_options_name_are_written_by_one_function(project: Path) -> None:
    """A new module that writes by itself could replace devices and links."""
    files = (project / "imagekit").rglob("*.py")

    found = {str(file.relative_to(project)) for file in files if _writes(file)}

    assert found == _ALLOWED
