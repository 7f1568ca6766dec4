"""Every option that names an output file uses the one function for it."""

import ast
from pathlib import Path

_WRITES = {"write_bytes", "write_text", "NamedTemporaryFile", "mkstemp", "rename", "write_whole"}
# What no option names as a file: temporary copies, caches, layouts and versions in folders of their
# own, and keys and new recipes, which replace nothing.
_ALLOWED = {
    "imagekit/build/package_registry.py",
    "imagekit/build/tools/mmdebstrap.py",
    "imagekit/build/tools/buildah.py",
    "imagekit/build/tools/layer_cache.py",
    "imagekit/build/tools/step_cache.py",
    "imagekit/build/tools/chain.py",
    "imagekit/build/tools/commits.py",
    "imagekit/build/tools/fetch.py",
    "imagekit/build/tools/isolation.py",
    "imagekit/build/tools/flat_repository.py",
    "imagekit/build/tools/journal.py",
    "imagekit/build/tools/package_cache.py",
    "imagekit/signatures/keys/key_files.py",
    "imagekit/oci/layout.py",
    "imagekit/signatures/keys/sealed_key.py",
    "imagekit/files.py",
    "imagekit/build/tools/podman.py",
    "imagekit/build/tools/storage.py",
    "imagekit/build/tools/build_container.py",
    "imagekit/build/tools/wheel_download.py",
    "imagekit/build/layer.py",
    "imagekit/gate/blobs/blob_cache.py",
    "imagekit/hosts/user_config.py",
    "imagekit/offline/check_bundle.py",
    "imagekit/offline/checked_files.py",
    "imagekit/offline/import_.py",
    "imagekit/offline/stage_files.py",
    "imagekit/offline/staged.py",
    "imagekit/offline/staging.py",
    "imagekit/recipe/new_recipe.py",
    "imagekit/recipe/schema.py",
    "imagekit/sbom/catalogue_cache.py",
    "imagekit/resolve/apt_root.py",
    "imagekit/settings/trust.py",
}


def _writes(file: Path) -> bool:
    raw = file.read_bytes()
    named = any(name.encode() in raw for name in ("open", *_WRITES))
    for node in ast.walk(ast.parse(raw)) if named else ():
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
