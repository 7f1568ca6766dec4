"""Tasks of a launcher: they are wired up, or refused where MPI would be wrong in silence."""

import pytest

from imagekit.cli.main import main
from imagekit.errors import InputError, UsageError
from imagekit.hosts.mpi import ImageMpi, Mode, Ranks, find_launch, without_wiring
from imagekit.hosts.run_options import RunOptions

COUNTS = ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "FLUX_JOB_SIZE"]
STEP = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}
TWO = STEP | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2"}
PMIX = TWO | {
    "PMIX_RANK": "0",
    "PMIX_NAMESPACE": "slurm.pmix.7.0",
    "PMIX_SERVER_TMPDIR": "/var/spool/node1/spmix.7.0",
    "PMIX_DSTORE_21_BASE_PATH": "/tmp/pmix_dstor",
    "SLURM_MPI_TYPE": "pmix_v4",
}
PMI2 = TWO | {"SLURM_MPI_TYPE": "pmi2", "PMI_FD": "17", "PMI_RANK": "0", "PMI_SIZE": "2"}
NONE = TWO | {"SLURM_MPI_TYPE": "none"}
OPENMPI = ImageMpi.of({"org.supercontainers.mpi.implementation": "openmpi"}, ["mpirun"])
MPICH = ImageMpi.of({"org.supercontainers.mpi.implementation": "mpich"}, ["/usr/bin/mpirun.mpich"])
SILENT = ImageMpi.of({}, ["/usr/bin/app"])
NOTHING = RunOptions()


def _ranks(environ: dict[str, str], mode: Mode = "auto") -> Ranks:
    return Ranks(mode=mode, launch=find_launch(environ))


def _options(environ: dict[str, str], image: ImageMpi, mode: Mode = "auto") -> RunOptions:
    ranks = _ranks(environ, mode)
    ranks.refuse()
    return ranks.options(NOTHING, image, ["hello-mpi"])


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("count", ["2", "1000000", "0", "-1", "x", "1.5", "9" * 30])
def test_several_tasks_without_a_wire_up_are_refused(name: str, count: str) -> None:
    """By each launcher; and so is a number that cannot be read."""
    with pytest.raises(InputError, match="rank 0 of 1") as caught:
        _ranks({name: count}).refuse()

    assert name in caught.value.message
    assert caught.value.code == "run/no-wire-up"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        STEP | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "1"},
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2"},
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": ""},
        PMIX | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "1"},
    ],
    ids=["none", "a step of one", "sbatch's script", "unset", "one with PMIx"],
)
def test_one_task_starts_its_own_ranks(environ: dict[str, str]) -> None:
    """The script of a batch job is one task, whatever the job's steps may have."""
    assert not _ranks(environ).several
    assert _options(environ, OPENMPI) == NOTHING


def test_ranks_of_pmix_share_what_they_meet_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher's variables and folders, the user's id and the host's process numbers."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    options = _options(PMIX, OPENMPI)

    assert options.volumes == (
        "/tmp:/tmp",
        "/dev/shm:/dev/shm",
        "/var/spool/node1/spmix.7.0:/var/spool/node1/spmix.7.0",
    )
    assert {"PMIX_RANK", "PMIX_NAMESPACE", "SLURM_STEP_ID"} <= set(options.env)
    assert (options.userns, options.host_processes) == ("keep-id", True)
    assert (options.entrypoint, options.descriptor) == ("", None)


def test_ranks_of_pmi2_get_the_socket_as_their_third_descriptor() -> None:
    """Podman hands on those that follow the standard ones."""
    options = _options(PMI2, MPICH)

    assert options.descriptor == 17
    assert options.env.index("PMI_FD=3") > options.env.index("PMI_FD")


def test_what_the_caller_chose_comes_after_what_is_needed() -> None:
    """So that it counts."""
    chosen = RunOptions(volumes=("/data:/tmp",), env=("PMI_FD=9",), userns="host", entrypoint="/x")

    options = _ranks(PMI2).options(chosen, MPICH, [])

    assert options.volumes[-1] == "/data:/tmp"
    assert options.env[-1] == "PMI_FD=9"
    assert (options.userns, options.entrypoint) == ("host", "/x")


