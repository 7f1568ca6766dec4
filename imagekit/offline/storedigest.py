"""Digests of what lies in a store: a user's store has files of the user's subordinate ids.

Only root may read them, and the user within their own user namespace. There
``python -m imagekit.offline.storedigest`` runs: it reads the folders from stdin, as a JSON list of
names and paths, and prints their digest.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from imagekit.build.tools.podman import in_namespace
from imagekit.errors import DocumentError, InvalidReferenceError, RegistryError, ToolError
from imagekit.oci.digest import Digest
from imagekit.offline.stagedigest import tree_digest
from imagekit.process import Runner

_MODULE = "imagekit.offline.storedigest"
_SECONDS = 4 * 3600.0


def store_digest(roots: Sequence[tuple[str, Path]]) -> Digest:
    """Return what ``tree_digest`` does, also of files that only this user's namespace may read.

    Args:
        roots: each folder, or file or link, and the name that it goes by in the list.

    Raises:
        RegistryError: something cannot be read.
        IntegrityError: there is too much.
    """
    try:
        return tree_digest(roots)
    except RegistryError as error:
        if not isinstance(error.__cause__, PermissionError) or os.geteuid() == 0:
            raise
        return _within(roots, refused=error)


def _within(roots: Sequence[tuple[str, Path]], *, refused: RegistryError) -> Digest:
    asked = json.dumps([(name, str(path.absolute())) for name, path in roots])
    argv = in_namespace((sys.executable, "-m", _MODULE))
    runner = Runner(env=dict(os.environ) | {"PYTHONSAFEPATH": "1"})
    try:
        output = runner.run(argv, stdin=asked.encode(), limit=_SECONDS).stdout
        return Digest.parse(output.strip())
    except (ToolError, DocumentError, InvalidReferenceError) as error:
        raise RegistryError(
            refused.message,
            hint="files that only root may read stay so: ask root, or stage it yourself",
        ) from error


def main() -> None:
    """Print the digest of the folders that stdin names."""
    digest = tree_digest([(name, Path(path)) for name, path in json.load(sys.stdin)])
    sys.stdout.write(f"{digest}\n")


if __name__ == "__main__":
    main()
