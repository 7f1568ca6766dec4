"""A graph as job arrays: what waits for what, and what is left where Slurm refuses."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from imagekit.errors import InputError, ToolError
from imagekit.graph.export.slurm_jobs import SlurmOptions, arrays, submit, write_scripts
from imagekit.graph.export.work_plan import PublishTask, WorkPlan


def task(name: str, *bases: str) -> PublishTask:
    """Return a recipe of the plan."""
    return PublishTask(name=name, version="1", path=f"recipes/{name}", bases=bases)


PLAN = WorkPlan(
    levels=(
        (task("base"), task("lone")),
        (task("a", "base"), task("c", "base", "lone"), task("b", "base")),
        (task("top", "c"),),
    ),
    paths=("recipes",),
    destination="r.example.org/apps",
    options=("--key", "a key"),
)


class Slurm:
    """Takes jobs, and keeps their words."""

    def __init__(self, *, answer: str = "{number}") -> None:
        self.answer = answer
        self.jobs: list[list[str]] = []

    def __call__(self, words: Sequence[str]) -> str:
        """Take a job."""
        self.jobs.append(list(words))
        return self.answer.format(number=100 + len(self.jobs)) + "\n"


def options(folder: Path, **more: object) -> SlurmOptions:
    """Return options with a folder."""
    return SlurmOptions(folder=folder / "run", imagekit=("python", "-m", "imagekit"), **more)  # type: ignore[arg-type]  # one test's own


def test_recipes_of_one_level_on_the_same_bases_are_one_array() -> None:
    """So that a failure cancels what stands on it, and nothing else."""
    found = [([t.name for t in array.tasks], array.bases) for array in arrays(PLAN)]

    assert found == [
        (["base", "lone"], ()),
        (["a", "b"], ("base",)),
        (["c"], ("base", "lone")),
        (["top"], ("c",)),
    ]


def test_each_array_waits_for_the_tasks_it_stands_on(tmp_path: Path) -> None:
    """And the summary for all of them, however they end."""
    slurm = Slurm()

    work = submit(PLAN, options(tmp_path, jobs=2, sbatch=("--partition=b",)), slurm)

    waits = [[w for w in job if w.startswith("--dependency")] for job in slurm.jobs]
    assert waits == [
        [],
        ["--dependency=afterok:101_1"],
        ["--dependency=afterok:101_1:101_2"],
        ["--dependency=afterok:103_1"],
        ["--dependency=afterany:101:102:103:104"],
    ]
    assert all("--kill-on-invalid-dep=yes" in job for job in slurm.jobs[:-1])
    assert all("--partition=b" in job for job in slurm.jobs)
    assert "--array=1-2%2" in slurm.jobs[1]
    assert (work.tasks["b"], work.summary) == ("102_2", "105")


@pytest.mark.parametrize("answer", ["", "error", "12x", "Submitted batch job 3", "{number};c"])
def test_what_is_no_number_is_no_job(tmp_path: Path, answer: str) -> None:
    """Behind a semicolon stands the cluster's name."""
    if answer.endswith(";c"):
        assert submit(PLAN, options(tmp_path), Slurm(answer=answer)).summary == "105"
        return
    with pytest.raises(ToolError, match="no number of a job"):
        submit(PLAN, options(tmp_path), Slurm(answer=answer))


def test_the_scripts_quote_what_they_are_told(tmp_path: Path) -> None:
    """A folder and an option are words, whatever is in them."""
    odd = tmp_path / "a $(touch ran) b"

    write_scripts(PLAN, options(odd))

    script = (odd / "run/task.sh").read_text()
    assert "publish --to r.example.org/apps --key 'a key' --json \"$recipe\"" in script
    assert f"> '{odd}/run'/outcomes/" in script
    assert (odd / "run/array-2.txt").read_text() == "recipes/a\nrecipes/b\n"


def test_a_folder_that_is_there_is_not_written_into(tmp_path: Path) -> None:
    """Outcomes of another run would be taken for those of this one."""
    (tmp_path / "run").mkdir()

    with pytest.raises(InputError, match="File exists"):
        write_scripts(PLAN, options(tmp_path))


def test_a_folder_that_slurm_would_read_otherwise_is_refused(tmp_path: Path) -> None:
    """A percent sign begins a pattern in the names of logs."""
    with pytest.raises(InputError, match="names of Slurm's logs"):
        write_scripts(PLAN, options(tmp_path / "100%a"))
