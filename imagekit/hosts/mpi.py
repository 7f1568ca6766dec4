"""MPI under a launcher: which tasks become ranks of one program, and which would be wrong.

A launcher such as Slurm's srun starts each task by itself. Its ranks find each other by PMIx or
PMI-2, which the launcher has to offer and the MPI of the image has to speak. Where the two do not
meet, MPI takes each task for a program of its own: rank 0 of 1, exit code 0, and a wrong result. So
that is refused before anything is computed.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from imagekit.documents.digits import decimal
from imagekit.errors import InputError, UsageError
from imagekit.hosts.run_options import RunOptions
from imagekit.needs.compatibility import MPI_LABEL
from imagekit.needs.needs import OWN_PMI, PmiName

Mode = Literal["auto", "pmix", "pmi2", "none"]
MODES: tuple[Mode, ...] = get_args(Mode)
_CODE = "run/no-wire-up"
_COUNTS = (
    # Launchers that speak PMI, Open MPI's mpirun, MVAPICH's, and Flux.
    *("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "FLUX_JOB_SIZE"),
)
_HANDED_ON = ("PMIX_", "PMI_", "SLURM_", "SLURMD_")
"""What begins so belongs to the launcher, and says nothing of this user."""
_PMIX_FOLDERS = (
    *("PMIX_SERVER_TMPDIR", "PMIX_DSTORE_21_BASE_PATH", "PMIX_DSTORE_ESH_BASE_PATH"),
    # Where Slurm's plugin makes the folder of each step for its ranks, in the place of TmpFS.
    "SLURM_PMIX_TMPDIR",
)
_SHARED = ("/tmp", "/dev/shm")  # noqa: S108 - the host's own, which ranks meet in
_STARTERS = frozenset({"mpirun", "mpiexec", "mpiexec.hydra", "orterun", "prterun"})
"""Entrypoints that would start ranks of their own within each rank."""
_ONE_CONTAINER = "one container whose own mpirun starts the ranks: srun -n 1 -c CORES"


class Launch(Struct, frozen=True, kw_only=True):
    """What a launcher made of this process."""

    tasks: int = 1
    """How many tasks were started with it, this one included; 0 where that cannot be told."""
    counted: str = ""
    """The variable that says so, with its value."""
    pmi: PmiName | Literal[""] = ""
    """How the tasks can find each other."""
    names: tuple[str, ...] = ()
    """The launcher's variables."""
    folders: tuple[str, ...] = ()
    """What tasks of one node share."""
    descriptor: int | None = None
    """The open socket to the launcher, of PMI-2."""

    @property
    def several(self) -> bool:
        """Whether this may be one task of several."""
        return self.tasks != 1


class ImageMpi(Struct, frozen=True, kw_only=True):
    """What an image says of its MPI."""

    implementation: str = ""
    pmi: tuple[PmiName, ...] = ()
    """How its ranks find each other; empty where it does not say."""
    starter: str = ""
    """Its entrypoint, where that starts ranks by itself."""

    @classmethod
    def of(cls, labels: Mapping[str, str], entrypoint: Sequence[str]) -> "ImageMpi":
        """Return what the image's labels say, which its recipe's ``needs`` wrote."""
        name = labels.get(MPI_LABEL, "")
        spoken = OWN_PMI.get(name)
        first = entrypoint[0] if entrypoint else ""
        starts = first.rpartition("/")[2].removesuffix(".mpich") in _STARTERS
        return cls(
            implementation=name, pmi=(spoken,) if spoken else (), starter=first if starts else ""
        )

    @property
    def shown(self) -> str:
        """For messages."""
        return f"{self.implementation}, which speaks {' or '.join(self.pmi)}"


