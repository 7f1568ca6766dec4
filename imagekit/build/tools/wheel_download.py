"""Downloading wheels for an image's Python, by the host's pip."""

import sys
from collections.abc import Sequence
from pathlib import Path

from imagekit.build.wheels import ImagePython, no_wheels
from imagekit.errors import BuildError
from imagekit.process import Runner
from imagekit.progress import Advanced


def download_wheels(
    runner: Runner, wanted: Sequence[str], python: ImagePython, *, folder: Path
) -> None:
    """Download wheels into the folder ``wheels``, hashes checked by pip.

    Args:
        runner: runs pip, with the host's own configuration.
        wanted: what ``applying`` returned.
        python: the Python that they are for.
        folder: has the folder ``wheels``, and gets a list of what is wanted.

    Raises:
        BuildError: there is no such wheel, or its bytes are others.
    """
    listed = folder / "wanted.txt"
    listed.write_text("".join(f"{line}\n" for line in wanted))
    argv = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    argv += ["--disable-pip-version-check", "--progress-bar=off"]
    argv += ["--only-binary=:all:", "--python-version", python.version]
    argv += ["--implementation", "cp", "--abi", python.abi]
    argv += [f"--platform={name}" for name in python.platforms]
    argv += ["--dest", str(folder / "wheels"), "--requirement", str(listed)]
    runner.progress(
        Advanced(stage="packages", done=0, total=len(wanted), unit="package", doing="downloading")
    )
    outcome = runner.run(argv, stage="packages", limit=600.0, check=False)
    if outcome.status != 0:
        message, hint = no_wheels(outcome.last_lines, wanted, python)
        raise BuildError(
            message,
            hint=hint,
            code="build/packages-failed",
            argv=outcome.argv,
            status=outcome.status,
            output=outcome.last_lines,
        )
