"""What the layers of an image add up to."""

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.build.image import Origin
from imagekit.documents.place import SourcePlace
from imagekit.oci.digest import Digest
from imagekit.recipe.recipe import BuildStage, FetchStep, Packages, Recipe, ScratchBase, Tags
from imagekit.sbom.catalogue import catalogue
from imagekit.sbom.contents import Component, Kind, LayerFiles, License, Sbom, Subject
from imagekit.sbom.layer_files import read_layer
from imagekit.sbom.unmanaged import sources

HERE = SourcePlace("recipe.yaml", 1, 1)
SUBJECT = Subject(name="apps/solver", version="2.0", digest="sha256:" + "d" * 64)
Files = Mapping[str, bytes]
Tar = Callable[..., bytes]


def layer(raw: bytes, number: int, origin: Origin | None) -> LayerFiles:
    """Read a layer as the pipeline does."""
    name = f"sha256:{number:064x}"
    listed = origin in {None, Origin.RECIPE}
    return read_layer([raw], layer=name, origin=origin, digest_programs=listed)


def recipe() -> Recipe:
    """A recipe that fetches a file and a wheel."""
    return Recipe(
        folder=Path("r"),
        file=Path("r/recipe.yaml"),
        digest=Digest.of(b""),
        name="apps/solver",
        version="2.0",
        place=HERE,
        base=ScratchBase(place=HERE),
        tags=Tags(immutable=("2.0",), moving=()),
        packages=(
            Packages(
                manager="pip",
                install=(f"solver-kit==2.0 --hash=sha256:{'e' * 64}",),
                place=HERE,
            ),
        ),
        steps=(
            FetchStep(
                url="https://example.org/data.tgz?x=1",
                sha256=Digest.of(b"data"),
                to="/opt/data.tgz",
                place=HERE,
            ),
        ),
    )


@pytest.fixture
def sbom(base_files: Files, recipe_files: Files, tar: Tar) -> Sbom:
    """The SBOM of an image of two layers."""
    base = tar(base_files, links={"lib": "usr/lib", "etc/os-release": "../usr/lib/os-release"})
    layers = [layer(base, 1, Origin.BASE), layer(tar(recipe_files), 2, Origin.RECIPE)]
    return catalogue(layers, subject=SUBJECT, made_by=recipe())


def named(sbom: Sbom, name: str) -> Component:
    """Return the only component of that name."""
    (found,) = [one for one in sbom.components if one.name == name]
    return found


def test_packages_that_left_only_their_configuration_are_not_listed(sbom: Sbom) -> None:
    """A removed package is not in the image."""
    assert "gone" not in {one.name for one in sbom.components}


def test_every_kind_is_found(sbom: Sbom) -> None:
    """System, Debian, Python, fetched and compiled things are all there, and nothing else."""
    assert {kind: sbom.count(kind) for kind in Kind if sbom.count(kind)} == {
        Kind.SYSTEM: 1,
        Kind.DEBIAN: 3,
        Kind.PYTHON: 2,
        Kind.FETCHED: 1,
        Kind.PROGRAM: 1,
    }


def test_what_a_stage_fetched_and_installed_is_known(base_files: Files, tar: Tar) -> None:
    """It is not in the image as such: something was compiled of it, or it was copied."""
    made_by = recipe()
    (fetch,) = made_by.steps
    assert isinstance(fetch, FetchStep)
    stage = BuildStage(
        name="build", packages=made_by.packages, steps=(replace(fetch, to="/src"),), place=HERE
    )
    made_by = replace(made_by, packages=(), stages=(stage,))

    found = catalogue([layer(tar(base_files), 1, Origin.BASE)], subject=SUBJECT, made_by=made_by)

    fetched = [one for one in found.components if one.kind is Kind.FETCHED]
    assert [(one.ref.rpartition("#")[2], one.download) for one in fetched] == [
        ("/opt/data.tgz", fetch.url),
        ("build:/src", fetch.url),
    ]
    assert [dict(one.properties).get("imagekit:stage") for one in fetched] == [None, "build"]
    assert len(sources(made_by, str.lower).archive_hashes) == 1


def test_a_program_of_a_package_is_not_listed_again(sbom: Sbom) -> None:
    """Of the recipe's files only what no RECORD and no package owns is a component."""
    assert [c.name for c in sbom.components if c.kind is Kind.PROGRAM] == ["/opt/app/mpi_hello"]


def test_each_component_says_where_it_came_from(sbom: Sbom) -> None:
    """Origin and layer are those of the layer that first had it."""
    assert (Origin.BASE, f"sha256:{1:064x}") == (named(sbom, "libc6").origin,
                                                named(sbom, "libc6").layer)  # fmt: skip
    assert Origin.RECIPE is named(sbom, "Solver_Kit").origin
    assert Origin.RECIPE is named(sbom, "data.tgz").origin


def test_a_package_keeps_its_origin_when_the_database_is_written_again(
    base_files: Files, tar: Tar
) -> None:
    """Every package step rewrites dpkg's whole database; only what is new is the step's."""
    status = base_files["var/lib/dpkg/status"]
    more = status + b"\nPackage: new\nStatus: install ok installed\nVersion: 1\n"
    layers = [
        layer(tar(base_files), 1, Origin.BASE),
        layer(tar({"var/lib/dpkg/status": more}), 2, Origin.PACKAGES),
    ]

    found = catalogue(layers, subject=SUBJECT)

    assert Origin.BASE is named(found, "libc6").origin
    assert Origin.PACKAGES is named(found, "new").origin


