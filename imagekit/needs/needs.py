"""What an image needs of the node that runs it.

Only what a node can lack: the image brings its own C library, MPI and CUDA runtime. Each minimum
is that of the node, and where nothing is said, nothing is needed.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

VERSION = r"(?:0|[1-9][0-9]{0,4})(?:\.(?:0|[1-9][0-9]{0,4})){0,2}"
CONFIG = r"[A-Z0-9][A-Z0-9_]{0,99}"
# CDI specification, "Device naming": VENDOR/CLASS=NAME; without a name any device of the kind.
DEVICE = (
    r"[a-z0-9][a-z0-9.-]{0,99}\.[a-z]{2,30}/[A-Za-z][A-Za-z0-9_-]{0,99}"
    r"(?:=[A-Za-z0-9](?:[A-Za-z0-9_.:-]{0,99}[A-Za-z0-9])?)?"
)
MAX_LISTED = 64

MpiName = Literal["openmpi", "mpich", "intel-mpi"]
PmiName = Literal["pmix", "pmi2"]
CpuLevel = Literal["", "x86-64-v1", "x86-64-v2", "x86-64-v3", "x86-64-v4"]
MPI_NAMES: tuple[MpiName, ...] = get_args(MpiName)
PMI_NAMES: tuple[PmiName, ...] = get_args(PmiName)
CPU_LEVELS: tuple[CpuLevel, ...] = get_args(CpuLevel)[1:]
"""The levels of the x86-64 psABI, in their order; each includes those before it."""

# The same bounds hold for recipes and for what was signed, whoever signed it.
_Version = Annotated[str, Meta(pattern=rf"\A(?:{VERSION})?\Z", max_length=17)]
_Config = Annotated[str, Meta(pattern=rf"\A{CONFIG}\Z")]
_Device = Annotated[str, Meta(pattern=rf"\A{DEVICE}\Z", max_length=300)]


class Mpi(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The MPI that the image's programs are linked to."""

    implementation: MpiName
    version: _Version = ""
    """As many of its numbers as matter; empty for any."""


OWN_PMI: Mapping[str, PmiName] = MappingProxyType(
    {"openmpi": "pmix", "mpich": "pmi2", "intel-mpi": "pmi2"}
)
"""What each implementation speaks by itself; the other one only by a library beside it."""


class Kernel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the node's kernel must be."""

    minimum: _Version = ""
    config: Annotated[tuple[_Config, ...], Meta(max_length=MAX_LISTED)] = ()
    """Options that are built in or modules, without ``CONFIG_`` in front."""


class Needs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an image needs of its node."""

    mpi: Mpi | None = None
    pmi: Annotated[tuple[PmiName, ...], Meta(max_length=len(PMI_NAMES))] = ()
    """How its ranks find each other where a launcher starts them; any one of these suffices."""
    cpu: CpuLevel = ""
    glibc: _Version = ""
    """Minimum of the node's C library, for what of the image runs outside of the container."""
    cuda: _Version = ""
    """Minimum of what the node's driver supports."""
    kernel: Kernel = Kernel()
    devices: Annotated[tuple[_Device, ...], Meta(max_length=MAX_LISTED)] = ()
    """By their CDI names."""


FLAGS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "x86-64-v2": {
            "cx16": "CX16",
            "lahf_lm": "LAHF",
            "popcnt": "POPCNT",
            "pni": "SSE3",
            "sse4_1": "SSE4",
            "sse4_2": "SSE42",
            "ssse3": "SSSE3",
        },
        "x86-64-v3": {
            "avx": "AVX",
            "avx2": "AVX2",
            "bmi1": "BMI1",
            "bmi2": "BMI2",
            "f16c": "F16C",
            "fma": "FMA3",
            "abm": "LZCNT",
            "movbe": "MOVBE",
            "xsave": "OSXSAVE",
        },
        "x86-64-v4": {
            "avx512f": "AVX512F",
            "avx512bw": "AVX512BW",
            "avx512cd": "AVX512CD",
            "avx512dq": "AVX512DQ",
            "avx512vl": "AVX512VL",
        },
    }
)
"""What each level adds to the one before (x86-64 psABI, "Micro-Architecture Levels"): flags in the
words of Linux' /proc/cpuinfo, and in those of Node Feature Discovery."""


def flags_of(level: str) -> dict[str, str]:
    """Return the flags of a level and of all below it, except those that every x86-64 has."""
    wanted = CPU_LEVELS[: CPU_LEVELS.index(level) + 1] if level in CPU_LEVELS else ()
    return {flag: name for part in wanted for flag, name in FLAGS.get(part, {}).items()}


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version that matches ``VERSION``."""
    return tuple(int(part) for part in version.split("."))


def reaches(version: str, least: str) -> bool:
    """Return whether a version is at least another one; ``5.15`` and ``5.15.0`` are the same."""
    have, want = numbers(version), numbers(least)
    longest = max(len(have), len(want))
    return have + (0,) * (longest - len(have)) >= want + (0,) * (longest - len(want))
