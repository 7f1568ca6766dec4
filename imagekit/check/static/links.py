"""IK201 to IK203: symbolic links that lead to nothing, out of the image, or in a circle."""

from collections.abc import Iterator

from imagekit.check.image_files import ImageFile
from imagekit.check.static.image_tree import ImageTree
from imagekit.check.static.portability_finding import PortabilityFinding, found
from imagekit.oci.tar import EntryKind

RUNTIME = ("dev", "proc", "run", "sys", "tmp", "var/run", "var/tmp")
"""What a runtime fills: links may lead there."""
UNUSED = (
    "usr/share/doc/",
    "usr/share/man/",
    "usr/share/info/",
    "usr/share/doc-base/",
    "usr/share/locale/",
    "usr/share/lintian/",
    "usr/share/bug/",
    "usr/src/",
    "lib/modules/",
    "usr/lib/modules/",
    "usr/lib/debug/",
)
"""What no program needs, and what images are often made without."""
OWN = frozenset({"etc/localtime", "etc/mtab", "etc/resolv.conf", "usr/lib/ssl/cert.pem"})
"""Links that packages bring and that count where something is asked for by them."""


def link_findings(tree: ImageTree) -> Iterator[PortabilityFinding]:
    """Yield what is wrong with links."""
    for path, file in tree.files.files.items():
        if file.kind is not EntryKind.SYMLINK:
            continue
        if _leaves(path, file.target):
            yield found("IK202", path, f"it leads to {file.target[:200]}", breaks=(path,))
        elif tree.is_loop(path):
            yield found("IK203", path, "it leads back to itself", breaks=(path,))
        elif _dangles(tree, path, file):
            yield found("IK201", path, f"it leads to {file.target[:200]}", breaks=(path,))


def _leaves(path: str, target: str) -> bool:
    """Return whether a target has more ``..`` than there are folders above the link."""
    if target.startswith("/"):
        return False
    depth = path.count("/")
    for part in target.split("/"):
        depth += (part not in {"", ".", ".."}) - (part == "..")
        if depth < 0:
            return True
    return False


def _dangles(tree: ImageTree, path: str, file: ImageFile) -> bool:
    if path in OWN or _is_below(path, UNUSED):
        return False
    end = tree.files.resolved(path)
    if end in tree.files.files:
        return False
    named = f"{file.target.strip('/')}/"
    return not (
        _is_below(f"{end}/", UNUSED) or any(end == r or end.startswith(f"{r}/") for r in RUNTIME)
    ) and not _is_below(named, UNUSED)


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return path.startswith(folders)
