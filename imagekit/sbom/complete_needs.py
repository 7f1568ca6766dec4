"""What an image needs of its node: what its recipe says, completed by what its files show.

What the files show is added where the recipe does not say it. Where the two contradict each other
the recipe is refused at that place, since a node would be chosen by what is wrong. A recipe may ask
for more than the files show: what a program finds out while it runs, they do not.
"""

import re

from msgspec import Struct
from msgspec.structs import replace

from imagekit.build.catalogued import shown
from imagekit.build.image import BuiltImage
from imagekit.errors import Diagnostic, RecipeError
from imagekit.needs.needs import CPU_LEVELS, OWN_PMI, CpuLevel, Kernel, Mpi, Needs, reaches
from imagekit.progress import Progress, silent
from imagekit.recipe.recipe import Recipe
from imagekit.recipe.stated_needs import StatedNeeds
from imagekit.sbom.contents import Kind, Sbom
from imagekit.sbom.programs import ElfNeeds

_MPI_PACKAGES = {"openmpi": ("libopenmpi", "openmpi-bin"), "mpich": ("libmpich", "mpich")}
_UPSTREAM = re.compile(r"(?:\d+:)?(\d{1,5}(?:\.\d{1,5}){0,2})")


class _Completion(Struct):
    """One recipe, what its image shows, and the contradictions so far."""

    stated: StatedNeeds
    programs: ElfNeeds
    sbom: Sbom
    faults: list[Diagnostic]

    def contradicts(self, key: str, message: str, hint: str) -> None:
        place = self.stated.place_of(key)
        self.faults.append(place.diagnostic("recipe/needs-contradiction", message, hint=hint))

    def cpu(self) -> Needs:
        """Return the needs with the level that programs demand."""
        needs, shows = self.stated.needs, self.programs
        demanded: CpuLevel = CPU_LEVELS[shows.level - 1] if shows.level > 1 else ""
        if needs.cpu and demanded and CPU_LEVELS.index(needs.cpu) < CPU_LEVELS.index(demanded):
            message = f"`cpu` is {needs.cpu}, and {shown(shows.level_file)} demands {demanded}"
            hint = f"write cpu: {demanded}, or compile it for {needs.cpu}"
            self.contradicts("cpu", message, hint)
        return needs if needs.cpu else replace(needs, cpu=demanded)

    def kernel(self, needs: Needs) -> Needs:
        """Return the needs with the oldest kernel that every program does with."""
        demanded = ".".join(map(str, self.programs.kernel))
        least = needs.kernel.minimum
        if least and demanded and not reaches(least, demanded):
            message = (
                f"`kernel.minimum` is {least}, and {shown(self.programs.kernel_file)} was built "
                f"for Linux {demanded} and newer"
            )
            self.contradicts("kernel", message, f'write minimum: "{demanded}", or newer')
        if least or not demanded:
            return needs
        return replace(needs, kernel=Kernel(minimum=demanded, config=needs.kernel.config))

    def cuda(self, needs: Needs) -> Needs:
        """Return the needs with what the runtime wants of the driver.

        CUDA Compatibility, "Minor Version Compatibility": any driver of its major version.
        """
        demanded = f"{self.programs.cuda}.0" if self.programs.cuda else ""
        if needs.cuda and demanded and not reaches(needs.cuda, demanded):
            message = (
                f"`cuda` is {needs.cuda}, and {shown(self.programs.cuda_file)} wants a driver for "
                f"CUDA {demanded}"
            )
            self.contradicts("cuda", message, f'write cuda: "{demanded}", or newer')
        return needs if needs.cuda else replace(needs, cuda=demanded)

    def mpi(self, needs: Needs) -> Needs:
        """Return the needs with the only MPI that is there."""
        there = [name for name in OWN_PMI if name in self.programs.libraries]
        said = needs.mpi
        if said is None:
            if len(there) != 1:
                return needs
            (name,) = there
            version = self._version(name)
            known = Mpi(implementation="openmpi" if name == "openmpi" else "mpich", version=version)
            return replace(needs, mpi=known)
        # Intel's has the names of MPICH.
        library = "mpich" if said.implementation == "intel-mpi" else said.implementation
        if there and library not in there:
            has = ", ".join(f"{name} ({shown(self.programs.libraries[name])})" for name in there)
            message = f"`mpi` is {said.implementation}, and the image holds only {has}"
            self.contradicts("mpi", message, f"write implementation: {there[0]}, or install it")
            return needs
        version = self._version(said.implementation)
        if said.version and version and not f"{version}.".startswith(f"{said.version}."):
            message = f"`mpi.version` is {said.version}, and the image holds {version}"
            self.contradicts("mpi", message, f'write version: "{version}", or less of it')
        return needs if said.version else replace(needs, mpi=replace(said, version=version))

    def pmi(self, needs: Needs) -> Needs:
        """Return the needs with what the MPI speaks."""
        if needs.mpi is None:
            return needs
        own = OWN_PMI[needs.mpi.implementation]
        there = self.programs.libraries
        # Where Open MPI is there as well, PMIx may be its own, and MPICH would not know of it.
        others = {"pmi2"} if "openmpi" in there else {"pmi2", "pmix"}
        spoken = {own, *(others & there.keys())}
        silent = [name for name in needs.pmi if name not in spoken]
        # Of an MPI whose libraries are not known nobody can say what it speaks.
        if silent and there.keys() & OWN_PMI.keys():
            message = (
                f"`pmi` is {silent[0]}, which {needs.mpi.implementation} does not speak without "
                f"lib{silent[0]}.so: each rank would be alone"
            )
            self.contradicts("pmi", message, f"write pmi: [{own}]")
        return needs if needs.pmi else replace(needs, pmi=(own,))

    def _version(self, implementation: str) -> str:
        names = _MPI_PACKAGES.get(implementation, ())
        for component in self.sbom.components:
            if component.kind is Kind.DEBIAN and component.name.startswith(names):
                found = _UPSTREAM.match(component.version)
                if found:
                    return found[1]
        return ""


def complete_needs(recipe: Recipe, sbom: Sbom) -> Needs | None:
    """Return what the image of a recipe needs; None where the recipe says nothing about it.

    Raises:
        RecipeError: the recipe says what its files contradict, each with its place.
    """
    if recipe.needs is None:
        return None
    completion = _Completion(recipe.needs, sbom.programs, sbom, [])
    needs = completion.cpu()
    for step in (completion.kernel, completion.cuda, completion.mpi, completion.pmi):
        needs = step(needs)
    if completion.faults:
        raise RecipeError(
            f"the image of {recipe.name} is not what {recipe.file} says of its needs",
            hint="a node would be chosen by what is wrong",
            code="recipe/needs-contradiction",
            diagnostics=completion.faults,
        )
    return needs


def check_needs(image: BuiltImage, recipe: Recipe, *, progress: Progress = silent) -> Needs | None:
    """Return what an image that was built here needs: see ``complete_needs``.

    Raises:
        RecipeError: the recipe says what the image contradicts.
        DocumentError: a layer is not one.
    """
    from imagekit.sbom.sbom import catalogue_image

    if recipe.needs is None:
        return None
    return complete_needs(recipe, catalogue_image(image, recipe, progress=progress))
