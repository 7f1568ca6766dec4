"""``needs:`` of a recipe: what the image needs of the node that runs it."""

from typing import Any

from msgspec import Struct

from imagekit.documents.place import SourcePlace
from imagekit.documents.report import Report
from imagekit.documents.scalars import Choice, ListOf, Text, plain
from imagekit.documents.shape import Field, Record, Values, item
from imagekit.needs.needs import (
    CONFIG,
    CPU_LEVELS,
    DEVICE,
    MAX_LISTED,
    MPI_NAMES,
    PMI_NAMES,
    VERSION,
    Kernel,
    Mpi,
    Needs,
)


class StatedNeeds(Struct, frozen=True, kw_only=True):
    """What a recipe says of the node, and where it says it."""

    needs: Needs
    place: SourcePlace
    places: tuple[tuple[str, SourcePlace], ...] = ()
    """Of each key that stands there, by its name."""

    def place_of(self, key: str) -> SourcePlace:
        """Return the place of a key, or that of the whole where it does not stand."""
        return dict(self.places).get(key, self.place)


def _version(name: str, *examples: str) -> Text[str]:
    return plain(f"{name}: one to three numbers", pattern=VERSION, max_length=17, examples=examples)


_MPI: Record[Mpi] = Record(
    "what is said of MPI",
    {
        "implementation": item(
            Choice("the implementation", MPI_NAMES),
            "what the programs are linked to",
            required=True,
        ),
        "version": item(
            _version("its version", "4.1"),
            "as many numbers of its version as matter",
            default="",
        ),
    },
    make=lambda v: Mpi(implementation=v["implementation"], version=v["version"]),
    aliases={"name": "implementation"},
)
_KERNEL: Record[Kernel] = Record(
    "what is said of the kernel",
    {
        "minimum": item(_version("a version of Linux", "5.15"), "the oldest that does", default=""),
        "config": item(
            ListOf(
                plain(
                    "an option of the kernel, without CONFIG_",
                    pattern=CONFIG,
                    examples=("USER_NS", "FUSE_FS"),
                ),
                max_items=MAX_LISTED,
            ),
            "options that must be built in or modules",
            default=(),
        ),
    },
    make=lambda v: Kernel(minimum=v["minimum"], config=v["config"]),
    aliases={"version": "minimum", "features": "config"},
)


def _stated_once(values: Values, report: Report) -> None:
    """Refuse a list that says something twice: one of the two was meant to be another."""
    for key in ("pmi", "devices"):
        listed: tuple[str, ...] = values.get(key) or ()
        if len(set(listed)) < len(listed):
            report.error(values.value(key), "twice", f"`{key}` lists something twice")


def _make(values: Values) -> StatedNeeds:
    said: dict[str, Any] = {key: values[key] for key in _FIELDS if key in values}
    return StatedNeeds(
        needs=Needs(**said),
        place=values.place,
        places=tuple(
            (key, values.report.place(values.key(key))) for key in _FIELDS if key in values
        ),
    )


_FIELDS: dict[str, Field[Any]] = {
    "mpi": item(_MPI, "the MPI that the programs are linked to"),
    "pmi": item(
        ListOf(Choice("a way to wire ranks up", PMI_NAMES), min_items=1, max_items=len(PMI_NAMES)),
        "how ranks find each other where srun starts them; one of these suffices",
        default=(),
    ),
    "cpu": item(Choice("the level of the processor", CPU_LEVELS), "the lowest level", default=""),
    "glibc": item(
        _version("a version of glibc", "2.31"),
        "the node's oldest, for programs that it starts outside of the container",
        default="",
    ),
    "cuda": item(
        _version("a version of CUDA", "12.2"), "the oldest that the driver supports", default=""
    ),
    "kernel": item(_KERNEL, "what the node's kernel must be"),
    "devices": item(
        ListOf(
            plain(
                "a device by its CDI name: VENDOR/CLASS=NAME, or VENDOR/CLASS for any",
                pattern=DEVICE,
                max_length=300,
                examples=("nvidia.com/gpu=all",),
            ),
            max_items=MAX_LISTED,
        ),
        "devices that the node must have",
        default=(),
    ),
}
NEEDS: Record[StatedNeeds] = Record(
    "what the image needs of its node",
    _FIELDS,
    make=_make,
    rules=(_stated_once,),
    aliases={
        "device": "devices",
        "cdi": "devices",
        "microarchitecture": "cpu",
        "arch": "cpu",
        "gpu": "cuda",
        "libc": "glibc",
    },
)
