"""A container that would be one of several MPI ranks is not started."""

from pathlib import Path

import pytest

from tests.support.command import imagekit, signed_image

pytestmark = pytest.mark.real


def test_run_starts_no_task_of_several(tmp_path: Path) -> None:
    """Each would be rank 0 of 1, and end with 0; one task alone is run."""
    signed_image(tmp_path, "entrypoint: [/bin/sh, -c, 'echo rank 0 of 1']")
    words = ("run", "oci:out:tiny:1.0.0", "--policy", "p.yaml")

    alone = imagekit(tmp_path, *words, SLURM_NTASKS="1")
    several = imagekit(tmp_path, *words, SLURM_STEP_ID="0", SLURM_NTASKS="2")

    assert (alone.returncode, alone.stdout) == (0, "rank 0 of 1\n"), alone.stderr
    assert (several.returncode, several.stdout) == (2, "")
    assert "SLURM_NTASKS" in several.stderr
