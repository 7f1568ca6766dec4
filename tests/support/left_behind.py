"""What builds should have removed, and did not."""

import subprocess
from pathlib import Path

from imagekit.build.tools.storage import Folders, container_store, tool_files
from tests.support.command import at_home


def left_behind(home: Path) -> list[str]:
    """Return working containers, folders, locks and mounts of builds in a home."""
    folders = Folders.of({"HOME": str(home)})
    data = folders.data
    work = [str(path) for path in (*data.glob("work/job-*"), *data.glob("locks/job-*"))]
    conf = tool_files(container_store(folders, {})).storage
    listed = subprocess.run(
        ["buildah", "containers", "--quiet"],
        env=at_home(home, CONTAINERS_STORAGE_CONF=str(conf)),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    mounts = Path("/proc/self/mounts").read_text()
    return work + listed + [line for line in mounts.splitlines() if str(home) in line]
