"""A graph of recipes as job arrays of Slurm (sbatch(1)), which runs it.

Recipes of one level that stand on the same ones are the tasks of one array, which begins when those
have succeeded (``afterok``). What stands on a failure is cancelled (``--kill-on-invalid-dep``), and
all else goes on. A last job makes the table when all have ended (``afterany``).
"""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from msgspec import Struct

from imagekit.errors import InputError, ToolError
from imagekit.files import write_output
from imagekit.graph.export.work_plan import PublishTask, WorkPlan, plan_bytes

Submit = Callable[[Sequence[str]], str]
"""Runs ``sbatch`` with these arguments, and returns what it printed."""
_KILL = ("--kill-on-invalid-dep=yes",)
MAX_ARRAY = 1000
"""Most tasks of one array: what slurm.conf's MaxArraySize allows by default (slurm.conf(5))."""
_SCRIPT = """\
#!/bin/sh
# One task of an array: publishes the recipe in its line of the list.
set -eu
recipe=$(sed -n "${SLURM_ARRAY_TASK_ID}p" "$1")
exec %(imagekit)s publish %(options)s --json "$recipe" \\
  > %(folder)s/outcomes/"$SLURM_ARRAY_JOB_ID-$SLURM_ARRAY_TASK_ID".json
"""
_SUMMARY = """\
#!/bin/sh
# When all have ended: what came of each; the file is there when it is whole.
status=0
%(imagekit)s ci summary %(folder)s/outcomes --plan %(folder)s/plan.json \\
  > %(folder)s/summary.part || status=$?
mv %(folder)s/summary.part %(folder)s/summary.txt
exit $status
"""


class SlurmOptions(Struct, frozen=True, kw_only=True):
    """How the work is submitted."""

    folder: Path
    """Where lists, logs and outcomes lie: seen by all nodes, and not there before."""
    imagekit: tuple[str, ...]
    """The command of imagekit, as the nodes find it."""
    jobs: int = 0
    """How many tasks of one array run at once; 0 for as many as there is room for."""
    sbatch: tuple[str, ...] = ()
    """Further options of sbatch, such as ``--partition=build``."""


class SlurmArray(Struct, frozen=True, kw_only=True):
    """Recipes that begin together."""

    tasks: tuple[PublishTask, ...]
    bases: tuple[str, ...]
    """The names of the recipes that all of them stand on."""


class SubmittedWork(Struct, frozen=True, kw_only=True):
    """What Slurm was given."""

    tasks: Mapping[str, str]
    """The job of each recipe, by its name: ``JOB_TASK``."""
    summary: str
    """The job that makes the table."""


def arrays(plan: WorkPlan) -> tuple[SlurmArray, ...]:
    """Return the arrays of a plan, each behind those that it waits for."""
    return tuple(array for level in plan.levels for array in _of_level(level))


def write_scripts(plan: WorkPlan, options: SlurmOptions) -> None:
    """Write the scripts and the lists that jobs read.

    Raises:
        InputError: the folder is there already, cannot be made, or has a name that cannot be used.
    """
    folder = options.folder
    if not str(folder).isprintable() or {"%", "\\"} & set(str(folder)):
        raise InputError(
            f"{str(folder)!r:.200} has a character that has a meaning in names of Slurm's logs",
            hint="name another folder: --folder DIR",
            code="ci/folder",
        )
    try:
        folder.mkdir(parents=True)
        (folder / "outcomes").mkdir()
        (folder / "logs").mkdir()
        words = {
            "imagekit": shlex.join(options.imagekit),
            "options": plan.publish_options,
            "folder": shlex.quote(str(folder)),
        }
        write_output(folder / "task.sh", (_SCRIPT % words).encode())
        write_output(folder / "plan.json", plan_bytes(plan))
        write_output(folder / "summary.sh", (_SUMMARY % words).encode())
        for number, array in enumerate(arrays(plan), 1):
            lines = "".join(f"{task.path}\n" for task in array.tasks)
            write_output(folder / f"array-{number}.txt", lines.encode())
    except OSError as error:
        raise InputError(
            f"{folder}: {error.strerror}",
            hint="name a folder that is not there yet, and that all nodes see: --folder DIR",
            code="ci/folder",
        ) from error


def commands(plan: WorkPlan, options: SlurmOptions) -> Iterator[tuple[SlurmArray, list[str]]]:
    """Yield each array with the options of its sbatch, but for what it waits for."""
    folder = options.folder
    for number, array in enumerate(arrays(plan), 1):
        at_once = f"%{options.jobs}" if options.jobs else ""
        yield (
            array,
            [
                f"--array=1-{len(array.tasks)}{at_once}",
                f"--job-name=imagekit-{number}",
                f"--output={folder}/logs/%A-%a.log",
                *options.sbatch,
                f"{folder}/task.sh",
                f"{folder}/array-{number}.txt",
            ],
        )


def submit(plan: WorkPlan, options: SlurmOptions, sbatch: Submit) -> SubmittedWork:
    """Give a plan to Slurm.

    Args:
        plan: what is to be done.
        options: how.
        sbatch: gives one job to Slurm.

    Raises:
        ToolError: Slurm refused a job, or answered with no number; what it had taken before waits
            for what will never come, and is cancelled by Slurm.
    """
    tasks: dict[str, str] = {}
    for array, words in commands(plan, options):
        waits = [f"--dependency=afterok:{':'.join(tasks[name] for name in array.bases)}"]
        job = _number(sbatch(["--parsable", *_KILL, *(waits if array.bases else []), *words]))
        for place, task in enumerate(array.tasks, 1):
            tasks[task.name] = f"{job}_{place}"
    jobs = dict.fromkeys(task.partition("_")[0] for task in tasks.values())
    last = [
        f"--dependency=afterany:{':'.join(jobs)}",
        "--job-name=imagekit-summary",
        f"--output={options.folder}/logs/summary.log",
        *options.sbatch,
        f"{options.folder}/summary.sh",
    ]
    return SubmittedWork(tasks=tasks, summary=_number(sbatch(["--parsable", *last])))


def _of_level(level: Sequence[PublishTask]) -> Iterator[SlurmArray]:
    for bases, tasks in groupby(sorted(level, key=_bases), key=_bases):
        together = tuple(tasks)
        for start in range(0, len(together), MAX_ARRAY):
            yield SlurmArray(tasks=together[start : start + MAX_ARRAY], bases=bases)


def _bases(task: PublishTask) -> tuple[str, ...]:
    return task.bases


def _number(said: str) -> str:
    # sbatch(1), --parsable: the number of the job, and behind a semicolon the cluster's name.
    number = said.strip().partition(";")[0]
    if not (number.isascii() and number.isdigit()):
        raise ToolError(f"sbatch printed {said[:80]!r}, which is no number of a job")
    return number
