"""Whether a container would be one task of several, which cannot find each other."""

from collections.abc import Mapping

from imagekit.documents.digits import decimal
from imagekit.errors import InputError

_COUNTS = (
    # Slurm's srun, sbatch and salloc.
    *("SLURM_NTASKS", "SLURM_STEP_NUM_TASKS"),
    # Launchers that speak PMI, Open MPI's mpirun, MVAPICH's, and Flux.
    *("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "FLUX_JOB_SIZE"),
)


def refuse_tasks(environ: Mapping[str, str]) -> None:
    """Refuse to run as one of several tasks.

    The containers of ``podman run`` share neither memory nor process numbers, nor does the
    launcher's PMI reach into them. Each is rank 0 of 1 for MPI, and ends with 0: a wrong result
    without an error.

    Args:
        environ: the environment that a launcher made.

    Raises:
        InputError: there are several tasks, or their number is not known.
    """
    for name in _COUNTS:
        stated = environ.get(name, "").strip()
        if stated and decimal(stated, most=9) != 1:
            raise InputError(
                f"{name}={stated[:40]!a}: this is one of several tasks, whose containers cannot "
                "find each other: each would be rank 0 of 1",
                hint="start one container, whose own mpirun starts the ranks (srun -n 1 -c CORES "
                "imagekit run ...); for tasks that do not talk to each other use a job array, or "
                f"env -u {name}",
                code="run/no-wire-up",
            )
