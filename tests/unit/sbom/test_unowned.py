"""Files that no package owns, by folder and by what made their layer."""

from collections.abc import Callable

from msgspec.structs import replace

from imagekit.build.image import Origin
from imagekit.sbom.catalogue import catalogue
from imagekit.sbom.contents import Sbom, Subject
from imagekit.sbom.layer_files import read_layer
from imagekit.sbom.unowned import MAX_FOLDERS

STATUS = b"Package: a\nVersion: 1\nArchitecture: all\n\n"
BASE = {
    "var/lib/dpkg/status": STATUS,
    "var/lib/dpkg/info/a.list": b"/usr/share/a/owned\n",
    "usr/share/a/owned": b"x",
    "etc/passwd": b"x",
}
APP = {
    "opt/app/data/one": b"x",
    "opt/app/data/two": b"x",
    "opt/app/README": b"x",
    "opt/app/solve": b"\x7fELF",
    "etc/passwd": b"y",
}


def sbom(tar: Callable[..., bytes], *layers: dict[str, bytes]) -> Sbom:
    """Return the SBOM of an image of a base and what recipes made."""
    read = [
        replace(
            read_layer(
                [tar(files)],
                layer=str(number),
                origin=Origin.RECIPE if number else Origin.BASE,
                digest_programs=bool(number),
            ),
            made_by=f"step {number}",
        )
        for number, files in enumerate(layers)
    ]
    return catalogue(read, subject=Subject(name="x"))


def test_what_nobody_owns_is_counted_by_folder_and_layer(tar: Callable[..., bytes]) -> None:
    """A program is a component of its own, a package's files and databases are the package's."""
    assert [str(row) for row in sbom(tar, BASE, APP).unowned] == [
        "/etc: 1 file, made by step 1 (recipe)",
        "/opt/app: 1 file, made by step 1 (recipe)",
        "/opt/app/data: 2 files, made by step 1 (recipe)",
    ]


def test_many_folders_are_counted_with_their_parents(tar: Callable[..., bytes]) -> None:
    """The deepest first, so that what is told stays short and no file is lost."""
    files = {f"opt/d{number}/deep/f": b"x" for number in range(MAX_FOLDERS)}

    rows = sbom(tar, {}, {**files, "etc/x": b"x", "f": b"x"}).unowned

    assert len(rows) <= MAX_FOLDERS
    assert sum(row.files for row in rows) == MAX_FOLDERS + 2
    assert {row.folder for row in rows} == {"opt", "etc", ""}
