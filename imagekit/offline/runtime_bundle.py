"""Whether a runtime's bundle is a staged one, except for what a job may choose itself.

A workload manager copies config.json (runtime-spec config.md), puts the job's command and
environment into it and hands that to the runtime. Everything else must be as it was staged: one
more mount could replace a program of the image.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagekit.documents import strictjson
from imagekit.errors import DocumentError

CODE = "OTHER_BUNDLE"
MAX_CONFIG = 4 << 20
_ROOTFS = "rootfs"
_JOBS_OWN = frozenset({"args", "env", "cwd", "terminal", "consoleSize", "rlimits"})
"""The members of ``process`` that a job chooses (runtime-spec config.md, Process)."""


def staged_bundle(config: Mapping[str, Any]) -> Path:
    """Return the staged bundle whose root file system a configuration uses.

    Raises:
        DocumentError: its root file system is that of no staged bundle.
    """
    root = config.get("root")
    path = Path(str(root.get("path", ""))) if isinstance(root, dict) else Path()
    if not path.is_absolute() or path.name != _ROOTFS or ".." in path.parts:
        raise DocumentError(
            f"the bundle's root file system is {str(path)[:120]!r}, and not BUNDLE/rootfs",
            hint="start it from what imagekit stage wrote: bundle:PATH",
            code=CODE,
        )
    return path.parent


def compare(config: Mapping[str, Any], staged: Mapping[str, Any]) -> None:
    """Compare a configuration with the staged one.

    Raises:
        DocumentError: they differ in something that is not the job's to choose.
    """
    ours, theirs = _fixed(staged), _fixed(config)
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            raise DocumentError(
                f"the bundle differs from the staged one in {key[:80]!r}",
                hint="mounts and other settings are chosen when the image is staged",
                code=CODE,
            )


def with_root(config: Mapping[str, Any], root: Path) -> bytes:
    """Return the configuration as bytes, with another path of the root file system."""
    return strictjson.dumps({**config, "root": {**config["root"], "path": str(root)}})


def _fixed(config: Mapping[str, Any]) -> dict[str, object]:
    """Return the settings that are not the job's, by names for messages."""
    fixed: dict[str, object] = {
        key: value for key, value in config.items() if key not in {"process", "root"}
    }
    process, root = _part(config, "process"), _part(config, "root")
    fixed |= {f"process.{key}": value for key, value in process.items() if key not in _JOBS_OWN}
    return fixed | {f"root.{key}": value for key, value in root.items() if key != "path"}


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = config.get(name)
    if not isinstance(value, dict):
        raise DocumentError(f"the bundle has no {name!r}", code=CODE)
    return value
