"""Needs of a recipe, completed and contradicted by what its image shows."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.documents.place import SourcePlace
from imagekit.errors import RecipeError
from imagekit.needs.needs import Kernel, Mpi, MpiName, Needs
from imagekit.oci.digest import Digest
from imagekit.recipe.recipe import Recipe, ScratchBase, Tags
from imagekit.recipe.stated_needs import StatedNeeds
from imagekit.sbom.complete_needs import complete_needs
from imagekit.sbom.contents import Component, Kind, Sbom, Subject
from imagekit.sbom.programs import ElfNeeds

HERE = SourcePlace("recipe.yaml", 1, 1)
KEYS = ("mpi", "pmi", "cpu", "glibc", "cuda", "kernel", "devices")
PLACES = tuple((key, SourcePlace("recipe.yaml", line, 3)) for line, key in enumerate(KEYS, 10))
OPENMPI = {"openmpi": "usr/lib/libmpi.so.40", "pmix": "usr/lib/libpmix.so.2"}
MPICH = {"mpich": "usr/lib/libmpich.so.12"}
V4 = ElfNeeds(level=4, level_file="opt/solver")
NEWER = ElfNeeds(kernel=(5, 10, 0), kernel_file="bin/x")
CUDA = ElfNeeds(cuda=12, cuda_file="opt/libcudart.so.12")


def recipe(needs: Needs | None) -> Recipe:
    """Return a recipe that says this."""
    return Recipe(
        folder=Path(),
        file=Path("recipe.yaml"),
        digest=Digest.of(b""),
        name="x",
        version="1",
        place=HERE,
        base=ScratchBase(place=HERE),
        tags=Tags(immutable=("1",), moving=()),
        needs=None if needs is None else StatedNeeds(needs=needs, place=HERE, places=PLACES),
    )


def sbom(programs: ElfNeeds, packages: Mapping[str, str]) -> Sbom:
    """Return what an image of these programs and packages of Debian is made of."""
    components = tuple(
        Component(ref=name, kind=Kind.DEBIAN, name=name, version=version)
        for name, version in packages.items()
    )
    return Sbom(subject=Subject(name="x"), components=components, programs=programs)


def completed(
    needs: Needs | None, programs: ElfNeeds, packages: Mapping[str, str] | None = None
) -> Needs | None:
    """Complete the needs."""
    return complete_needs(recipe(needs), sbom(programs, packages or {}))


def libraries(*found: Mapping[str, str]) -> ElfNeeds:
    """Return what is shown by these libraries."""
    return ElfNeeds(libraries={word: path for some in found for word, path in some.items()})


def mpi(implementation: MpiName, version: str = "") -> Mpi:
    """Return an MPI."""
    return Mpi(implementation=implementation, version=version)


COMPLETED = {
    "nothing shown": (Needs(), ElfNeeds(), Needs()),
    "the level of a program": (Needs(), V4, Needs(cpu="x86-64-v4")),
    "the baseline is no need": (Needs(), ElfNeeds(level=1, level_file="a"), Needs()),
    "a level above stays": (
        Needs(cpu="x86-64-v4"),
        ElfNeeds(level=3, level_file="a"),
        Needs(cpu="x86-64-v4"),
    ),
    "the kernel of a program": (Needs(), NEWER, Needs(kernel=Kernel(minimum="5.10.0"))),
    "the kernel beside its options": (
        Needs(kernel=Kernel(config=("USER_NS",))),
        NEWER,
        Needs(kernel=Kernel(minimum="5.10.0", config=("USER_NS",))),
    ),
    "a newer kernel stays": (
        Needs(kernel=Kernel(minimum="6.1")),
        NEWER,
        Needs(kernel=Kernel(minimum="6.1")),
    ),
    "the major version of CUDA": (Needs(), CUDA, Needs(cuda="12.0")),
    "a newer CUDA stays": (Needs(cuda="12.4"), CUDA, Needs(cuda="12.4")),
    "Open MPI and PMIx": (Needs(), libraries(OPENMPI), Needs(mpi=mpi("openmpi"), pmi=("pmix",))),
    "MPICH and PMI-2": (Needs(), libraries(MPICH), Needs(mpi=mpi("mpich"), pmi=("pmi2",))),
    "two of MPI are left open": (Needs(), libraries(OPENMPI, MPICH), Needs()),
    "the one of two that is said": (
        Needs(mpi=mpi("mpich")),
        libraries(OPENMPI, MPICH),
        Needs(mpi=mpi("mpich"), pmi=("pmi2",)),
    ),
    "MPICH with a library of PMIx": (
        Needs(pmi=("pmix",)),
        libraries(MPICH, {"pmix": "usr/lib/libpmix.so.2"}),
        Needs(mpi=mpi("mpich"), pmi=("pmix",)),
    ),
    "Intel's by the names of MPICH": (
        Needs(mpi=mpi("intel-mpi")),
        libraries(MPICH),
        Needs(mpi=mpi("intel-mpi"), pmi=("pmi2",)),
    ),
    "what no file shows": (
        Needs(mpi=mpi("openmpi"), pmi=("pmi2",), devices=("a.org/b",), glibc="2.31"),
        ElfNeeds(),
        Needs(mpi=mpi("openmpi"), pmi=("pmi2",), devices=("a.org/b",), glibc="2.31"),
    ),
}


@pytest.mark.parametrize("row", COMPLETED.values(), ids=COMPLETED)
def test_needs_are_completed(row: tuple[Needs, ElfNeeds, Needs]) -> None:
    """By what is shown, where nothing is said."""
    said, shown, wanted = row

    assert completed(said, shown) == wanted


def test_a_recipe_that_says_nothing_gets_nothing() -> None:
    """Nobody asked."""
    assert completed(None, V4) is None


@pytest.mark.parametrize("version", ["4.1.4-3+b1", "1:4.1.4-3"])
def test_the_version_comes_from_the_package(version: str) -> None:
    """Without its epoch and Debian's revision."""
    needs = completed(Needs(), libraries(OPENMPI), {"libopenmpi3": version, "libc6": "2.36"})

    assert needs is not None
    assert needs.mpi == mpi("openmpi", "4.1.4")


