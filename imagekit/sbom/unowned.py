"""Files that no package owns, counted by folder and by what made the layer that they are in."""

from collections import Counter
from collections.abc import Callable, Iterable

from imagekit.sbom.contents import LayerFiles, UnownedFiles
from imagekit.sbom.overlay import Root

MAX_FOLDERS = 100
"""Most folders told apart; where there are more, the deepest are counted with their parents."""
_Folder = tuple[int, str]


def unowned_files(
    root: Root, *, owned: Callable[[str], bool], listed: Iterable[str]
) -> tuple[UnownedFiles, ...]:
    """Return the files that are neither a package's nor components of their own.

    Args:
        root: the image.
        owned: returns whether a package owns the file at a path.
        listed: the paths of programs and of what was fetched.
    """
    known = frozenset(listed)
    counts: Counter[_Folder] = Counter()
    for path, (_, number) in root.files.items():
        if path not in known and not owned(path):
            counts[number, path.rpartition("/")[0]] += 1
    return tuple(
        _unowned(folder, files, root.layers[number])
        for (number, folder), files in sorted(_merged(counts).items())
    )


def _merged(counts: Counter[_Folder]) -> Counter[_Folder]:
    """Count the deepest folders as their parents until they are few enough."""
    while len(counts) > MAX_FOLDERS:
        deepest = max(_depth(folder) for _, folder in counts)
        if not deepest:
            return counts
        merged: Counter[_Folder] = Counter()
        for (number, folder), files in counts.items():
            up = folder.rpartition("/")[0] if _depth(folder) == deepest else folder
            merged[number, up] += files
        counts = merged
    return counts


def _depth(folder: str) -> int:
    return folder.count("/") + bool(folder)


def _unowned(folder: str, files: int, layer: LayerFiles) -> UnownedFiles:
    return UnownedFiles(
        folder=folder,
        files=files,
        origin=layer.origin,
        layer=layer.layer,
        made_by=layer.made_by,
    )
