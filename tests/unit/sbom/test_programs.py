"""What the programs of an image need of a node, through layers and by names."""

import io
import tarfile

import pytest

from imagekit.build.image import Origin
from imagekit.sbom.catalogue import catalogue
from imagekit.sbom.contents import LayerFiles, Subject
from imagekit.sbom.layer_files import read_layer
from imagekit.sbom.programs import ElfNeeds
from tests.support.elf import abi_tag, elf, isa_needed

V3, V4 = elf(isa_needed(7)), elf(isa_needed(15))
PLAIN = elf()


def layer(
    files: dict[str, bytes], links: dict[str, str] | None = None, origin: Origin = Origin.BASE
) -> LayerFiles:
    """Return a layer as it is read from a registry; of a base no files are listed."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.LNKTYPE, target
            archive.addfile(member)
    listed = origin is Origin.RECIPE
    return read_layer([raw.getvalue()], layer="sha256:x", origin=origin, digest_programs=listed)


def shown_by(*layers: LayerFiles) -> ElfNeeds:
    """Return what the layers show, the lowest first."""
    return catalogue(layers, subject=Subject(name="x")).programs


@pytest.mark.parametrize("origin", list(Origin))
def test_the_level_is_read_in_every_layer(origin: Origin) -> None:
    """A package or a base may be compiled for a newer processor, too."""
    programs = shown_by(layer({"usr/bin/a": V3, "usr/bin/b": PLAIN}, origin=origin))

    assert (programs.level, programs.level_file) == (3, "usr/bin/a")


def test_the_newest_kernel_of_all_counts() -> None:
    """A program that is older does with it, too."""
    files = {"bin/a": elf(abi_tag(3, 2, 0)), "bin/b": elf(abi_tag(5, 10, 0))}

    programs = shown_by(layer(files))

    assert (programs.kernel, programs.kernel_file) == ((5, 10, 0), "bin/b")


def test_what_a_higher_layer_replaced_counts_no_more() -> None:
    """Also where it is replaced by a program without notes."""
    assert shown_by(layer({"bin/a": V4}), layer({"bin/a": PLAIN})).level == 0


def test_what_a_higher_layer_removed_counts_no_more() -> None:
    """A whiteout hides it."""
    assert shown_by(layer({"bin/a": V4}), layer({"bin/.wh.a": b""})).level == 0


def test_a_hard_link_outlives_its_first_name() -> None:
    """The file is still there."""
    programs = shown_by(layer({"bin/a": V4}, links={"bin/b": "bin/a"}), layer({"bin/.wh.a": b""}))

    assert (programs.level, programs.level_file) == (4, "bin/b")


def test_what_the_loader_chooses_from_is_not_demanded() -> None:
    """A library for each level lies in glibc-hwcaps, and ld.so takes what fits."""
    files = {"usr/lib/glibc-hwcaps/x86-64-v4/libx.so.1": V4, "usr/lib/libx.so.1": PLAIN}

    assert shown_by(layer(files)).level == 0


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("libmpi.so.40.30.4", "openmpi"),
        ("libmpich.so.12.2.0", "mpich"),
        ("libmpi.so.12", "mpich"),
        ("libpmix.so.2.2.35", "pmix"),
        ("libpmi2.so.0", "pmi2"),
    ],
)
def test_libraries_are_known_by_their_names(name: str, word: str) -> None:
    """Wherever they lie, and whoever installed or compiled them."""
    programs = shown_by(layer({f"opt/x/{name}": PLAIN}))

    assert programs.libraries == {word: f"opt/x/{name}"}


@pytest.mark.parametrize(
    "name", ["libmpi.so.1", "libmpi_cxx.so.40", "libmpi.so.40.bak", "xlibmpich.so.12"]
)
def test_similar_names_are_others(name: str) -> None:
    """The name is compared whole."""
    assert shown_by(layer({f"usr/lib/{name}": PLAIN})).libraries == {}


def test_a_file_that_is_no_program_is_no_library() -> None:
    """The name alone shows nothing."""
    assert shown_by(layer({"usr/lib/libmpi.so.40": b"text"})).libraries == {}


def test_the_newest_cuda_runtime_counts() -> None:
    """A driver for it runs older ones as well."""
    files = {"a/libcudart.so.11.8.89": PLAIN, "b/libcudart.so.12": PLAIN}

    programs = shown_by(layer(files))

    assert (programs.cuda, programs.cuda_file) == (12, "b/libcudart.so.12")
