"""Package managers that are recognised and not read: the SBOM has a note of each.

What is recognised is never left out without a word.
"""

_NAMES = {
    ("opkg", "status"): "opkg",
    ("db", "db.sqlite"): "Nix",
    ("composer", "installed.json"): "Composer",
}
"""By the file's folder and its name."""
_BELOW = {("local", "desc"): "pacman"}
"""By what the folder above the file's is called, and the file's name."""
_SUFFIXES = {".egg": "zipped egg"}


def foreign_database(path: str) -> str:
    """Return whose database or package a file is, where no cataloguer reads it."""
    *_, above, folder, name = ("", "", *path.split("/"))
    _, dot, suffix = name.rpartition(".")
    return (
        _NAMES.get((folder, name))
        or _SUFFIXES.get(f"{dot}{suffix}")
        or _BELOW.get((above, name), "")
    )