@pytest.mark.parametrize(
    ("environ", "image", "mode", "words"),
    [
        # Two singletons and exit code 0, where nobody refuses.
        (PMIX, MPICH, "auto", ("offers pmix", "mpich, which speaks pmi2", "--mpi=pmi2")),
        (PMIX, MPICH, "pmix", ("offers pmix", "mpich, which speaks pmi2", "--mpi=pmi2")),
        (PMI2, OPENMPI, "auto", ("offers pmi2", "openmpi, which speaks pmix", "--mpi=pmix")),
        (PMIX, SILENT, "auto", ("does not say which MPI", "--mpi pmix")),
        (NONE, OPENMPI, "none", ("neither pmix nor pmi2", "openmpi, which speaks pmix")),
        (PMIX, OPENMPI, "none", ("offers pmix", "openmpi, which speaks pmix")),
    ],
)
def test_two_sides_that_do_not_meet_are_both_named(
    environ: dict[str, str], image: ImageMpi, mode: Mode, words: tuple[str, ...]
) -> None:
    """Before anything computes, with what would work."""
    ranks = _ranks(environ, mode)
    ranks.refuse()

    with pytest.raises(InputError) as caught:
        ranks.options(NOTHING, image, ["hello-mpi"])

    said = f"{caught.value.message}\n{caught.value.hint}"
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("environ", "mode"), [(NONE, "auto"), (NONE, "pmix"), (PMI2, "pmix"), (PMIX, "pmi2")]
)
def test_what_no_image_could_mend_is_refused_at_once(environ: dict[str, str], mode: Mode) -> None:
    """Without a look at the image."""
    with pytest.raises(InputError, match="launcher offers"):
        _ranks(environ, mode).refuse()


def test_who_knows_the_image_better_says_so() -> None:
    """An image that says nothing, and tasks that do not talk."""
    assert _options(PMIX, SILENT, "pmix").host_processes
    assert _options(NONE, SILENT, "none") == NOTHING


def test_a_rank_that_would_start_ranks_has_to_be_told_what_to_run() -> None:
    """The command of such an image is one of its entrypoint."""
    with pytest.raises(UsageError, match="starts ranks by itself"):
        _ranks(PMIX).options(NOTHING, OPENMPI, [])


def test_engines_that_hand_nothing_on_refuse() -> None:
    """But for tasks that do not talk."""
    with pytest.raises(InputError, match="docker hands no wire-up on"):
        without_wiring("auto", find_launch(PMIX), "docker")
    without_wiring("none", find_launch(PMIX), "docker")
    without_wiring("auto", find_launch({}), "docker")


def test_mpirun_of_hydra_is_no_pmi2() -> None:
    """It speaks PMI-1 on its socket."""
    launch = find_launch({"PMI_FD": "17", "PMI_RANK": "0", "PMI_SIZE": "2"})

    assert (launch.tasks, launch.pmi, launch.descriptor) == (2, "", None)
    assert launch.folders == ("/tmp", "/dev/shm")


def test_a_folder_in_another_is_mounted_with_it() -> None:
    """A user's runc cannot make the mount point of a second one."""
    folder = "/var/spool/slurmd/pmix.4.0"
    stated = {
        "PMIX_SERVER_TMPDIR": folder,
        "PMIX_DSTORE_21_BASE_PATH": f"{folder}/pmix_dstor_21",
        "PMIX_DSTORE_ESH_BASE_PATH": "/tmp/pmix",
        "SLURM_PMIX_TMPDIR": "/scratch/steps",
    }

    folders = find_launch({**PMIX, **stated}).folders

    assert folders == ("/tmp", "/dev/shm", folder, "/scratch/steps")


@pytest.mark.parametrize("words", [["oci:x:y:1"], ["--staged", "x"]], ids=lambda words: words[0])
def test_run_refuses_before_it_asks_anybody(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no policy here, and it is not missed."""
    for name, value in NONE.items():
        monkeypatch.setenv(name, value)

    assert main(["run", *words, "--policy", "none.yaml"]) == 2
    assert "SLURM_STEP_NUM_TASKS" in capsys.readouterr().err