def test_dependencies_are_resolved_to_what_is_installed(sbom: Sbom) -> None:
    """Of alternatives the first that is there, virtual packages by who provides them."""
    libc = named(sbom, "libc6").ref

    assert (libc,) == named(sbom, "mawk").depends
    assert (libc,) == named(sbom, "python3-yaml").depends
    assert (named(sbom, "PyYAML").ref,) == named(sbom, "Solver_Kit").depends


def test_debian_packages_have_their_purl(sbom: Sbom) -> None:
    """Epoch, architecture, distribution and source package are in the package URL."""
    assert (
        named(sbom, "libc6").purl
        == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12&upstream=glibc"
    )
    assert "@1%3A1.3-1?" in named(sbom, "mawk").purl or "@1:1.3-1?" in named(sbom, "mawk").purl


def test_a_python_package_of_debian_says_so(sbom: Sbom) -> None:
    """It is listed under both names, and the one points to the other."""
    properties = dict(named(sbom, "PyYAML").properties)

    assert named(sbom, "python3-yaml").ref == properties["imagekit:part-of"]


def test_the_archive_that_pip_was_held_to_is_the_hash(sbom: Sbom) -> None:
    """The recipe's only hash is what pip installed, as it ran with --require-hashes."""
    assert named(sbom, "Solver_Kit").hashes == (("sha256", "e" * 64),)


def test_licences_are_those_that_the_image_states(sbom: Sbom) -> None:
    """From the machine-readable copyright file and from PEP 639's expression."""
    assert {
        License(stated="BSD-3-clause", spdx="BSD-3-Clause"),
        License(stated="GPL-2+ or Expat", spdx="GPL-2.0-or-later OR MIT"),
    } == set(named(sbom, "libc6").licenses)
    assert named(sbom, "Solver_Kit").licenses[0].spdx == "MIT OR Apache-2.0"


def test_a_whiteout_takes_packages_away(base_files: Files, tar: Tar) -> None:
    """What an upper layer removes is not in the SBOM."""
    gone = "usr/lib/python3/.wh.dist-packages"
    layers = [layer(tar(base_files), 1, None), layer(tar({gone: b""}), 2, None)]

    assert catalogue(layers, subject=SUBJECT).count(Kind.PYTHON) == 0


def test_a_hidden_program_is_not_listed(tar: Tar) -> None:
    """A program that a later step made a plain file is none any more."""
    path = "opt/x"
    layers = [
        layer(tar({path: b"\x7fELF"}), 1, Origin.RECIPE),
        layer(tar({path: b"text"}), 2, Origin.RECIPE),
    ]

    assert catalogue(layers, subject=SUBJECT).count(Kind.PROGRAM) == 0


def test_links_that_loop_end(base_files: Files, tar: Tar) -> None:
    """A loop of links leads nowhere and hangs nothing."""
    links = {"etc/os-release": "../etc/os-release", "a": "b", "b": "a/x"}
    found = catalogue([layer(tar(base_files, links=links), 1, None)], subject=SUBJECT)

    assert found.components[0].name == "debian"


@pytest.mark.parametrize(
    ("path", "word"),
    [("var/lib/opkg/status", "opkg"), ("var/lib/pacman/local/a-1/desc", "pacman")],
)
def test_other_databases_are_noted(path: str, word: str, tar: Tar) -> None:
    """What cannot be catalogued is said, never passed over."""
    found = catalogue([layer(tar({path: b"x"}), 1, None)], subject=SUBJECT)

    assert word in found.notes[0]


def test_a_database_behind_a_link_is_noted(tar: Tar) -> None:
    """A dpkg database that is moved away by a link is not silently missing."""
    raw = tar({}, links={"var/lib/dpkg": "/opt/hidden"})

    assert "symbolic link" in catalogue([layer(raw, 1, None)], subject=SUBJECT).notes[0]


def test_hostile_stanzas_are_noted_or_cleaned(tar: Tar) -> None:
    """Names that are none are noted; NUL, invalid UTF-8 and long lines do no harm."""
    status = (
        b"Package: ../evil\nVersion: 1\n\n"
        b"Package: odd\nVersion: 1\xff\0\nDescription: \x1b[2J" + b"x" * 100_000 + b"\n\n"
        b"garbage\n\n: :\n"
    )

    found = catalogue([layer(tar({"var/lib/dpkg/status": status}), 1, None)], subject=SUBJECT)

    assert "without a valid name" in found.notes[0]
    assert "\x1b" not in named(found, "odd").description
    assert len(named(found, "odd").description) <= 4096


def test_equal_things_have_refs_of_their_own(tar: Tar) -> None:
    """The same distribution in two places is two components."""
    meta = b"Name: a\nVersion: 1\n"
    raw = tar({"x/a-1.dist-info/METADATA": meta, "y/a-1.dist-info/METADATA": meta})

    found = catalogue([layer(raw, 1, None)], subject=SUBJECT)

    assert len({one.ref for one in found.components}) == 2


def test_programs_of_paths_that_are_no_text_are_listed() -> None:
    """A file name of any bytes ends up as text that every encoder takes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo("opt/\udcff")
        info.size, info.mode = 4, 0o755
        tar.addfile(info, io.BytesIO(b"\x7fELF"))

    found = catalogue([layer(raw.getvalue(), 1, None)], subject=SUBJECT)

    assert found.components[0].name == "/opt/\ufffd"


def test_the_same_layers_give_the_same_sbom(sbom: Sbom, base_files: Files, tar: Tar) -> None:
    """Nothing depends on the order of files in an archive."""
    turned = dict(reversed(list(base_files.items())))
    one = catalogue([layer(tar(base_files), 1, None)], subject=SUBJECT)
    two = catalogue([layer(tar(turned), 1, None)], subject=SUBJECT)

    assert one == two
    assert one != replace(sbom, subject=SUBJECT)
