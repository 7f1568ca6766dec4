"""What the ELF files of an image show of what it needs: by their notes and by their names."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct, field

from imagekit.needs.elf import ElfNotes

# By the names that the loader looks for: Open MPI counts its ABI on its own, and MPICH, Intel MPI
# and others share that of the MPICH ABI Compatibility Initiative.
_LIBRARIES = {
    "openmpi": re.compile(r"libmpi\.so\.(?:[2-9]\d)(?:\.\d+)*"),
    "mpich": re.compile(r"libmpich\.so\.\d+(?:\.\d+)*|libmpi\.so\.12(?:\.\d+)*"),
    "pmix": re.compile(r"libpmix\.so\.\d+(?:\.\d+)*"),
    "pmi2": re.compile(r"libpmi2\.so\.\d+(?:\.\d+)*"),
}
_CUDA = re.compile(r"libcudart\.so\.(\d{1,3})(?:\.\d+)*")
# ld.so takes from such folders what fits the processor; the rest is for any.
_CHOSEN_BY_LOADER = "glibc-hwcaps"
_NOTHING: Mapping[str, str] = MappingProxyType({})


class ElfNeeds(Struct, frozen=True, kw_only=True):
    """What programs and libraries need, each with a file that shows it."""

    level: int = 0
    """The highest level of x86-64 that one of them demands; 0 where none says any."""
    level_file: str = ""
    kernel: tuple[int, ...] = ()
    """The newest of the oldest kernels that they were built for."""
    kernel_file: str = ""
    libraries: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """``openmpi``, ``mpich``, ``pmix`` and ``pmi2``, where there is such a library."""
    cuda: int = 0
    """The highest major version of CUDA whose runtime is there."""
    cuda_file: str = ""


def programs(files: Mapping[str, ElfNotes]) -> ElfNeeds:
    """Return what all ELF files of an image need together."""
    every = sorted(files.items())
    fixed = [item for item in every if _CHOSEN_BY_LOADER not in item[0].split("/")]
    level_file, level = max(fixed, key=lambda item: item[1].level, default=("", ElfNotes()))
    kernel_file, kernel = max(every, key=lambda item: item[1].kernel, default=("", ElfNotes()))
    libraries: dict[str, str] = {}
    cuda, cuda_file = 0, ""
    for path, _ in every:
        name = path.rpartition("/")[2]
        for word, pattern in _LIBRARIES.items():
            if word not in libraries and pattern.fullmatch(name):
                libraries[word] = path
        runtime = _CUDA.fullmatch(name)
        if runtime and int(runtime[1]) > cuda:
            cuda, cuda_file = int(runtime[1]), path
    return ElfNeeds(
        level=level.level,
        level_file=level_file if level.level else "",
        kernel=kernel.kernel,
        kernel_file=kernel_file if kernel.kernel else "",
        libraries=MappingProxyType(libraries),
        cuda=cuda,
        cuda_file=cuda_file,
    )