def find_launch(environ: Mapping[str, str]) -> Launch:
    """Return what a launcher made of this process, by the environment that it set."""
    name = _counting(environ)
    stated = environ.get(name, "").strip()
    pmi = _offered(environ)
    named = (environ.get(variable, "") for variable in _PMIX_FOLDERS)
    folders = [text for text in named if text.startswith("/")] if pmi == "pmix" else []
    return Launch(
        tasks=_number(stated),
        counted=f"{name}={stated[:40]!a}" if stated else "",
        pmi=pmi,
        names=tuple(sorted(name for name in environ if name.startswith(_HANDED_ON))),
        folders=_outermost((*_SHARED, *folders)),
        descriptor=decimal(environ["PMI_FD"], most=6) if pmi == "pmi2" else None,
    )


class Ranks(Struct, frozen=True, kw_only=True):
    """What was asked for, and what the launcher offers."""

    mode: Mode = "auto"
    launch: Launch = Launch()

    @property
    def several(self) -> bool:
        """Whether it has to be known what the image speaks."""
        return self.launch.several or self.mode in {"pmix", "pmi2"}

    def refuse(self) -> None:
        """Refuse what no image could mend.

        Raises:
            InputError: the tasks would not find each other (code ``run/no-wire-up``).
        """
        if self.mode != "none" and not (self.mode == "auto" and self.launch.pmi):
            choose(self.mode, self.launch, ImageMpi())

    def meets(self, image: ImageMpi) -> bool:
        """Return whether the container is to be wired up as one rank.

        Raises:
            InputError: the tasks would not find each other (code ``run/no-wire-up``).
        """
        return bool(choose(self.mode, self.launch, image))

    def wired(self, options: RunOptions) -> RunOptions:
        """Return the options of a container whose image is asked only where it starts."""
        wanted = self.several and self.mode != "none"
        return wired(options, self.launch) if wanted else options

    def options(self, options: RunOptions, image: ImageMpi, arguments: Sequence[str]) -> RunOptions:
        """Return the options of a container that is one rank.

        Args:
            options: what the caller chose; it comes after what is needed.
            image: what the image says of its MPI.
            arguments: what the caller wants it to run.

        Raises:
            InputError: the tasks would not find each other (code ``run/no-wire-up``).
            UsageError: nothing says what each rank is to run.
        """
        if not self.meets(image):
            return options
        entrypoint = of_each_rank(options.entrypoint, image, arguments)
        return wired(replace(options, entrypoint=entrypoint), self.launch)


def choose(mode: Mode, launch: Launch, image: ImageMpi) -> PmiName | Literal[""]:
    """Return how the tasks are to find each other; empty where they need not.

    Args:
        mode: what the caller asked for.
        launch: what the launcher offers.
        image: what the image speaks.

    Raises:
        InputError: the tasks would not find each other (code ``run/no-wire-up``).
    """
    if mode in {"pmix", "pmi2"} and launch.pmi != mode:
        raise InputError(
            f"--mpi {mode}, and the launcher offers {launch.pmi or 'neither pmix nor pmi2'}",
            hint=f"srun --mpi={mode} imagekit run ...",
            code=_CODE,
        )
    if not launch.several:
        return launch.pmi if mode in {"pmix", "pmi2"} else ""
    if mode == "none" and not image.implementation:
        return ""
    if mode == "none" or not launch.pmi:
        raise _singletons(launch, image)
    return _met(mode, launch.pmi, image)


def wired(options: RunOptions, launch: Launch) -> RunOptions:
    """Return the options of a container whose tasks find each other.

    Seen to be needed by Open MPI 4.1 and MPICH 4.0: the user's own id, the host's process numbers,
    and the folders in which tasks of one node share memory.

    Args:
        options: what the caller chose; it comes after what is needed.
        launch: what the launcher made.
    """
    descriptor = ("PMI_FD=3",) if launch.descriptor is not None else ()
    return replace(
        options,
        volumes=(*(f"{folder}:{folder}" for folder in launch.folders), *options.volumes),
        env=(*launch.names, *descriptor, *options.env),
        userns=options.userns or ("" if os.geteuid() == 0 else "keep-id"),
        host_processes=True,
        descriptor=launch.descriptor,
    )


