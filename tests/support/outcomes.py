"""The table of who runs images by what, with the outcome that the tests saw.

A test notes its row as its last statement. ``python -m tests.support.outcomes`` prints the table,
and ends with 1 where a row is missing.
"""

import os
import sys
from pathlib import Path

FOLDER = "IMAGEKIT_OUTCOMES"
"""The variable that names the folder of what was seen; without it nothing is noted."""
ROOT, USER = "root", "user"
WITH_IDS, WITHOUT_IDS = "user with subordinate ids", "user without subordinate ids"
USERS = {"with": WITH_IDS, "without": WITHOUT_IDS}

_BY_ROOT = ("podman-4.3", "podman-5", "buildah-1.28", "buildah-1.4x")
_BY_DAEMONS = ("docker-20", "docker-28", "containerd-1.6", "containerd-2.1")
_BY_USERS = (
    *("charliecloud-0.31", "charliecloud-0.45", "apptainer-1.4"),
    *("skopeo-1.9", "skopeo-1.22", "oras-1.3", "crane-0.20"),
)
_SLURM = (
    "srun pmix with Podman",
    "srun pmix with staged squashfs",
    "srun pmi2 with staged squashfs",
    "sbatch with mpirun in one task",
    "--container with oci.conf",
)
ROWS = (
    *(("imagekit run, Podman", who) for who in (ROOT, WITH_IDS, WITHOUT_IDS)),
    *(
        (f"imagekit run --staged, {kind}", who)
        for kind in ("squashfs", "bundle", "podman-store")
        for who in USERS.values()
    ),
    *(("runc, staged bundle", who) for who in USERS.values()),
    ("imagekit run --engine docker", USER),
    ("imagekit run --engine apptainer, from a registry", USER),
    ("imagekit run --staged --engine apptainer, sif", USER),
    ("docker, its daemon asks the policy", USER),
    ("containerd, its daemon asks the policy", ROOT),
    *(("podman, the OCI hook asks a gate", who) for who in (ROOT, *USERS.values())),
    *((f"{client} through the gate", ROOT) for client in (*_BY_ROOT, *_BY_DAEMONS)),
    *((f"{client} through the gate", WITH_IDS) for client in ("podman-4.3", "buildah-1.28")),
    *((f"{client} through the gate", USER) for client in _BY_USERS),
    ("laptop from an export, docs/laptop.md", WITH_IDS),
)
OPTIONAL = {
    **{(f"slurm: {setup}", USER): "scripts/mpi" for setup in _SLURM},
    ("Kubernetes' API server asks the webhook", ROOT): "scripts/kubernetes",
    **{("home on NFS, a staged squashfs on it", who): "scripts/nfs" for who in USERS.values()},
}
"""What scripts of their own make, since it takes long."""


def noted(name: str, who: str, seen: str) -> None:
    """Note what was seen, in place of what an earlier test saw.

    Args:
        name: of the row.
        who: ran it.
        seen: what came of it.
    """
    assert (name, who) in {*ROWS, *OPTIONAL}, f"{name!r} of {who!r} is no row"
    if FOLDER in os.environ:
        file = _file(Path(os.environ[FOLDER]), name, who)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(" ".join(seen.replace("|", "/").split()))


def table(folder: Path) -> tuple[list[str], list[str]]:
    """Return the lines of the table, in Markdown, and which rows are missing."""
    lines = ["| what | who | outcome |", "| --- | --- | --- |"]
    missing: list[str] = []
    for name, who in (*ROWS, *OPTIONAL):
        file = _file(folder, name, who)
        seen = file.read_text() if file.exists() else _not_seen(name, who)
        lines.append(f"| {name} | {who} | {seen} |")
        if not file.exists() and (name, who) not in OPTIONAL:
            missing.append(f"{name}, {who}")
    return lines, missing


def _not_seen(name: str, who: str) -> str:
    script = OPTIONAL.get((name, who))
    return "MISSING" if script is None else f"not run here: {script}"


def _file(folder: Path, name: str, who: str) -> Path:
    return folder / f"{name}, {who}".replace("/", "-")


def main() -> int:
    """Print the table, and what is missing."""
    lines, missing = table(Path(os.environ[FOLDER]))
    sys.stdout.write("\n".join([*lines, ""]))
    if missing:
        sys.stderr.write("\n".join(["no test saw:", *missing, ""]))
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
