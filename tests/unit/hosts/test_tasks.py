"""A container that would be one task of several is refused: MPI would be silently wrong."""

import pytest

from imagekit.cli.main import main
from imagekit.errors import InputError
from imagekit.hosts.tasks import refuse_tasks

NAMES = [
    "SLURM_NTASKS",
    "SLURM_STEP_NUM_TASKS",
    "PMI_SIZE",
    "OMPI_COMM_WORLD_SIZE",
    "MV2_COMM_WORLD_SIZE",
    "FLUX_JOB_SIZE",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", ["2", "1000000", "0", "-1", "x", "1.5", "9" * 30])
def test_several_tasks_are_refused(name: str, count: str) -> None:
    """By each launcher; and so is a number that cannot be read."""
    with pytest.raises(InputError, match="rank 0 of 1") as caught:
        refuse_tasks({name: count})

    assert f"env -u {name}" in caught.value.hint


@pytest.mark.parametrize("environ", [{}, {"SLURM_NTASKS": "1"}, {"SLURM_NTASKS": ""}], ids=str)
def test_one_task_is_none_of_several(environ: dict[str, str]) -> None:
    """As srun -n 1 makes it."""
    refuse_tasks(environ)


@pytest.mark.parametrize("words", [["oci:x:y:1"], ["--staged", "x"]], ids=lambda words: words[0])
def test_run_refuses_before_it_asks_anybody(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no policy here, and it is not missed."""
    monkeypatch.setenv("SLURM_NTASKS", "2")

    assert main(["run", *words, "--policy", "none.yaml"]) == 2
    assert "SLURM_NTASKS" in capsys.readouterr().err