def test_fewer_numbers_of_a_version_stay() -> None:
    """They are as many as matter."""
    said = Needs(mpi=mpi("openmpi", "4.1"), pmi=("pmix",))

    assert completed(said, libraries(OPENMPI), {"libopenmpi3": "4.1.4-3"}) == said


CONTRADICTIONS = {
    "a lower level": (Needs(cpu="x86-64-v2"), V4, "cpu", "/opt/solver demands x86-64-v4"),
    "an older kernel": (Needs(kernel=Kernel(minimum="4.19")), NEWER, "kernel", "/bin/x was built"),
    "an older CUDA": (Needs(cuda="11.8"), CUDA, "cuda", "/opt/libcudart.so.12 wants"),
    "another MPI": (Needs(mpi=mpi("mpich")), libraries(OPENMPI), "mpi", "holds only openmpi"),
    "Intel's and Open MPI": (Needs(mpi=mpi("intel-mpi")), libraries(OPENMPI), "mpi", "holds only"),
    "MPICH without PMIx": (Needs(pmi=("pmix",)), libraries(MPICH), "pmi", "would be alone"),
    "PMIx that is Open MPI's": (
        Needs(mpi=mpi("mpich"), pmi=("pmix",)),
        libraries(OPENMPI, MPICH),
        "pmi",
        "would be alone",
    ),
    "Open MPI without PMI-2": (Needs(pmi=("pmi2",)), libraries(OPENMPI), "pmi", "libpmi2.so"),
}


@pytest.mark.parametrize("row", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradictions_are_errors_with_their_places(row: tuple[Needs, ElfNeeds, str, str]) -> None:
    """Each is the only one, and points to the key that is wrong."""
    said, shown, key, words = row

    with pytest.raises(RecipeError) as caught:
        completed(said, shown)

    (fault,) = caught.value.diagnostics
    assert (fault.code, fault.line) == ("recipe/needs-contradiction", 10 + KEYS.index(key))
    assert words in fault.message
    assert fault.hint


def test_another_version_of_mpi_is_a_contradiction() -> None:
    """4.1 is no 4.10, and 4.0 no 4.1."""
    for version in ("4.10.0-1", "4.0.3-1"):
        with pytest.raises(RecipeError, match="is not what") as caught:
            completed(
                Needs(mpi=mpi("openmpi", "4.1")), libraries(OPENMPI), {"libopenmpi3": version}
            )

        assert [fault.line for fault in caught.value.diagnostics] == [10]


def test_all_contradictions_come_at_once() -> None:
    """So that the recipe is mended once."""
    said = Needs(cpu="x86-64-v2", mpi=mpi("mpich"), cuda="11")
    shown = replace(V4, libraries=OPENMPI, cuda=12, cuda_file="c")

    with pytest.raises(RecipeError) as caught:
        completed(said, shown)

    assert len(caught.value.diagnostics) == 3