def of_each_rank(entrypoint: str | None, image: ImageMpi, arguments: Sequence[str]) -> str | None:
    """Return what takes the place of an entrypoint that would start ranks within each rank.

    Args:
        entrypoint: what the caller chose in its place; None for nothing.
        image: what the image says.
        arguments: what the caller wants it to run.

    Raises:
        UsageError: nothing says what each rank is to run.
    """
    if entrypoint is not None or not image.starter:
        return entrypoint
    if not arguments:
        raise UsageError(
            f"the image's entrypoint is {image.starter}, which starts ranks by itself",
            hint="say what each rank runs: imagekit run ... -- PROGRAM",
        )
    return ""


def without_wiring(mode: Mode, launch: Launch, engine: str) -> None:
    """Refuse to be one task of several for an engine that cannot hand the wire-up on.

    Raises:
        InputError: it is one (code ``run/no-wire-up``).
    """
    if launch.several and mode != "none":
        raise InputError(
            f"{launch.counted}: this is one of several tasks, and {engine} hands no wire-up on: "
            "each would be rank 0 of 1",
            hint=f"leave --engine out; or {_ONE_CONTAINER}; or --mpi none, where tasks do not talk",
            code=_CODE,
        )


def _counting(environ: Mapping[str, str]) -> str:
    """Return the variable that says how many tasks there are."""
    # In the script of sbatch and the shell of salloc SLURM_NTASKS is what a step could have.
    if environ.get("SLURM_STEP_ID"):
        names: tuple[str, ...] = ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", *_COUNTS)
    else:
        names = _COUNTS
    several = (name for name in names if _number(environ.get(name, "")) != 1)
    return next(several, names[0])


def _number(stated: str) -> int:
    """Return how many tasks that is: 1 where nothing is stated, 0 where it cannot be read."""
    return (decimal(stated.strip(), most=9) or 0) if stated.strip() else 1


def _offered(environ: Mapping[str, str]) -> PmiName | Literal[""]:
    if environ.get("PMIX_RANK") and environ.get("PMIX_NAMESPACE"):
        return "pmix"
    # Hydra's own mpirun has such a socket, too, and speaks PMI-1 on it.
    if environ.get("SLURM_MPI_TYPE") == "pmi2" and decimal(environ.get("PMI_FD", ""), most=6):
        return "pmi2"
    return ""


def _outermost(folders: Sequence[str]) -> tuple[str, ...]:
    """Return the folders without those that lie in another: they are mounted with it.

    Mounted twice, the inner one is refused by a user's runc, who cannot make its mount point.
    """
    paths = list(dict.fromkeys(map(Path, folders)))
    return tuple(str(path) for path in paths if not any(other in path.parents for other in paths))


def _met(mode: Mode, offered: PmiName, image: ImageMpi) -> PmiName:
    if image.pmi and offered not in image.pmi:
        raise InputError(
            f"the launcher offers {offered}, and the image's MPI is {image.shown}: each task would "
            "be rank 0 of 1",
            hint=f"srun --mpi={image.pmi[0]} imagekit run ...",
            code=_CODE,
        )
    if not image.pmi and mode == "auto":
        raise InputError(
            f"the launcher offers {offered}, and the image does not say which MPI it has",
            hint=f"say it in its recipe (needs: {{mpi: ...}}), or --mpi {offered} if you know that "
            "its MPI speaks that; --mpi none, where the tasks do not talk to each other",
            code=_CODE,
        )
    return offered


def _singletons(launch: Launch, image: ImageMpi) -> InputError:
    offers = f"the launcher offers {launch.pmi or 'neither pmix nor pmi2'}"
    wanted = f", and the image's MPI is {image.shown}" if image.pmi else ""
    how = image.pmi[0] if image.pmi else "pmix"
    return InputError(
        f"{launch.counted}: this is one of several tasks, {offers}{wanted}: each would be rank 0 "
        "of 1",
        hint=f"srun --mpi={how} imagekit run ...; or {_ONE_CONTAINER}; or --mpi none, where the "
        "tasks do not talk to each other",
        code=_CODE,
    )
